package server

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
)

// An account that was signed before the wall clock was stepped back is from the future. A key is revoked all the
// same, and at once.
func TestAKeyIsRevokedAfterTheClockWasSteppedBack(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	public, _, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(10 * time.Minute).Unix()
	account, err := s.trust.kept("agents")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.connect("system", "trust")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.push(ctx, conn, "agents", account, later); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(ctx, public); err != nil {
		t.Fatal(err)
	}
	kept, err := s.trust.kept("agents")
	if err != nil {
		t.Fatal(err)
	}
	user := jwt.NewUserClaims(public)
	user.IssuedAt = later
	if kept.IssuedAt <= later || !kept.IsClaimRevoked(user) {
		t.Errorf("the account of %v does not revoke the key", time.Unix(kept.IssuedAt, 0))
	}
}

// A certificate that was made while the wall clock was a year ahead is not valid yet: connections are offered another
// one.
func TestTheCertificateIsMadeAnewAfterTheClockWasSteppedBack(t *testing.T) {
	ca, err := newAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{ca: ca, life: Life}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	now := time.Now()
	for _, at := range []time.Time{now.Add(365 * 24 * time.Hour), now, now.Add(10 * time.Minute), now} {
		held, err := c.current(at)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(held.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at}); err != nil {
			t.Errorf("at %v: %v", at, err)
		}
	}
}
