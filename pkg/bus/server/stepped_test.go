package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
)

// An account that was signed before the wall clock was stepped back is from the future. A key can be revoked
// nevertheless, at once.
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
	account, err := s.trust.readAccount("agents")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.connect("system", "trust", nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.push(ctx, conn, "agents", account, later); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(ctx, public); err != nil {
		t.Fatal(err)
	}
	stored, err := s.trust.readAccount("agents")
	if err != nil {
		t.Fatal(err)
	}
	user := jwt.NewUserClaims(public)
	user.IssuedAt = later
	if stored.IssuedAt <= later || !stored.IsClaimRevoked(user) {
		t.Errorf("the account of %v does not revoke the key", time.Unix(stored.IssuedAt, 0))
	}
}

// A certificate that was issued while the wall clock was a year ahead is not valid yet, so it is replaced.
func TestTheCertificateIsRenewedAfterTheClockWasSteppedBack(t *testing.T) {
	ca, err := newAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{ca: ca, life: Life}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	now := time.Now()
	for _, at := range []time.Time{now.Add(365 * 24 * time.Hour), now, now.Add(10 * time.Minute), now} {
		issued, err := c.current(at)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(issued.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at}); err != nil {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

// issuedAt returns an agent's credentials as if they had been issued at the time.
func issuedAt(t *testing.T, s *Server, token string, at time.Time) string {
	t.Helper()
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	claims.IssuedAt = at.Unix()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(token, ".")
	text := header + "." + base64.RawURLEncoding.EncodeToString(body)
	signature, err := s.trust.keys["scope"].Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// Nothing loads an account later on: such a load may undo what was changed since it began.
func TestAllAccountsAreLoadedAtTheStart(t *testing.T) {
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	loaded, err := s.server.Accountz(&natsd.AccountzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range accountNames {
		if !slices.Contains(loaded.Accounts, s.trust.public[name]) {
			t.Errorf("the account %s is not loaded", name)
		}
	}
}

// A ban also refuses an agent whose credentials were issued before the clock was stepped back, and so are from the
// future.
func TestABanRefusesCredentialsFromTheFuture(t *testing.T) {
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Issue("nc036", public)
	if err != nil {
		t.Fatal(err)
	}
	token = issuedAt(t, s, token, time.Now().Add(10*time.Minute))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA())
	connect := func() error {
		way := nats.Secure(&tls.Config{RootCAs: roots, ServerName: bus.ServerName})
		conn, err := nats.Connect(s.Servers()[0], way, nats.UserJWTAndSeed(token, seed), nats.Timeout(time.Minute))
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	if err := s.ban([]string{public}); err != nil {
		t.Fatal(err)
	}
	if err := connect(); err == nil {
		t.Error("it could connect")
	}
	if err := s.ban(nil); err != nil {
		t.Fatal(err)
	}
	if err := connect(); err != nil {
		t.Errorf("once the ban is over: %v", err)
	}
}
