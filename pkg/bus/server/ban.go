package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
)

// ban makes this server refuse the keys until the next call, which names the keys from then on. Unlike Revoke it
// changes only the agents' account in this server's memory: it is neither stored nor sent to other servers.
func (s *Server) ban(keys []string) error {
	s.revoking.Lock()
	defer s.revoking.Unlock()
	id := s.trust.public["agents"]
	for range changeTries {
		stored, err := s.trust.resolver.LoadAcc(id)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		claims, err := jwt.DecodeAccountClaims(stored)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		for _, key := range keys {
			// Not as of now: if the clock was stepped back, credentials that were issued before that are from the
			// future.
			claims.RevokeAt(key, time.Unix(never, 0))
		}
		account, err := s.server.LookupAccount(id)
		if err != nil {
			return fmt.Errorf("ban: %w", err)
		}
		s.server.UpdateAccountClaims(account, claims)
		// Another coordinator may have revoked a key meanwhile, which this must not undo.
		if now, err := s.trust.resolver.LoadAcc(id); err == nil && now == stored {
			return nil
		}
	}
	return errors.New("ban: the agents' account keeps changing")
}
