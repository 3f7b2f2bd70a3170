package server

import (
	"fmt"
	"slices"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
)

// endRevoked closes new connections whose credentials are revoked, and returns the others. The server compares
// credentials with the revocations first and adds the connection to its account later: a key that is revoked between
// the two keeps its connection, because the server closes only those that the account has by then.
func (p *policer) endRevoked(all []*natsd.ConnInfo, seen map[uint64]counted) []*natsd.ConnInfo {
	isNew := func(c *natsd.ConnInfo) bool { _, known := seen[c.Cid]; return !known }
	if !slices.ContainsFunc(all, isNew) {
		return all
	}
	// Read after the connections were listed: the account is stored before the server closes what it revokes.
	account, err := p.account()
	if err != nil {
		p.log.Error().Err(err).Msg("new connections not compared with the revoked keys, retrying")
		return slices.DeleteFunc(all, isNew) // they stay new
	}
	return slices.DeleteFunc(all, func(c *natsd.ConnInfo) bool {
		if !isNew(c) {
			return false
		}
		claims, err := jwt.DecodeUserClaims(c.JWT)
		if err != nil || !account.IsClaimRevoked(claims) {
			return false
		}
		p.log.Warn().Str("agent", claims.Name).Msg("agent disconnected: its key was revoked while it connected")
		p.disconnect(c.Cid)
		return true
	})
}

// agentsAccount reads the agents' account as it is stored.
func (s *Server) agentsAccount() (*jwt.AccountClaims, error) {
	stored, err := s.trust.resolver.LoadAcc(s.trust.public["agents"])
	if err != nil {
		return nil, fmt.Errorf("load the agents' account: %w", err)
	}
	account, err := jwt.DecodeAccountClaims(stored)
	if err != nil {
		return nil, fmt.Errorf("load the agents' account: %w", err)
	}
	return account, nil
}
