package probe

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// expiresSoon returns why the connection's certificates do not last for the time wanted, or "". A chain lasts as long
// as the certificate in it that ends first, which may be an intermediate, and a server's certificates as long as the
// best of the chains that were verified: several lead to a trusted root where roots are cross-signed.
func expiresSoon(s *tls.ConnectionState, days int, now time.Time) string {
	leaf := s.PeerCertificates[0]
	last := leaf
	for i, chain := range s.VerifiedChains {
		if first := firstToExpire(chain); i == 0 || first.NotAfter.After(last.NotAfter) {
			last = first
		}
	}
	left := last.NotAfter.Sub(now)
	switch {
	case left >= time.Duration(days)*24*time.Hour:
		return ""
	case last.Equal(leaf):
		return fmt.Sprintf("certificate expires in %s, wanted %d", largestUnit(left), days)
	}
	const nameMax = 64 // characters
	return fmt.Sprintf("certificate expires in %s, wanted %d: of its issuer %.*q", largestUnit(left), days, nameMax,
		last.Subject.CommonName)
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
