package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
)

const (
	changeTries = 4 // another coordinator may push the account at the same time
	systemWait  = 5 * time.Second
	// The end of the year 9999, in seconds since 1970. Credentials that are issued before it are refused.
	never = 253402300799
)

// Revoke ends the agents' keys for ever: their connections are closed and the servers refuse new ones. Keys that are
// revoked already are no error.
func (s *Server) Revoke(ctx context.Context, keys ...string) error {
	return s.change(ctx, "agents", func(account *jwt.AccountClaims) (changed *jwt.AccountClaims, err error) {
		for _, key := range keys {
			if !bus.IsPublicKey(key) {
				return nil, fmt.Errorf("revoke: %q is not an agent's public key", key)
			}
			if account.Revocations[key] < never { // Withdraw may have revoked it for a time
				account.RevokeAt(key, time.Unix(never, 0))
				changed = account
			}
		}
		return changed, nil
	})
}

// Withdraw ends the agent's key for a time: its connections are closed, and the servers refuse credentials that were
// issued before then. An agent cannot get newer credentials while it is refused, so the caller must end the withdrawal
// by Restore. A key that was revoked stays revoked.
func (s *Server) Withdraw(ctx context.Context, key string, until time.Time) error {
	return s.change(ctx, "agents", func(account *jwt.AccountClaims) (*jwt.AccountClaims, error) {
		if !bus.IsPublicKey(key) {
			return nil, fmt.Errorf("withdraw: %q is not an agent's public key", key)
		}
		if account.Revocations[key] >= until.Unix() {
			return nil, nil
		}
		account.RevokeAt(key, until)
		return account, nil
	})
}

// RevokeUntil ends the agent's credentials that were issued up to the second, for ever: those with a former name of its
// host. Later ones stay valid.
func (s *Server) RevokeUntil(ctx context.Context, key string, second int64) error {
	return s.Withdraw(ctx, key, time.Unix(second, 0))
}

// Restore ends a withdrawal: the servers accept the key again, but not credentials that were issued up to the second
// since: see RevokeUntil. A key that was revoked stays revoked.
func (s *Server) Restore(ctx context.Context, key string, since int64) error {
	return s.change(ctx, "agents", func(account *jwt.AccountClaims) (*jwt.AccountClaims, error) {
		if at, ok := account.Revocations[key]; !ok || at >= never || at == since {
			return nil, nil
		}
		account.ClearRevocation(key)
		if since > 0 {
			account.RevokeAt(key, time.Unix(since, 0))
		}
		return account, nil
	})
}

// change edits an account on the servers. It repeats that until edit returns nil, because it finds what it wants:
// another coordinator may push the account between the lookup and the push.
func (s *Server) change(ctx context.Context, name string,
	edit func(*jwt.AccountClaims) (*jwt.AccountClaims, error)) error {
	s.revoking.Lock()
	defer s.revoking.Unlock()
	conn, err := s.connect("system", "trust", nats.NoReconnect(), nats.Timeout(systemWait))
	if err != nil {
		return err
	}
	defer conn.Close()
	for range changeTries {
		account, signed, err := s.lookUp(ctx, conn, name)
		if err != nil {
			return err
		}
		since := account.IssuedAt
		changed, err := edit(account)
		if err != nil {
			return err
		}
		if changed == nil {
			return s.mirror(name, signed)
		}
		if err := s.push(ctx, conn, name, changed, since); err != nil {
			return err
		}
	}
	return fmt.Errorf("the account %s keeps changing; try again", name)
}

// mirror stores a cluster's account here too, with all its revocations: it is part of a backup, and of the
// configuration of new nodes.
func (s *Server) mirror(name, signed string) error {
	if s.server != nil {
		return nil
	}
	if err := privatefile.Write(s.trust.accountFile(name), []byte(signed)); err != nil {
		return fmt.Errorf("write the account %s: %w", name, err)
	}
	return nil
}

// lookUp reads an account from the server.
func (s *Server) lookUp(ctx context.Context, conn *nats.Conn, name string) (account *jwt.AccountClaims, signed string,
	err error) {
	ctx, cancel := context.WithTimeout(ctx, systemWait)
	defer cancel()
	reply, err := conn.RequestWithContext(ctx, fmt.Sprintf("$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP", s.trust.public[name]), nil)
	if err != nil {
		return nil, "", fmt.Errorf("look up the account %s: %w", name, err)
	}
	if account, err = jwt.DecodeAccountClaims(string(reply.Data)); err != nil {
		return nil, "", fmt.Errorf("look up the account %s: %w", name, err)
	}
	return account, string(reply.Data), nil
}

// push signs an account and sends it to every server. A server ignores one that was not signed in a later second than
// its own, which was signed at since.
func (s *Server) push(ctx context.Context, conn *nats.Conn, name string, account *jwt.AccountClaims,
	since int64) error {
	signed, err := s.trust.signAccountAfter(name, account, since)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, systemWait)
	defer cancel()
	reply, err := conn.RequestWithContext(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(signed))
	if err != nil {
		return fmt.Errorf("push the account %s: %w", name, err)
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Errorf("push the account %s: %w", name, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("push the account %s: the server refuses: %s", name, answer.Error.Description)
	}
	s.pushes.Add(1)
	return nil
}
