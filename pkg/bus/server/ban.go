package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
)

// ban keeps the keys out of this server until it is called without them. It changes only what the server holds in memory of the
// agents' account, and not the account that is kept and told to others: unlike Revoke, it is over by itself.
func (s *Server) ban(keys []string) error {
	s.revoking.Lock()
	defer s.revoking.Unlock()
	id := s.trust.public["agents"]
	for range changeTries {
		kept, err := s.trust.resolver.LoadAcc(id)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		claims, err := jwt.DecodeAccountClaims(kept)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		for _, key := range keys {
			// For ever, until the next call: a wall clock that was stepped back would let in who was admitted since.
			claims.RevokeAt(key, time.Unix(forEver, 0))
		}
		account, err := s.server.LookupAccount(id)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		s.server.UpdateAccountClaims(account, claims)
		// Another coordinator may have revoked a key meanwhile: that must not be undone here.
		if now, err := s.trust.resolver.LoadAcc(id); err == nil && now == kept {
			return nil
		}
	}
	return errors.New("ban: the account of the agents keeps changing")
}
