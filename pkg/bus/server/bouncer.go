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

// Bounds of what comes in by one agent's credentials, over all its connections. What an agent says at most is half of that: see
// quarantine, which has the judge not hear such an agent. This keeps its flood from the disk, which everybody waits for.
const (
	lookEvery      = 100 * time.Millisecond
	messagesRate   = 200 // a second
	messagesBurst  = 2_000
	bytesRate      = 4 << 20
	bytesBurst     = 64 << 20
	connectionsMax = 4                // one, and those that the server does not know yet to be dead
	awayFor        = time.Minute      // an agent that floods is not let in
	knockFor       = 30 * time.Second // a connection that only knocks: longer than a join may take
	knockMessages  = 20
	knockersOfOne  = 32               // connections of one client that knock at once: a join takes a second
	forgetAfter    = 10 * time.Minute // an agent that is not connected; by then its buckets are full again
	sayAgain       = time.Minute      // that one agent floods
)

// bouncer ends connections that are past the bounds.
type bouncer struct {
	server        *natsd.Server
	agents, enrol string // accounts
	log           zerolog.Logger
	guests        map[string]*guest // agents by their key
	seen          map[uint64]counted
	end           func(id uint64) // a connection
	ban           func(keys []string) error
	banned        []string      // keys, sorted
	pushes        func() uint64 // how many accounts were pushed: each lets the banned in again
	pushed        uint64        // when banned was applied
}

// guest is an agent's credentials at the door.
type guest struct {
	name            string
	messages, bytes *rate.Limiter
	connections     []uint64
	here            time.Time
	away            time.Time // until when it is let in no more
	said            time.Time
}

// counted is what a connection had said at the last look, and whose it is.
type counted struct {
	messages, bytes int64
	key, name       string
}

func newBouncer(s *Server) *bouncer {
	return &bouncer{
		server: s.server, agents: s.trust.public["agents"], enrol: s.trust.public["enrol"], log: s.log,
		guests: map[string]*guest{}, seen: map[uint64]counted{}, ban: s.ban, pushes: s.pushes.Load,
		end: func(id uint64) { _ = s.server.DisconnectClientByID(id) }, // one that has gone by itself is no matter
	}
}

// run looks at every connection until ctx ends.
func (b *bouncer) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			agents, err := b.of(b.agents, true)
			var knocking []*natsd.ConnInfo
			if err == nil {
				knocking, err = b.of(b.enrol, false)
			}
			if err != nil {
				b.log.Warn().Err(err).Msg("connections cannot be looked at")
				continue
			}
			b.look(now, agents, knocking)
		}
	}
}

// of lists the connections of an account. They belong to it once they are let in: before, the server still writes down whose
// they are, and holds no lock.
func (b *bouncer) of(account string, whose bool) ([]*natsd.ConnInfo, error) {
	all, err := b.server.Connz(&natsd.ConnzOptions{Account: account, Username: whose, Limit: connections})
	if err != nil {
		return nil, err
	}
	return all.Conns, nil
}

// look counts what came in since the last look, and ends what is past the bounds.
func (b *bouncer) look(now time.Time, agents, knocking []*natsd.ConnInfo) {
	before := b.seen
	b.seen = make(map[uint64]counted, len(agents))
	for _, c := range agents {
		was, met := before[c.Cid]
		is := counted{c.InMsgs, c.InBytes, was.key, was.name}
		if !met {
			is.key, is.name = holder(c.JWT)
		}
		b.seen[c.Cid] = is
		b.count(now, c.Cid, is, int(c.InMsgs-was.messages), int(c.InBytes-was.bytes))
	}
	b.knocking(now, knocking)
	var banned []string
	for key, g := range b.guests {
		b.judge(now, key, g)
		if now.Before(g.away) {
			banned = append(banned, key)
		}
	}
	pushed := b.pushes()
	if slices.Sort(banned); slices.Equal(banned, b.banned) && (len(banned) == 0 || pushed == b.pushed) {
		return
	}
	if err := b.ban(banned); err != nil {
		b.log.Error().Err(err).Msg("agents that flood can come back at once")
		return // and is tried again
	}
	b.banned, b.pushed = banned, pushed
}

// knocking ends the connections of those who stay or chatter, and of a client that has too many its oldest: who has just come
// may have a token. The connections come in the order in which they were opened.
func (b *bouncer) knocking(now time.Time, all []*natsd.ConnInfo) {
	of := map[netip.Prefix]int{}
	for _, c := range slices.Backward(all) {
		client := ratelimit.Client(c.IP)
		of[client]++
		if now.Sub(c.Start) > knockFor || c.InMsgs > knockMessages || of[client] > knockersOfOne {
			b.end(c.Cid)
		}
	}
}

// count adds what came by one connection to what is known of its agent.
func (b *bouncer) count(now time.Time, id uint64, c counted, messages, bytes int) {
	g := b.guests[c.key]
	if g == nil {
		g = &guest{name: c.name, messages: rate.NewLimiter(messagesRate, messagesBurst), bytes: rate.NewLimiter(bytesRate, bytesBurst)}
		b.guests[c.key] = g
	}
	g.here, g.connections = now, append(g.connections, id)
	// What is more than a bucket holds empties it.
	within := g.messages.AllowN(now, min(messages, messagesBurst)) && messages <= messagesBurst
	if within = g.bytes.AllowN(now, min(bytes, bytesBurst)) && bytes <= bytesBurst && within; !within {
		g.away = now.Add(awayFor)
	}
}

// holder is whose a JWT is, which the server has verified. What a connection says of itself beside that may be a lie.
func holder(token string) (key, name string) {
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return "", ""
	}
	return claims.Subject, claims.Name
}

// judge ends the connections of an agent that floods, and those that are too many.
func (b *bouncer) judge(now time.Time, key string, g *guest) {
	end, why := 0, ""
	switch {
	case now.Before(g.away):
		end, why = len(g.connections), fmt.Sprintf("it floods: more than %d messages or %d MB a second", messagesRate, bytesRate>>20)
	case len(g.connections) > connectionsMax:
		end, why = len(g.connections)-connectionsMax, fmt.Sprintf("its credentials are used by more than %d connections at once", connectionsMax)
	case now.Sub(g.here) > forgetAfter:
		delete(b.guests, key)
	}
	for _, id := range g.connections[:end] {
		b.end(id)
	}
	g.connections = nil
	if end > 0 && now.Sub(g.said) > sayAgain {
		g.said = now
		b.log.Warn().Str("agent", g.name).Str("why", why).Msg("an agent is disconnected; if its server is not in your hands, revoke it")
	}
}
