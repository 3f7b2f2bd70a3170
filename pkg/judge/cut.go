package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// fall is one host that fell, for those that fall soon after it for the same voters: rule 8.
type fall struct {
	host    *host
	at      time.Time
	bad, ok []string // regions, as they had voted by then
	cause   string
}

func broken(v mesh.Verdict) bool { return v == mesh.Down || v == mesh.Partial }

// holds reports whether a check that falls waits for other hosts that may be about to: they are published together, and a
// fall that takes itself back meanwhile is not published at all.
func (j *Judge) holds(c *check, verdict mesh.Verdict) bool {
	switch {
	case broken(c.verdict):
		return false
	case c.heldSince.IsZero() && !j.hovering(c.host):
		return false
	case c.heldSince.IsZero():
		c.heldSince, c.heldAs = j.now, verdict
		j.held = append(j.held, c)
		return true
	}
	return j.now.Before(c.heldSince.Add(j.rule.CutHold)) && j.hovering(c.host)
}

func (c *check) holding() bool { return !c.heldSince.IsZero() }

// hovering reports whether a host besides this one is between two bad votes and down, with a round under way.
func (j *Judge) hovering(besides *host) bool {
	for _, h := range j.hosts {
		if h == besides {
			continue
		}
		for _, c := range h.checks {
			if !c.asked() || broken(c.verdict) || c.holding() {
				continue
			}
			if t, _ := j.tally(c, asHeard); t.Bad >= j.rule.BadRegionsMin {
				return true
			}
		}
	}
	return false
}

// release looks again at the checks that are held.
func (j *Judge) release(out *Output) {
	if len(j.held) == 0 {
		return
	}
	for _, c := range slices.Clone(j.held) {
		j.evaluate(c, out)
		j.settleHost(c.host, out)
	}
	j.held = slices.DeleteFunc(j.held, func(c *check) bool { return !c.holding() })
}

// blame names the cause of the check's fall: the one its host already has, that of a host which fell just now for the same
// voters, or a new one. Names of causes tell nothing of the host: they are public.
func (j *Judge) blame(c *check) {
	h := c.host
	if h.cause != "" {
		return
	}
	now := fall{host: h, at: j.now, bad: j.regionNames(c, mesh.Bad), ok: j.regionNames(c, mesh.OK)}
	j.falls = slices.DeleteFunc(j.falls, func(f fall) bool { return j.now.Sub(f.at) > j.rule.CutWithin })
	for _, f := range j.falls {
		if f.host.key != h.key && f.sameVoters(now) {
			now.cause = f.cause
		}
	}
	if now.cause == "" {
		now.cause = fmt.Sprintf("%d-%d", j.sequence, len(j.falls))
	}
	h.cause = now.cause
	j.falls = append(j.falls, now)
}

// sameVoters reports whether two hosts fell for the same regions: none of those that lost the one reached the other. A
// verdict does not always wait for the last region, so that one may be missing; the hosts' own regions never vote on them.
func (f fall) sameVoters(o fall) bool {
	reached := func(ok []string) func(string) bool {
		return func(region string) bool { return slices.Contains(ok, region) }
	}
	return !slices.ContainsFunc(f.bad, reached(o.ok)) && !slices.ContainsFunc(o.bad, reached(f.ok))
}

// acquit forgets the host's cause once none of its checks is broken.
func (h *host) acquit() {
	if !slices.ContainsFunc(h.checks, func(c *check) bool { return broken(c.verdict) || broken(c.published) || c.holding() }) {
		h.cause = ""
	}
}

// suspect has the other hosts of a fallen host's region looked at too, where the budget lets it: they share what may have
// been cut.
func (j *Judge) suspect(h *host) {
	for _, o := range j.hosts {
		if o != h && o.config.Region == h.config.Region && len(o.requests) == 0 && !o.asked() {
			j.request(o, roundRequest{basis: hinted, since: j.now})
		}
	}
}
