package bus

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
	requestsMax = 256 // that wait for an answer; further ones are dropped, and agents that need them ask again
	// What arrived and was not looked at yet. Looking takes a microsecond.
	arrivedMax, arrivedBytes = 64 << 10, 16 << 20
	askEvery                 = 2 * time.Second // an agent asks once a minute, when notified, at a new connection, and every 2 s while it has none
	askBurst                 = 10
	askersMax                = 100_000 // remembered for that; only agents that were enrolled have a name
	knockRate                = 100     // a second, of all: each costs a look into the bucket, and a client has a fifth of them at most
	knockBurst               = 500
	// Of one client: a rack of a hundred servers behind one address can join at once, and all of a large mesh in a minute. A
	// token cannot be guessed; this keeps who only knocks from those who have one.
	clientKnockRate  = 20
	clientKnockBurst = 100
	knockersMax      = 10_000 // remembered for that
)

// newAsks bounds how often each agent is given the catalog, which is large: an agent can have what it is given sent to others.
func newAsks() *ratelimit.Rates[string] {
	return ratelimit.NewRates[string](rate.Every(askEvery), askBurst, askersMax)
}

// knocks bounds how many of those who want to join are answered, in all and of one client.
type knocks struct {
	all     *rate.Limiter
	clients *ratelimit.Rates[netip.Prefix]
}

func newKnocks() *knocks {
	return &knocks{rate.NewLimiter(knockRate, knockBurst), ratelimit.NewRates[netip.Prefix](clientKnockRate, clientKnockBurst, knockersMax)}
}

// allow charges the client first: what it may not, takes nothing from others.
func (k *knocks) allow(c netip.Prefix) bool {
	now := time.Now()
	return k.clients.Allow(now, c) && k.all.AllowN(now, 1)
}

// knocker is who sent a request to join, as the server says: the account of those who knock shares it. From a server that does
// not say, all are one client.
func knocker(m *nats.Msg) netip.Prefix {
	var who struct {
		Host string `json:"host"`
	}
	if json.Unmarshal([]byte(m.Header.Get("Nats-Request-Info")), &who) != nil {
		return netip.Prefix{}
	}
	return ratelimit.Client(who.Host)
}
