package probe

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// expiresSoon returns when the connection's certificates end, or nil if they last for this many days; 0 days ask for
// nothing. A chain lasts as long as the certificate in it that ends first, which may be an intermediate, and a server's
// certificates as long as the best of the chains that were verified: several lead to a trusted root where roots are
// cross-signed.
func expiresSoon(s *tls.ConnectionState, days int, now time.Time) *mesh.Expiry {
	leaf := s.PeerCertificates[0]
	last := leaf
	for i, chain := range s.VerifiedChains {
		if first := firstToExpire(chain); i == 0 || first.NotAfter.After(last.NotAfter) {
			last = first
		}
	}
	if last.NotAfter.Sub(now) >= time.Duration(days)*24*time.Hour {
		return nil
	}
	out := &mesh.Expiry{What: mesh.Certificate, At: last.NotAfter}
	if !last.Equal(leaf) {
		out.Issuer = cmp.Or(clean(truncate(last.Subject.CommonName)), clean(truncate(last.Subject.String())), "unnamed")
	}
	return out
}

// firstToExpire returns the certificate of the chain that ends first. The server's own is the first of the chain and is
// preferred if others end at the same time.
func firstToExpire(chain []*x509.Certificate) *x509.Certificate {
	first := chain[0]
	for _, c := range chain[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	return first
}
