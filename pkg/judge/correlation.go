package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// correlation recognises hosts that one cut takes down together: rule 8. A fall waits a moment for other hosts that may
// be about to fall, and hosts that fell for the same voters get the same cause.
type correlation struct {
	env   *environment
	mesh  *topology
	held  []*check
	falls []fall // of the last CutWithin
}

// fall is one host that fell.
type fall struct {
	host    string // its key
	at      time.Time
	bad, ok []string // regions, as they had voted by then
	cause   string
}

// holdBack reports whether the check's fall must wait for other hosts that may be about to fall: they are published
// together, and a fall that is undone meanwhile is not published at all.
func (k *correlation) holdBack(c *check, verdict mesh.Verdict) bool {
	switch {
	case broken(c.verdict):
		return false
	case !c.held() && !k.otherMayFall(c.host):
		return false
	case !c.held():
		c.heldSince, c.heldAs = k.env.now, verdict
		k.held = append(k.held, c)
		return true
	}
	return k.env.now.Before(c.heldSince.Add(k.env.rule.CutHold)) && k.otherMayFall(c.host)
}

// otherMayFall reports whether another host is between two bad votes and down, with a round under way.
func (k *correlation) otherMayFall(than *host) bool {
	for _, h := range k.mesh.hosts {
		if h == than {
			continue
		}
		for _, c := range h.checks {
			if c.rounds.current == nil || broken(c.verdict) || c.held() {
				continue
			}
			if t, _ := c.count(k.env, asHeard); t.Bad >= k.env.rule.BadRegionsMin {
				return true
			}
		}
	}
	return false
}

// assignCause gives the check's host a cause for its fall: the one it already has, that of a host which fell just now
// for the same voters, or a new one. Causes are public, so their names reveal nothing about the host.
func (k *correlation) assignCause(c *check) {
	h := c.host
	if h.cause != "" {
		return
	}
	latest := fall{host: h.key, at: k.env.now, bad: c.regionNames(k.env, mesh.Bad), ok: c.regionNames(k.env, mesh.OK)}
	k.falls = slices.DeleteFunc(k.falls, func(f fall) bool { return k.env.now.Sub(f.at) > k.env.rule.CutWithin })
	for _, f := range k.falls {
		if f.host != h.key && f.sameVoters(latest) {
			latest.cause = f.cause
		}
	}
	if latest.cause == "" {
		latest.cause = fmt.Sprintf("%d-%d", k.env.sequence, len(k.falls))
	}
	h.cause = latest.cause
	k.falls = append(k.falls, latest)
}

// sameVoters reports whether two hosts fell for the same regions: none of those that lost one of them reached the
// other. The lists may differ: a verdict does not always wait for the last region, and the hosts' own regions never
// vote on them.
func (f fall) sameVoters(o fall) bool {
	in := func(ok []string) func(string) bool {
		return func(region string) bool { return slices.Contains(ok, region) }
	}
	return !slices.ContainsFunc(f.bad, in(o.ok)) && !slices.ContainsFunc(o.bad, in(f.ok))
}
