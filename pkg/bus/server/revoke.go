package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

const (
	revokeTries = 4 // another coordinator may push the account at the same moment
	systemWait  = 5 * time.Second
	// Seconds since 1970: the end of the year 9999. A revoked key never counts again, whatever is signed for it later.
	forEver = 253402300799
)

// Revoke ends the agents' keys: their connections are closed and none is accepted any more. Keys that are revoked already are
// no error.
func (s *Server) Revoke(ctx context.Context, keys ...string) error {
	s.revoking.Lock()
	defer s.revoking.Unlock()
	conn, err := s.connect("system", "trust", nats.NoReconnect(), nats.Timeout(systemWait))
	if err != nil {
		return err
	}
	defer conn.Close()
	for range revokeTries {
		done, err := s.revoke(ctx, conn, keys)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("revoke: the account of the agents keeps changing; try again")
}

// revoke pushes the account with the keys revoked, unless the server has it already. The next look tells whether that held.
func (s *Server) revoke(ctx context.Context, conn *nats.Conn, keys []string) (done bool, err error) {
	account, err := s.lookUp(ctx, conn)
	if err != nil {
		return false, err
	}
	done = true
	for _, key := range keys {
		if !bus.IsPublicKey(key) {
			return false, fmt.Errorf("revoke: %q is not an agent's public key", key)
		}
		if !account.IsClaimRevoked(&jwt.UserClaims{ClaimsData: jwt.ClaimsData{Subject: key, IssuedAt: time.Now().Unix()}}) {
			account.RevokeAt(key, time.Unix(forEver, 0))
			done = false
		}
	}
	if done {
		return true, nil
	}
	return false, s.push(ctx, conn, account)
}

// lookUp reads the account of the agents as the server has it.
func (s *Server) lookUp(ctx context.Context, conn *nats.Conn) (*jwt.AccountClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, systemWait)
	defer cancel()
	reply, err := conn.RequestWithContext(ctx, fmt.Sprintf("$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP", s.trust.public["agents"]), nil)
	if err != nil {
		return nil, fmt.Errorf("look up the account of the agents: %w", err)
	}
	account, err := jwt.DecodeAccountClaims(string(reply.Data))
	if err != nil {
		return nil, fmt.Errorf("look up the account of the agents: %w", err)
	}
	return account, nil
}

// push signs the account and gives it to every server. A server takes only what was signed in a later second than what it has.
func (s *Server) push(ctx context.Context, conn *nats.Conn, account *jwt.AccountClaims) error {
	select {
	case <-time.After(time.Until(time.Unix(account.IssuedAt+1, 0))):
	case <-ctx.Done():
		return ctx.Err()
	}
	signed, err := account.Encode(s.trust.keys["operator"])
	if err != nil {
		return fmt.Errorf("sign the account of the agents: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, systemWait)
	defer cancel()
	reply, err := conn.RequestWithContext(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(signed))
	if err != nil {
		return fmt.Errorf("push the account of the agents: %w", err)
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Errorf("push the account of the agents: %w", err)
	}
	if answer.Error != nil {
		return fmt.Errorf("push the account of the agents: the server refuses: %s", answer.Error.Description)
	}
	return nil
}
