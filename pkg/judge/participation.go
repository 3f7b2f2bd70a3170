package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// participation is a check's part in rounds: those that are open for it, and what earlier ones found.
type participation struct {
	current  *round // the one that the check takes part in until its part is over
	next     *round // the newest that opened meanwhile
	findings findings
	dissents dissents
	// requestedBy names the regions whose votes against the verdict requested the coming round.
	requestedBy []string
}

// latest returns the newest round that the check takes part in, or nil.
func (p *participation) latest() *round {
	if p.next != nil {
		return p.next
	}
	return p.current
}

// noteAnswer records that a vantage probed because of the round with this id.
func (p *participation) noteAnswer(id uint64) {
	for _, r := range []*round{p.current, p.next} {
		if r != nil && id >= r.id {
			r.answered = true
		}
	}
}

// takeNext continues with the round that opened while another was open, once that one is closed, and reports whether
// there is one. A check that is held back takes part in no further round: its fall was decided by an earlier one, and
// answers that a newer one still waits for must not count against it.
func (p *participation) takeNext(held bool) bool {
	if p.current != nil || p.next == nil || held {
		return false
	}
	p.current, p.next = p.next, nil
	return true
}

// close ends the check's part in its current round, and returns the round. An ok from before the round that was never
// confirmed is muted until the next probe.
func (p *participation) close(edges []*edge) *round {
	r := p.current
	for _, e := range edges {
		e.muted = e.muted || e.outcome.Good() && !e.answered(r)
	}
	p.current = nil
	return r
}

// late reports whether the time for the check's part in the current round is over.
func (p *participation) late(env *environment, config *catalog.Check) bool {
	limit := max(env.rule.RoundTimeout, config.Timeout+env.rule.RoundGrace)
	return env.now.Sub(p.current.opened) >= limit
}

// findings are those of recent rounds in which several regions were bad, oldest first. Two of them may confirm a
// partial outage.
type findings []quorum.Finding

// confirm reports whether the latest finding and one of these confirm a partial outage together.
func (f findings) confirm(r catalog.Rule, latest quorum.Finding) bool {
	return slices.ContainsFunc(f, func(old quorum.Finding) bool { return quorum.ConfirmsPartial(r, old, latest) })
}

// stillShow reports whether votes still show an outage that one of the findings showed.
func (f findings) stillShow(r catalog.Rule, now quorum.Finding) bool {
	return slices.ContainsFunc(f, func(old quorum.Finding) bool { return quorum.SamePartial(r, old, now) })
}

// add records the latest finding and drops those that are too old to confirm anything.
func (f *findings) add(r catalog.Rule, latest quorum.Finding) {
	const most = 16 // rounds are at least a second apart; this bounds memory if the catalog sets other numbers
	*f = slices.DeleteFunc(*f, func(old quorum.Finding) bool {
		return latest.Closed.Sub(old.Closed) > 2*quorum.PartialWithin(r)
	})
	if latest.Suspicious(r) {
		*f = append(*f, latest)
	}
	if len(*f) > most {
		*f = slices.Delete(*f, 0, 1)
	}
}

// dissent is what one region's votes against a check's verdict led to: rounds that did not change it.
type dissent struct {
	region string
	rounds int
	last   time.Time
	until  time.Time // the region does not request another round before this
}

// forgotten reports whether the region was quiet for long enough to be treated as one that never dissented.
func (d dissent) forgotten(now time.Time) bool {
	return now.Sub(d.last) > max(calmAtLeast, 2*d.until.Sub(d.last))
}

type dissents []dissent

// of returns the region's dissent, without history if that is forgotten.
func (all dissents) of(region string, now time.Time) dissent {
	for _, d := range all {
		if d.region == region && !d.forgotten(now) {
			return d
		}
	}
	return dissent{region: region}
}

// least returns the fewest rounds that one of the regions led to without changing the verdict, and when the first of
// them may request the next. Each region waits for itself: one that had not voted against the verdict before requests a
// round at once, whichever others did, and however often.
func (all dissents) least(regions []string, now time.Time) (rounds int, until time.Time) {
	for i, region := range regions {
		d := all.of(region, now)
		if i == 0 || d.rounds < rounds {
			rounds = d.rounds
		}
		if i == 0 || d.until.Before(until) {
			until = d.until
		}
	}
	return rounds, until
}

// noteDissent counts a round that closed for the regions that requested it, and for those that voted against the
// verdict at its end. So a region that requests rounds and denies it in each of them is counted, too.
//
// Rounds come in pairs, since a partial outage takes two that are PartialAfter apart, and it is the time between pairs
// that grows: fourfold, so that the host's account outlasts it. A round that others requested while the region waited
// is not one of its pair.
func (c *check) noteDissent(env *environment) {
	regions := slices.Concat(c.rounds.requestedBy, c.dissenting(env))
	slices.Sort(regions)
	regions, c.rounds.requestedBy = slices.Compact(regions), nil
	if c.verdict != mesh.Down && len(regions) < env.rule.BadRegionsMin {
		return // a lone region's rounds are limited by its edges' backoff: what it found may be half of an outage later
	}
	for _, region := range regions {
		d := c.rounds.dissents.of(region, env.now)
		if env.now.Before(d.until) {
			continue
		}
		d.rounds, d.last = d.rounds+1, env.now
		d.until = env.now.Add(env.rule.PartialAfter)
		if d.rounds%2 == 0 {
			d.until = env.now.Add(delay(env.rule.PartialAfter, d.rounds+1))
		}
		others := slices.DeleteFunc(c.rounds.dissents, func(old dissent) bool { return old.region == region })
		c.rounds.dissents = append(others, d)
	}
}

// dissenting returns the regions that vote against the check's verdict.
func (c *check) dissenting(env *environment) []string {
	if c.verdict == mesh.Down {
		return c.regionNames(env, mesh.OK)
	}
	return c.regionNames(env, mesh.Bad)
}

// finding returns the check's votes as a finding of the round. A nil round is votes without one.
func (c *check) finding(env *environment, r *round) quorum.Finding {
	f := quorum.Finding{Bad: c.regionNames(env, mesh.Bad), OK: c.regionNames(env, mesh.OK)}
	if r != nil {
		f.Opened, f.Closed = r.opened, env.now
	}
	return f
}
