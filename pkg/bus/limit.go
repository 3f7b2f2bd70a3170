package bus

import (
	"time"

	"golang.org/x/time/rate"
)

// Bounds of what others may ask of a coordinator.
const (
	requestsMax = 256             // that wait for an answer; what comes on top is dropped, and asked again by those who need it
	askEvery    = 2 * time.Second // an agent asks once a minute, on a word, at a new connection, and every 2 s while it has none
	askBurst    = 10
	knockRate   = 20 // a second: all of a large mesh can join in a minute, and those who only knock cost little
	knockBurst  = 100
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

// newKnocks bounds how many of those who want to join are answered.
func newKnocks() *rate.Limiter { return rate.NewLimiter(knockRate, knockBurst) }
