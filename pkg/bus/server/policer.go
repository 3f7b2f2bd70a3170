package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bounds of what one agent's credentials may send, over all their connections. An agent sends half of that at most; one
// that sends more than an agent can is kept from the judge by package admission. These bounds keep a flood from the
// disk, which all agents share.
const (
	policeEvery    = 100 * time.Millisecond
	messagesRate   = 200 // a second
	messagesBurst  = 2_000
	bytesRate      = 4 << 20
	bytesBurst     = 64 << 20
	connectionsMax = 4                // the present one, and those that the server does not know to be dead yet
	banTime        = time.Minute      // of an agent that floods
	forgetAfter    = 10 * time.Minute // of an agent that is not connected; its buckets are full again by then
	warnAgain      = time.Minute      // between two log lines about one agent
)

// Bounds of a connection without credentials, which may only send join requests.
const (
	joinTime              = 30 * time.Second // longer than joining may take
	joinMessages          = 20
	joinConnectionsClient = 32 // connections of one client at once; joining takes a second
	// joinConnections bounds them for all clients together. The account has twice as many places, so that a flood
	// between two turns leaves some for agents with a token.
	joinConnections = enrolConnections / 2
)

// policer closes connections that exceed their bounds. The server has no rate limits of its own, so the policer
// compares its counters ten times a second.
type policer struct {
	server        *natsd.Server
	agents, enrol string // accounts
	others        []string
	log           zerolog.Logger
	clients       map[string]*client // agents, by key
	seen          map[uint64]counted // connections, by id
	disconnect    func(id uint64)
	ban           func(keys []string) error
	account       func() (*jwt.AccountClaims, error) // of the agents, as stored
	proxy         *proxy                             // is told which connections have authenticated
	banned        []string                           // keys, sorted
	pushes        func() uint64                      // how many accounts were pushed: each push lifts the ban
	pushed        uint64                             // pushes when banned was applied
}

// client is what is known of an agent's credentials.
type client struct {
	name            string
	messages, bytes *rate.Limiter
	connections     []uint64 // ids, in this turn
	lastSeen        time.Time
	bannedUntil     time.Time
	warned          time.Time
}

// counted is what a connection had sent at the last turn, and the credentials that it uses.
type counted struct {
	messages, bytes int64
	key, name       string
}

func newPolicer(s *Server) *policer {
	return &policer{
		server: s.server, agents: s.trust.public["agents"], enrol: s.trust.public["enrol"],
		others: []string{s.trust.public["mesh"], s.trust.public["system"]}, log: s.log, proxy: s.proxy,
		clients: map[string]*client{}, seen: map[uint64]counted{}, ban: s.ban, pushes: s.pushes.Load,
		account: s.agentsAccount,
		// The error says that the connection has closed meanwhile.
		disconnect: func(id uint64) { _ = s.server.DisconnectClientByID(id) },
	}
}

// run checks every connection until ctx ends.
func (p *policer) run(ctx context.Context) {
	ticker := time.NewTicker(policeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			agents, err := p.connections(p.agents, true)
			var joining []*natsd.ConnInfo
			if err == nil {
				joining, err = p.connections(p.enrol, false)
			}
			if err != nil {
				p.log.Warn().Err(err).Msg("connections not policed")
				continue
			}
			p.freeSlots(now, agents, joining)
			p.police(now, agents, joining)
		}
	}
}

// connections lists the connections of an account, in the order in which they were opened. withJWT adds their
// credentials. A connection belongs to its account only once it is authenticated: before, the server still changes it,
// without a lock that Connz takes.
func (p *policer) connections(account string, withJWT bool) ([]*natsd.ConnInfo, error) {
	all, err := p.server.Connz(&natsd.ConnzOptions{Account: account, Username: withJWT, Limit: connections})
	if err != nil {
		return nil, err
	}
	return all.Conns, nil
}

// freeSlots frees the slots of connections that have authenticated.
func (p *policer) freeSlots(now time.Time, agents, joining []*natsd.ConnInfo) {
	if !p.proxy.hasWaiting() {
		return
	}
	for _, c := range agents {
		p.proxy.authenticated(c.Cid, true, now)
	}
	for _, account := range p.others {
		// Of an account that nobody uses yet the server knows nothing.
		all, _ := p.connections(account, false)
		joining = append(joining, all...)
	}
	for _, c := range joining {
		p.proxy.authenticated(c.Cid, false, now)
	}
}

