package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/probemesh/probemesh/pkg/bus"
)

// ErrNotNATS reports that a port is served by something else than NATS.
var ErrNotNATS = errors.New("another program than NATS answers on the port")

// ErrBusy reports that too many clients of the coordinator have not authenticated, as in an attack on it.
var ErrBusy = errors.New("the coordinator has too many connections that have not authenticated; try again")

// busyText is how the coordinator says so, in place of the server's first line.
const busyText = "-ERR 'too many connections have not authenticated'"

// infoMax bounds in bytes the first line of a server. NATS sends about a thousand.
const infoMax = 32 << 10

// Handshake reads the server's first line from an open TCP connection and performs the TLS handshake. It returns the
// certificates that the server presented and verifies none of them: a caller that examines a server wants to know what
// is wrong with them.
func Handshake(ctx context.Context, conn net.Conn) ([]*x509.Certificate, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	// The server sends nothing after its first line until the client does, so the reader buffers nothing of the
	// handshake.
	line, err := bufio.NewReaderSize(conn, infoMax).ReadSlice('\n')
	if bytes.HasPrefix(line, []byte(busyText)) {
		return nil, ErrBusy
	}
	if !bytes.HasPrefix(line, []byte("INFO ")) {
		if err == nil {
			err = errors.New("not NATS")
		}
		return nil, fmt.Errorf("%w: %.60q (%w)", ErrNotNATS, line, err)
	}
	client := tls.Client(conn, bus.UnverifiedTLS())
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return client.ConnectionState().PeerCertificates, nil
}
