package server

import (
	"crypto/x509"
	"time"
)

// Certificates returns the certificate that a server presents to agents, and the CA that signed it. The first is nil
// for a cluster, whose nodes have their own.
func Certificates(s *Server, now time.Time) (leaf, ca *x509.Certificate) {
	if s.certificates != nil {
		// With an error it is the former one, which is still presented.
		if pair, _ := s.certificates.current(now); pair != nil {
			leaf = pair.Leaf
		}
	}
	return leaf, s.ca.certificate
}
