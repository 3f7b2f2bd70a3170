package probe

import (
	"time"

	"golang.org/x/time/rate"
)

// The most that an agent probes, whatever a catalog or a coordinator says: with every agent of a mesh turned on one address
// it must stay a nuisance.
const (
	// TargetRate is how many probes a second go to one address for long. Ten checks of a host that fails are at most six
	// probes each, every five seconds.
	TargetRate = 20
	// TargetBurst is how many may go to it at once: a look at a host with as many checks as a catalog allows, three probes each.
	TargetBurst = 192
	// TotalRate is how many probes a second leave in all. A hundred hosts with five checks at 10 s are fifty, and in an outage
	// of half of them six times as many.
	TotalRate = 500
	// TotalBurst is how many may leave at once.
	TotalBurst = 1000
	// targetsMax is how many addresses are counted at once. A catalog of the largest mesh has 16 observers a check, so that an
	// agent looks at far fewer.
	targetsMax = 20_000
)

// Caps counts probes against the most that may leave, by target and in all. It is not safe for concurrent use.
type Caps struct {
	total   *rate.Limiter
	targets map[string]*rate.Limiter
}

// NewCaps has counted nothing yet.
func NewCaps() *Caps {
	return &Caps{total: rate.NewLimiter(TotalRate, TotalBurst), targets: map[string]*rate.Limiter{}}
}

// Has reports whether a probe of the target may leave now.
func (c *Caps) Has(now time.Time, target string) bool {
	l := c.targets[target]
	return c.total.TokensAt(now) >= 1 && (l == nil && c.room(now) || l != nil && l.TokensAt(now) >= 1)
}

// Take counts a probe of the target that leaves now, and reports whether it may.
func (c *Caps) Take(now time.Time, target string) bool {
	if !c.Has(now, target) {
		return false
	}
	l := c.targets[target]
	if l == nil {
		l = rate.NewLimiter(TargetRate, TargetBurst)
		c.targets[target] = l
	}
	return l.AllowN(now, 1) && c.total.AllowN(now, 1)
}

// room makes room for one more target, by forgetting those that nothing was sent to lately.
func (c *Caps) room(now time.Time) bool {
	if len(c.targets) < targetsMax {
		return true
	}
	for target, l := range c.targets {
		if l.TokensAt(now) >= TargetBurst {
			delete(c.targets, target)
		}
	}
	return len(c.targets) < targetsMax
}
