package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// blueskySession is what signing in gives.
type blueskySession struct {
	AccessJWT string `json:"accessJwt"`
	DID       string `json:"did"`
}

const (
	// signInEvery and signInBurst keep an account under 300 sign-ins a day, which Bluesky allows: a message that fails is
	// tried every five minutes, and several may wait.
	signInEvery = 6 * time.Minute
	signInBurst = 5
	// accountsMax bounds the accounts that are remembered.
	accountsMax = 100
)

// blueskySessions are those of this process.
var blueskySessions = newSessions(time.Now)

// sessions keeps a session for each account. It is safe for concurrent use.
type sessions struct {
	now func() time.Time

	mu      sync.Mutex
	open    map[string]blueskySession // by the account's address, with its password
	signIns *ratelimit.Rates[string]
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{
		now: now, open: map[string]blueskySession{},
		signIns: ratelimit.NewRates[string](rate.Every(signInEvery), signInBurst, accountsMax),
	}
}

var errSignIns = errors.New("sign in: the last attempts failed, and the service limits them: the next is due within " +
	"six minutes")

// of returns the account's session, and whether it is a new one.
func (s *sessions) of(ctx context.Context, account *url.URL) (session blueskySession, fresh bool, err error) {
	key := account.String()
	s.mu.Lock()
	session, ok := s.open[key]
	allowed := ok || s.signIns.Allow(s.now(), key)
	s.mu.Unlock()
	if ok {
		return session, false, nil
	}
	if !allowed {
		return session, false, errSignIns
	}
	password, _ := account.User.Password()
	login := map[string]string{"identifier": account.User.Username(), "password": password}
	answer, err := callXRPC(ctx, account, "com.atproto.server.createSession", "", login)
	if err != nil {
		return session, false, fmt.Errorf("sign in: %w", err)
	}
	if err := json.Unmarshal(answer, &session); err != nil || session.AccessJWT == "" || session.DID == "" {
		return session, false, errors.New("sign in: the server's answer has no session")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= accountsMax {
		clear(s.open) // of addresses that the catalog had before
	}
	s.open[key] = session
	return session, true, nil
}

// forget drops a session that the server refused, unless a newer one has replaced it.
func (s *sessions) forget(account *url.URL, refused blueskySession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[account.String()] == refused {
		delete(s.open, account.String())
	}
}