// police counts what arrived since the last turn, closes what exceeds the bounds, and updates the ban.
func (p *policer) police(now time.Time, agents, joining []*natsd.ConnInfo) {
	before := p.seen
	p.seen = make(map[uint64]counted, len(agents))
	agents = p.endRevoked(agents, before)
	for _, c := range agents {
		last, known := before[c.Cid]
		current := counted{c.InMsgs, c.InBytes, last.key, last.name}
		if !known {
			current.key, current.name = holder(c.JWT)
		}
		p.seen[c.Cid] = current
		p.charge(now, c.Cid, current, int(c.InMsgs-last.messages), int(c.InBytes-last.bytes))
	}
	p.policeJoining(now, joining)
	var banned []string
	for key, c := range p.clients {
		p.enforce(now, key, c)
		if now.Before(c.bannedUntil) {
			banned = append(banned, key)
		}
	}
	pushed := p.pushes()
	if slices.Sort(banned); slices.Equal(banned, p.banned) && (len(banned) == 0 || pushed == p.pushed) {
		return
	}
	if err := p.ban(banned); err != nil {
		p.log.Error().Err(err).Msg("flooding agents not banned, retrying")
		return
	}
	p.banned, p.pushed = banned, pushed
}

// policeJoining closes connections without credentials that last too long or send too much, and the oldest of a
// client that has too many: the newest is the likeliest to have a token that was not used yet. If all clients
// together have too many, it closes those of the clients that have the most, so that many addresses of one attacker
// do not take the place of somebody with a token.
func (p *policer) policeJoining(now time.Time, all []*natsd.ConnInfo) {
	count := map[netip.Prefix]int{}
	var kept []*natsd.ConnInfo // newest first
	for _, c := range slices.Backward(all) {
		client := ratelimit.Client(c.IP)
		if now.Sub(c.Start) > joinTime || c.InMsgs > joinMessages || count[client] >= joinConnectionsClient {
			p.disconnect(c.Cid)
			continue
		}
		count[client]++
		kept = append(kept, c)
	}
	for share := joinConnectionsClient - 1; len(kept) > joinConnections && share > 0; share-- {
		clear(count)
		kept = slices.DeleteFunc(kept, func(c *natsd.ConnInfo) bool {
			client := ratelimit.Client(c.IP)
			count[client]++
			if count[client] <= share {
				return false
			}
			p.disconnect(c.Cid)
			return true
		})
	}
}

// charge adds what arrived on one connection to what its agent has sent.
func (p *policer) charge(now time.Time, id uint64, current counted, messages, bytes int) {
	c := p.clients[current.key]
	if c == nil {
		c = &client{
			name: current.name, messages: rate.NewLimiter(messagesRate, messagesBurst),
			bytes: rate.NewLimiter(bytesRate, bytesBurst),
		}
		p.clients[current.key] = c
	}
	c.lastSeen, c.connections = now, append(c.connections, id)
	// A limiter refuses at once, and charges nothing, if it is asked for more than its burst. So it is asked for the
	// burst.
	within := c.messages.AllowN(now, min(messages, messagesBurst)) && messages <= messagesBurst
	if within = c.bytes.AllowN(now, min(bytes, bytesBurst)) && bytes <= bytesBurst && within; !within {
		c.bannedUntil = now.Add(banTime)
	}
}

// holder returns the key and name in a JWT. The server has verified them, unlike the name that a connection gives
// itself.
func holder(token string) (key, name string) {
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return "", ""
	}
	return claims.Subject, claims.Name
}

// enforce closes the connections of an agent that floods, and the oldest of one that has too many.
func (p *policer) enforce(now time.Time, key string, c *client) {
	end, reason := 0, ""
	switch {
	case now.Before(c.bannedUntil):
		end, reason = len(c.connections), fmt.Sprintf("it floods: more than %d messages or %d MB a second", messagesRate,
			bytesRate>>20)
	case len(c.connections) > connectionsMax:
		end, reason = len(c.connections)-connectionsMax,
			fmt.Sprintf("its credentials are used by more than %d connections at once", connectionsMax)
	case now.Sub(c.lastSeen) > forgetAfter:
		delete(p.clients, key)
	}
	for _, id := range c.connections[:end] {
		p.disconnect(id)
	}
	c.connections = nil
	if end > 0 && now.Sub(c.warned) > warnAgain {
		c.warned = now
		p.log.Warn().Str("agent", c.name).Str("reason", reason).
			Msg("agent disconnected; if its server is compromised, revoke it")
	}
}
