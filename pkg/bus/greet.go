package bus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// ErrNotBus says that something else than a bus answers on a port.
var ErrNotBus = errors.New("something else than a coordinator's bus answers")

// greetingMax bounds in bytes the first line that a server says; NATS says about a thousand.
const greetingMax = 32 << 10

// HostPort is the address and port of a server's URL.
func HostPort(server string) (host, port string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", err
	}
	if host, port = u.Hostname(), u.Port(); host == "" || port == "" {
		return "", "", fmt.Errorf("%q names no address and port", server)
	}
	return host, port, nil
}

// Greet listens to a server's first line over a connection that stands, and shakes hands. It returns the certificates that the
// server showed and verifies none of them: an agent that is examined wants to know what is wrong with them.
func Greet(ctx context.Context, conn net.Conn) ([]*x509.Certificate, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	// Nothing follows the first line before the client's turn, so the reader holds back nothing of the handshake.
	line, err := bufio.NewReaderSize(conn, greetingMax).ReadSlice('\n')
	if !bytes.HasPrefix(line, []byte("INFO ")) {
		return nil, fmt.Errorf("%w: %.60q (%w)", ErrNotBus, line, orNil(err))
	}
	client := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		InsecureSkipVerify: true, // nothing is said over it; VerifyServer judges what it shows
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	return client.ConnectionState().PeerCertificates, nil
}

func orNil(err error) error {
	if err == nil {
		return errors.New("not NATS")
	}
	return err
}

// VerifyServer reports whether the certificates are a coordinator's of the mesh whose CA has this fingerprint. It looks at
// signatures and names alone: whether they are valid at this time is a question of clocks.
func VerifyServer(chain []*x509.Certificate, pin [32]byte) error {
	for _, c := range chain {
		if sha256.Sum256(c.Raw) != pin {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		middle := chain[0].NotBefore.Add(chain[0].NotAfter.Sub(chain[0].NotBefore) / 2)
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: ServerName, CurrentTime: middle})
		return err
	}
	return ErrPin
}
