package bus

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/fair"
)

// Bounds of what others may ask of a coordinator.
const (
	requestsMax = 256             // that wait for an answer; what comes on top is dropped, and asked again by those who need it
	askEvery    = 2 * time.Second // an agent asks once a minute, on a word, at a new connection, and every 2 s while it has none
	askBurst    = 10
	knockRate   = 100 // a second, of all: each costs a look into the bucket, and a client has a fifth of them at most
	knockBurst  = 500
	// Of one client: a rack of a hundred servers behind one address can join at once, and all of a large mesh in a minute. A
	// token cannot be guessed; this keeps who only knocks from those who have one.
	clientKnockRate  = 20
	clientKnockBurst = 100
	knockersMax      = 10_000 // remembered for that
)

// asks bounds how often each agent is given the catalog, which is large: an agent can have what it is given sent to others.
// There are no more names than agents that were enrolled.
type asks map[string]*rate.Limiter

func newAsks() asks { return asks{} }

func (a asks) allow(agent string) bool {
	l := a[agent]
	if l == nil {
		l = rate.NewLimiter(rate.Every(askEvery), askBurst)
		a[agent] = l
	}
	return l.Allow()
}

// knocks bounds how many of those who want to join are answered, in all and of one client.
type knocks struct {
	all     *rate.Limiter
	clients map[netip.Prefix]*rate.Limiter
}

func newKnocks() *knocks {
	return &knocks{rate.NewLimiter(knockRate, knockBurst), map[netip.Prefix]*rate.Limiter{}}
}

// allow charges the client first: what it may not, takes nothing from others.
func (k *knocks) allow(c netip.Prefix) bool {
	l := k.clients[c]
	if l == nil {
		if len(k.clients) >= knockersMax {
			clear(k.clients)
		}
		l = rate.NewLimiter(clientKnockRate, clientKnockBurst)
		k.clients[c] = l
	}
	return l.Allow() && k.all.Allow()
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
	return fair.Client(who.Host)
}
