package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/probemesh/probemesh/pkg/secret"
)

// Bounds of the secrets of one agent.
const (
	SecretsMax      = 1024
	SecretsBytesMax = 256 << 10             // encoded
	sealedMax       = SecretsBytesMax + 256 // the key and the checksum of the sealing take 48
	secretNameMax   = 1100
)

// EncodeSecrets encodes values by the names of their references. The result is to be sealed: it holds them in the
// clear.
func EncodeSecrets(values map[string]secret.Text) ([]byte, error) {
	plain := make(map[string]string, len(values))
	for name, v := range values {
		plain[name] = v.Reveal()
	}
	data, err := json.Marshal(plain)
	if err != nil {
		return nil, errors.New("encode the secrets") // the error could repeat a value
	}
	if len(data) > SecretsBytesMax || len(values) > SecretsMax {
		return nil, fmt.Errorf("encode %d secrets, %d bytes: %w", len(values), len(data), ErrTooLarge)
	}
	return data, nil
}

// DecodeSecrets decodes what EncodeSecrets wrote.
func DecodeSecrets(data []byte) (map[string]secret.Text, error) {
	if len(data) > SecretsBytesMax {
		return nil, fmt.Errorf("decode the secrets: %w", ErrTooLarge)
	}
	var plain map[string]string
	if json.Unmarshal(data, &plain) != nil {
		return nil, errors.New("decode the secrets: not in the expected format")
	}
	if len(plain) > SecretsMax {
		return nil, fmt.Errorf("decode the secrets: %d: %w", len(plain), ErrTooLarge)
	}
	out := make(map[string]secret.Text, len(plain))
	for name, value := range plain {
		if len(name) > secretNameMax || len(value) > secret.Max {
			return nil, fmt.Errorf("decode the secrets: %w", ErrTooLarge)
		}
		out[name] = secret.New(value)
	}
	return out, nil
}

// sealedPart follows the catalog in an answer, as a JSON value of its own: a reader that knows no secrets stops before
// it.
type sealedPart struct {
	Sealed []byte `json:"sealed"`
}

// AppendSealed adds sealed secrets to an answer that EncodeAnswer encoded. The answer is the same for all agents and
// large, and this part is neither: so it is compressed apart, and the two are one gzip stream.
func AppendSealed(answer, sealed []byte) ([]byte, error) {
	part, err := json.Marshal(sealedPart{sealed})
	if err != nil {
		return nil, fmt.Errorf("encode the sealed secrets: %w", err)
	}
	packed, err := pack(part)
	if err != nil {
		return nil, err
	}
	return append(append(make([]byte, 0, len(answer)+len(packed)), answer...), packed...), nil
}

// decodeSealed decodes the part after the catalog; nil if there is none.
func decodeSealed(values *json.Decoder) ([]byte, error) {
	var part sealedPart
	switch err := values.Decode(&part); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, errors.New("decode the sealed secrets: not in the expected format")
	case len(part.Sealed) > sealedMax:
		return nil, fmt.Errorf("decode the sealed secrets: %w", ErrTooLarge)
	}
	return part.Sealed, nil
}
