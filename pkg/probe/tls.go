package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// tls completes a TLS handshake on the check's port.
func (a *attempt) tls(ctx context.Context, ip netip.Addr, o catalog.TLS) Result {
	conn, err := a.dial(ctx, ip, o.Port)
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	return a.withMemory(conn, func() Result {
		found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
		secured, result := a.handshake(conn, o.Verification, found)
		if secured == nil {
			return result
		}
		defer secured.Close()
		return secured.refusedLater(a.exchangeCtx, conn.connect, result)
	})
}

// securedConn is a connection after its TLS handshake.
type securedConn struct {
	*tls.Conn
	asked bool // the server asked for a client certificate
}

// handshake performs the TLS handshake over the connection, and verifies the server's certificate. If that fails, it
// returns no connection, and found as a failure. Otherwise it returns found with the time that the handshake took from
// the first SYN, and with what ends soon.
func (a *attempt) handshake(conn *connection, v catalog.Verification, found Result) (*securedConn, Result) {
	config, err := tlsConfig(v, cmp.Or(v.ServerName, a.target.Address))
	if err != nil {
		why := &NotPermittedError{err.Error()}
		return nil, inconclusive(why.Error())
	}
	counted := &countingConn{Conn: conn.Conn}
	out := &securedConn{}
	own := config.GetClientCertificate
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		out.asked = true
		return own(info)
	}
	out.Conn = tls.Client(counted, config)
	if err := out.HandshakeContext(a.exchangeCtx); err != nil {
		return nil, a.transportFailure(found, counted, err)
	}
	found.RTT = time.Since(conn.began)
	state := out.ConnectionState()
	found.Expiry = expiresSoon(&state, v.CertificateDays, time.Now())
	return out, found
}

// tlsConfig returns how to verify a server and which certificate to show it. Its files are read for each probe, so that
// replaced ones count at once.
func tlsConfig(v catalog.Verification, name string) (*tls.Config, error) {
	roots, err := authorities(v.CA)
	if err != nil {
		return nil, fmt.Errorf("this agent cannot use the file of ca: %w", err)
	}
	certificate := tls.Certificate{} // none
	if v.ClientCertificate != "" {
		chain, _, errChain := regularfile.Read(v.ClientCertificate, clientBytesMax)
		key, _, errKey := regularfile.Read(v.ClientKey, clientBytesMax)
		if err := errors.Join(errChain, errKey); err != nil {
			return nil, fmt.Errorf("this agent cannot use its client certificate: %w", err)
		}
		if certificate, err = tls.X509KeyPair(chain, key); err != nil {
			return nil, fmt.Errorf("this agent cannot use its client certificate: %w", err)
		}
	}
	return &tls.Config{
		ServerName: name, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}, nil
}

// refusedCertificate names the client certificate as the reason of a failed request, if the server asked for one and
// then closed without an answer. Since TLS 1.3 its alert follows the handshake, where net/http may see that the
// connection is closed before it reads the alert.
func refusedCertificate(found Result, v catalog.Verification, asked bool) Result {
	unclear := []string{"closed without an answer", "answer cut short", "malformed answer: http2"}
	if !asked || !slices.Contains(unclear, found.Reason) {
		return found
	}
	if v.ClientCertificate == "" {
		return found.fail("TLS refused: certificate required: " + alertAdvice["certificate required"])
	}
	return found.fail("TLS refused: it closed the connection after it saw the client certificate")
}

// clientBytesMax bounds a file of a client's certificate or key.
const clientBytesMax = 64 << 10

// refusalWait is how long to wait for a server's refusal beyond two round trips.
const refusalWait = 500 * time.Millisecond

// refusedLater returns found, or a failure if the server refuses the client after the handshake. Since TLS 1.3 the
// client's part ends before the server has seen that it has no certificate. Only servers that asked for one are waited
// for; they may accept clients without.
func (s *securedConn) refusedLater(ctx context.Context, roundTrip time.Duration, found Result) Result {
	if !s.asked {
		return found
	}
	wait, cancel := context.WithTimeout(ctx, 2*roundTrip+refusalWait)
	defer cancel()
	defer endReads(wait, s)()
	_, err := s.Read(make([]byte, 1))
	if reason := handshakeReason(err); reason != "" && !isLate(err) {
		return found.fail(reason)
	}
	return found
}

// caBytesMax bounds a file of authorities. Debian's own bundle of all that browsers trust has 220 kB.
const caBytesMax = 512 << 10

// authorities reads the certificates of a PEM file; without one it returns nil, which stands for the system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, _, err := regularfile.Read(file, caBytesMax)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificates")
	}
	return pool, nil
}
