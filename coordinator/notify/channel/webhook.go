package channel

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// answerMax bounds what is read of a webhook's answer, in bytes.
const answerMax = 64 << 10

// client follows no redirect: a signed message goes where the operator said and nowhere else. Operators may name
// private addresses.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: Timeout, ResponseHeaderTimeout: Timeout,
		MaxResponseHeaderBytes: answerMax, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// webhook posts the message as JSON, signed as Standard Webhooks 1.0 says.
func (s Sender) webhook(ctx context.Context, c catalog.Channel, m Message) error {
	address, err := s.Resolve(c.Webhook)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"type": m.Type, "timestamp": m.At.UTC(), "data": m.Data})
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address.Reveal(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's address is not usable") // the error repeats it
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "probemesh")
	r.Header.Set("webhook-id", m.ID)
	r.Header.Set("webhook-timestamp", stamp)
	if c.Secret.Given() {
		key, err := s.Resolve(c.Secret)
		if err != nil {
			return err
		}
		signature, err := sign(key.Reveal(), m.ID, stamp, body)
		if err != nil {
			return err
		}
		r.Header.Set("webhook-signature", signature)
	}
	answer, err := client.Do(r)
	if err != nil {
		var inURL *url.Error // its text has the address, which may hold a secret
		if errors.As(err, &inURL) {
			err = inURL.Err
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerMax)) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the webhook answered with status %d", answer.StatusCode)
	}
	return nil
}

// sign returns the header webhook-signature.
func sign(secret, id, stamp string, body []byte) (string, error) {
	key, err := signingKey(secret)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
