package bus

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync/atomic"
	"time"
)

// ServerName is the name on every coordinator's certificate. TLS verifies it instead of an address, so that a
// coordinator may move.
const ServerName = "coordinator.probemesh"

// ErrPin reports that a server's certificate was not issued by the CA whose fingerprint a token contains.
var ErrPin = errors.New("the server is not the coordinator that the token names: its CA has another fingerprint")

var errCA = errors.New("the mesh's CA is not a certificate in PEM")

// Pin returns the fingerprint of a CA in PEM: the SHA-256 of its certificate.
func Pin(ca []byte) ([32]byte, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return [32]byte{}, errCA
	}
	return sha256.Sum256(block.Bytes), nil
}

// TrustStore verifies servers by the CAs that a client trusts, which may change while the client runs: each handshake
// uses the newest. It is safe for concurrent use.
type TrustStore struct {
	roots     atomic.Pointer[x509.CertPool]
	presented atomic.Pointer[[]*x509.Certificate] // by the server of the latest handshake that succeeded
}

// NewTrustStore returns a trust store of CAs in PEM. The first must be valid; the others, which may be empty, are
// trusted too.
func NewTrustStore(ca []byte, more ...[]byte) (*TrustStore, error) {
	s := &TrustStore{}
	return s, s.Set(ca, more...)
}

// Set replaces the CAs from the next handshake on.
func (s *TrustStore) Set(ca []byte, more ...[]byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errCA
	}
	for _, pem := range more {
		pool.AppendCertsFromPEM(pem)
	}
	s.roots.Store(pool)
	return nil
}

// Presented reports whether the latest server was verified by its certificate, and that certificate is also one of the
// given CA.
func (s *TrustStore) Presented(ca []byte) bool {
	chain, roots := s.presented.Load(), x509.NewCertPool()
	return chain != nil && roots.AppendCertsFromPEM(ca) && verify(*chain, roots, time.Time{}) == nil
}

// TLSConfig returns the client's TLS configuration.
func (s *TrustStore) TLSConfig() *tls.Config {
	return clientConfig(func(chain []*x509.Certificate) error {
		err := verify(chain, s.roots.Load(), time.Time{})
		if err == nil {
			s.presented.Store(&chain)
		}
		return err
	})
}

// PinnedTLS returns the TLS configuration of a client that knows nothing but the CA's fingerprint. Servers send the CA
// along.
func PinnedTLS(pin [32]byte) *tls.Config {
	return clientConfig(func(chain []*x509.Certificate) error { return verifyPinned(chain, pin, time.Time{}) })
}

// UnverifiedTLS returns the TLS configuration of a client that accepts any server, to examine its certificates. Nothing
// may be sent over such a connection.
func UnverifiedTLS() *tls.Config { return clientConfig(func([]*x509.Certificate) error { return nil }) }

// VerifyPinned reports whether the certificates are a coordinator's of the mesh whose CA has the fingerprint. It checks
// signatures and names only, not whether they are valid now: a caller that examines a machine's clock must not depend
// on it.
func VerifyPinned(chain []*x509.Certificate, pin [32]byte) error {
	if len(chain) == 0 {
		return ErrPin
	}
	begins, ends := chain[0].NotBefore, chain[0].NotAfter
	return verifyPinned(chain, pin, begins.Add(ends.Sub(begins)/2))
}

// clientConfig is the one TLS configuration of this mesh's clients. It replaces the standard verification, which has a
// fixed pool of roots and cannot look for a fingerprint.
func clientConfig(verify func(chain []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		InsecureSkipVerify: true, // VerifyConnection below takes its place
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(s.PeerCertificates) },
	}
}

// verifyPinned verifies a chain by the CA in it that has the fingerprint.
func verifyPinned(chain []*x509.Certificate, pin [32]byte, at time.Time) error {
	for _, c := range chain {
		if sha256.Sum256(c.Raw) == pin {
			roots := x509.NewCertPool()
			roots.AddCert(c)
			return verify(chain, roots, at)
		}
	}
	return ErrPin
}

// verify reports whether the first certificate is a coordinator's and leads to one of the roots. The zero time is now.
func verify(chain []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server presents no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, DNSName: ServerName, CurrentTime: at,
	})
	return err
}
