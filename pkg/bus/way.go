package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Way is how the bus is reached, and by whose word it is believed.
type Way struct {
	Servers []string `json:"servers"` // URLs
	CA      []byte   `json:"ca"`      // PEM, one certificate or several
}

// belief is whose servers an agent believes. It is asked at each handshake, so that it can change while the agent runs.
type belief struct {
	roots atomic.Pointer[x509.CertPool]
	shown atomic.Pointer[[]*x509.Certificate] // by the server of the latest handshake that was believed
}

// set has servers of either way believed from the next handshake on.
func (b *belief) set(now, former Way) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(now.CA) {
		return errors.New("the mesh's CA is not a certificate in PEM")
	}
	pool.AppendCertsFromPEM(former.CA)
	b.roots.Store(pool)
	return nil
}

func (b *belief) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		InsecureSkipVerify: true, // the chain is verified below, by the belief of this moment
		VerifyConnection: func(s tls.ConnectionState) error {
			err := verify(s.PeerCertificates, b.roots.Load())
			if err == nil {
				b.shown.Store(&s.PeerCertificates)
			}
			return err
		},
	}
}

// verify reports whether a server is one of the mesh whose CA is among the roots.
func verify(chain []*x509.Certificate, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	middle := x509.NewCertPool()
	for _, c := range chain[1:] {
		middle.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, DNSName: ServerName})
	return err
}

// both are the servers of two lists, each once.
func both(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// SetWay has the agent take another way from its next connection on. The present connection stays: that another way is told does
// not mean that it can be gone. The former way is tried, and believed, too.
func (a *Agent) SetWay(now, former Way) error {
	if err := a.belief.set(now, former); err != nil {
		return err
	}
	servers := both(now.Servers, former.Servers)
	// The library takes a present server that is not among them for the first of them.
	if at := a.conn.ConnectedUrl(); at != "" {
		servers = both(servers, []string{at})
	}
	if err := a.conn.SetServerPool(servers); err != nil {
		return fmt.Errorf("take another way to the bus: %w", err)
	}
	return nil
}

// On reports whether the present connection is to a server of the way, or one that such a server named, and its certificate is by
// the way's CA.
func (a *Agent) On(w Way) bool {
	// The certificates first: where a connection comes meanwhile, the answer is no at worst, and it is asked again.
	shown, roots := a.belief.shown.Load(), x509.NewCertPool()
	if shown == nil || !roots.AppendCertsFromPEM(w.CA) || verify(*shown, roots) != nil {
		return false
	}
	at := a.conn.ConnectedUrl() // empty without a connection
	return slices.Contains(w.Servers, at) || slices.Contains(a.conn.DiscoveredServers(), at)
}
