package coordinator

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bounds of what others may ask of a coordinator.
const (
	// Requests that wait for an answer. Further ones are dropped, and agents that need an answer ask again.
	requestsMax = 256
	// Messages that arrived and were not rate-limited yet, which takes a microsecond each.
	arrivedMax, arrivedBytes = 64 << 10, 16 << 20

	// An agent asks once a minute, when notified, after a reconnect, and every 2 s while it has no catalog. An answer
	// may be large, and an agent can have it sent to others.
	askEvery  = 2 * time.Second
	askBurst  = 10
	askersMax = 100_000 // agents remembered for that; only those that joined have a name

	// Join requests of all clients, per second. Each costs a read of the bucket, and one client may send a fifth of
	// them.
	joinRate, joinBurst = 100, 500
	// Join requests of one client, per second: a rack of a hundred servers behind one address can join at once, and all
	// of a large mesh in a minute. A token cannot be guessed; the limit keeps clients without one from starving those
	// with one.
	clientJoinRate, clientJoinBurst = 20, 100
	joiningClientsMax               = 10_000 // clients remembered for that
)

// joinLimits bounds the rate of join requests, of all clients and of each.
type joinLimits struct {
	all     *rate.Limiter
	clients *ratelimit.Rates[netip.Prefix]
}

func newJoinLimits() *joinLimits {
	return &joinLimits{
		all:     rate.NewLimiter(joinRate, joinBurst),
		clients: ratelimit.NewRates[netip.Prefix](clientJoinRate, clientJoinBurst, joiningClientsMax),
	}
}

// allow charges the client first: a request beyond its own limit takes nothing from others.
func (l *joinLimits) allow(client netip.Prefix) bool {
	now := time.Now()
	return l.clients.Allow(now, client) && l.all.AllowN(now, 1)
}

// requester returns the client that sent a join request, as the server reports it: the account of joining clients
// shares that with coordinators. All requests from a server that does not report it count as one client's.
func requester(m *nats.Msg) netip.Prefix {
	var info struct {
		Host string `json:"host"`
	}
	if json.Unmarshal([]byte(m.Header.Get("Nats-Request-Info")), &info) != nil {
		return netip.Prefix{}
	}
	return ratelimit.Client(info.Host)
}
