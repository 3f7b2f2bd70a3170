package probe

import (
	"time"

	"golang.org/x/time/rate"
)

// The rates that an agent never exceeds, whatever a catalog or a coordinator demands: even if every agent of a mesh is
// directed at one address, the traffic must stay a nuisance and not become an attack.
const (
	// TargetRate is the sustained rate of probes to one address, per second. Ten failing checks of a host need less:
	// at most six probes each, every five seconds.
	TargetRate = 20
	// TargetBurst is how many probes may go to one address at once: three for each check of a host that has
	// catalog.ChecksMax checks.
	TargetBurst = 192
	// TotalRate is the sustained rate of all probes, per second. A hundred hosts with five checks at 10 s need fifty;
	// an outage of half of them multiplies that by six.
	TotalRate = 500
	// TotalBurst is how many probes may leave at once.
	TotalBurst = 1000
	// targetsMax bounds the addresses that are counted at once, and so the memory. An agent of the largest mesh probes
	// far fewer, since a check has at most 16 observers.
	targetsMax = 20_000
)

// Caps limits the rate of probes, by target and in all. It is not safe for concurrent use.
type Caps struct {
	total   *rate.Limiter
	targets map[string]*rate.Limiter
}

// NewCaps returns Caps that have counted no probe yet.
func NewCaps() *Caps {
	return &Caps{total: rate.NewLimiter(TotalRate, TotalBurst), targets: map[string]*rate.Limiter{}}
}

// Available reports whether a probe of the target may leave now, without counting one.
func (c *Caps) Available(now time.Time, target string) bool {
	l := c.targets[target]
	return c.total.TokensAt(now) >= 1 && (l == nil && c.makeRoom(now) || l != nil && l.TokensAt(now) >= 1)
}

// Allow reports whether a probe of the target may leave now, and counts it if so.
func (c *Caps) Allow(now time.Time, target string) bool {
	if !c.Available(now, target) {
		return false
	}
	// Available has checked both limiters: otherwise a probe refused by the second would still use up the first.
	l := c.targets[target]
	if l == nil {
		l = rate.NewLimiter(TargetRate, TargetBurst)
		c.targets[target] = l
	}
	return l.AllowN(now, 1) && c.total.AllowN(now, 1)
}

// makeRoom reports whether one more target can be counted. If the map is full it forgets the targets whose limiters
// are full again: a new limiter would allow them as much.
func (c *Caps) makeRoom(now time.Time) bool {
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
