package operators_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// store is People and Ledger in memory. It can fail.
type store struct {
	ids     []string
	data    map[string]string
	events  []ledger.Event
	failing error
	puts    int
	now     time.Time
}

func (s *store) Put(_ context.Context, id string, data []byte) error {
	if s.failing != nil {
		return s.failing
	}
	s.puts++
	s.ids, s.data[id] = append(s.ids, id), string(data)
	return nil
}

func (s *store) Each(_ context.Context, fn func(string, []byte) error) error {
	for _, id := range s.ids {
		if err := fn(id, []byte(s.data[id])); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) Erase(_ context.Context, id string) (bool, error) {
	s.ids = slices.DeleteFunc(s.ids, func(other string) bool { return other == id })
	delete(s.data, id)
	return false, nil
}

func (s *store) Append(_ context.Context, events ...ledger.Event) error {
	s.events = append(s.events, events...)
	return nil
}

func open(t *testing.T, s *store) *operators.Tokens {
	t.Helper()
	tokens, err := operators.Open(t.Context(), operators.Config{
		People: s, Ledger: s, Clock: func() (time.Time, time.Duration) { return s.now, 0 }, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func newStore() *store { return &store{data: map[string]string{}, now: time.Unix(1e9, 0)} }

func permitted(t *testing.T, tokens *operators.Tokens, token string) bool {
	t.Helper()
	_, known, err := tokens.Authenticate(token)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// A token is known after a restart, and its value is in no record.
func TestATokenIsStoredAsADigest(t *testing.T) {
	s := newStore()
	token, err := open(t, s).Add(t.Context(), "deploy", operators.Write)
	if err != nil {
		t.Fatal(err)
	}
	if stored := fmt.Sprint(s.data); strings.Contains(stored, token) || strings.Contains(stored, token[4:]) {
		t.Errorf("stored is %s", stored)
	}
	tokens := open(t, s)
	if !permitted(t, tokens, token) || permitted(t, tokens, token+"x") || permitted(t, tokens, "") {
		t.Error("another token is permitted, or this is not")
	}
}

func TestTokensAreBounded(t *testing.T) {
	s := newStore()
	tokens := open(t, s)
	for name, kind := range map[string]errkind.Kind{
		"": errkind.Invalid, "a b": errkind.Invalid, "-": errkind.Invalid, strings.Repeat("x", 64): errkind.Invalid,
		"<b>": errkind.Invalid,
	} {
		if _, err := tokens.Add(t.Context(), name, operators.Read); errkind.Of(err) != kind {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := tokens.Add(t.Context(), "x", "admin"); errkind.Of(err) != errkind.Invalid {
		t.Errorf("another scope: %v", err)
	}
	for i := range 100 {
		if _, err := tokens.Add(t.Context(), fmt.Sprint(i), operators.Read); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tokens.Add(t.Context(), "x", operators.Read); errkind.Of(err) != errkind.Conflict {
		t.Errorf("a token too many: %v", err)
	}
	if err := tokens.Revoke(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Add(t.Context(), "7", operators.Read); err != nil {
		t.Errorf("a name that is free again: %v", err)
	}
}

// A use is stored once an hour, not with every request.
func TestUsesAreStoredHourly(t *testing.T) {
	s := newStore()
	tokens := open(t, s)
	token, err := tokens.Add(t.Context(), "deploy", operators.Write)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { // Run stores uses when it ends
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := tokens.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	before := s.puts
	for range 50 {
		permitted(t, tokens, token)
		stop()
	}
	if n := s.puts - before; n != 1 || len(s.ids) != 1 {
		t.Errorf("50 uses are %d writes, and %d records are left", n, len(s.ids))
	}
	if used := open(t, s).List()[0].Used; !used.Equal(s.now.Truncate(time.Hour)) {
		t.Errorf("used at %v", used)
	}
}

// A token that is revoked permits nothing from then on: also where that could not be stored, and after a restart with
// records of before and after.
func TestARevokedTokenPermitsNothing(t *testing.T) {
	s := newStore()
	tokens := open(t, s)
	token, err := tokens.Add(t.Context(), "deploy", operators.Write)
	if err != nil {
		t.Fatal(err)
	}
	valid, validID := s.data[s.ids[0]], s.ids[0]
	s.failing = errors.New("NATS is away")
	if err := tokens.Revoke(t.Context(), "deploy"); err == nil || !strings.Contains(err.Error(), "repeat it") {
		t.Errorf("a revocation that is not stored: %v", err)
	}
	if permitted(t, tokens, token) {
		t.Error("it permits something meanwhile")
	}
	s.failing = nil
	if err := tokens.Revoke(t.Context(), tokens.List()[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]string{{s.ids[0]}, {validID, s.ids[0]}, {s.ids[0], validID}} {
		s.data[validID], s.ids = valid, order
		if permitted(t, open(t, s), token) {
			t.Errorf("after a restart with %v it permits something", order)
		}
	}
	if err := open(t, s).Revoke(t.Context(), "deploy"); errkind.Of(err) != errkind.NotFound {
		t.Errorf("revoked again: %v", err)
	}
}

// One token may not starve the rest.
func TestATokenHasARate(t *testing.T) {
	s := newStore()
	tokens := open(t, s)
	greedy, err := tokens.Add(t.Context(), "greedy", operators.Write)
	if err != nil {
		t.Fatal(err)
	}
	other, err := tokens.Add(t.Context(), "other", operators.Write)
	if err != nil {
		t.Fatal(err)
	}
	// More become free while the test asks, so that a slow machine asks for longer until one is refused.
	answered := 0
	for ; answered < 10_000; answered++ {
		if _, _, err := tokens.Authenticate(greedy); errors.Is(err, operators.ErrTooManyRequests) {
			break
		}
	}
	if answered < 100 || answered == 10_000 || !permitted(t, tokens, other) {
		t.Errorf("%d requests at once are answered", answered)
	}
}
