package bus

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// ErrPin says that a server's certificate was not made by the CA that the token names.
var ErrPin = errors.New("the server is not the coordinator that the token names: its CA has another fingerprint")

// Pin is the fingerprint of a CA in PEM: the SHA-256 of its certificate.
func Pin(ca []byte) ([32]byte, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return [32]byte{}, errors.New("the mesh's CA is not a certificate in PEM")
	}
	return sha256.Sum256(block.Bytes), nil
}

// RequestEnrolment knocks at a coordinator that is known by its CA's fingerprint alone, and returns its answer. It has no
// credentials: the server lets such a connection do nothing else.
func RequestEnrolment(ctx context.Context, servers []string, pin [32]byte, dial DialFunc, request []byte) ([]byte, error) {
	opts := []nats.Option{nats.Name("joining"), nats.Timeout(connectWait), nats.NoReconnect(), nats.Secure(pinned(pin))}
	if dial != nil {
		opts = append(opts, nats.SetCustomDialer(dialer{ctx, dial}))
	}
	conn, err := nats.Connect(strings.Join(servers, ","), opts...)
	if err != nil {
		return nil, fmt.Errorf("reach the coordinator at %s: %w", strings.Join(servers, ", "), err)
	}
	defer conn.Close()
	reply, err := conn.RequestWithContext(ctx, SubjectEnrol, request)
	if err != nil {
		return nil, fmt.Errorf("ask the coordinator at %s: %w", strings.Join(servers, ", "), err)
	}
	return reply.Data, nil
}

// pinned is TLS that believes the one CA with the fingerprint, which the server sends along.
func pinned(pin [32]byte) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		InsecureSkipVerify: true, // the chain is verified below, against the CA that the pin names
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, c := range s.PeerCertificates {
				if sha256.Sum256(c.Raw) == pin {
					roots := x509.NewCertPool()
					roots.AddCert(c)
					_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: ServerName})
					return err
				}
			}
			return ErrPin
		},
	}
}
