package judge_test

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// halfSilent: half or more of the regions are silent at once.
func (r *reference) halfSilent() bool {
	heard, speaking := map[string]bool{}, map[string]bool{}
	for _, h := range r.catalog.Hosts {
		if r.part(h.Key()) {
			heard[h.Region] = true
			speaking[h.Region] = speaking[h.Region] || !r.silent(h.Key())
		}
	}
	silent := 0
	for region := range heard {
		if !speaking[region] {
			silent++
		}
	}
	return silent > 0 && 2*silent >= len(heard)
}

// refAnswer is a verdict: held true by the votes themselves, or only held.
type refAnswer struct {
	verdict           mesh.Verdict
	positive, partial bool
}

// verdict: rule 5.
func (r *reference) verdict(c *refCheck, n, u, d int, mayFall, confirmed bool) refAnswer {
	a := r.verdictOf(c, n, u, d, mayFall, confirmed)
	if c.verdict == mesh.Pending && a.verdict != mesh.Up {
		return refAnswer{verdict: mesh.Pending}
	}
	return a
}

func (r *reference) verdictOf(c *refCheck, n, u, d int, mayFall, confirmed bool) refAnswer {
	before := refAnswer{verdict: mesh.Unknown}
	if c.verdict != mesh.Unknown && (r.now.Before(c.madeBy) || r.holdsAfterStart()) {
		before.verdict = c.verdict
	}
	oneInFive := int(math.Floor(float64(u+d)/5 + 1e-9))
	switch {
	case n < 3:
		return refAnswer{verdict: mesh.Unknown}
	case d >= 2 && 2*d > n && u <= oneInFive:
		if c.verdict == mesh.Down || !r.halfSilent() && mayFall {
			return refAnswer{verdict: mesh.Down, positive: true}
		}
		return before
	case d >= 2 && u > oneInFive:
		if c.verdict == mesh.Partial || !r.halfSilent() && mayFall && confirmed {
			return refAnswer{verdict: mesh.Partial, positive: true, partial: true}
		}
		before.partial = true
		return before
	case u >= 1 && d <= 1:
		return refAnswer{verdict: mesh.Up, positive: true}
	}
	return before
}

// holdsAfterStart: for one freshness period after the start what was said holds.
func (r *reference) holdsAfterStart() bool {
	check := r.catalog.Hosts[0].Checks[0]
	return r.now.Before(r.start.Add(2*check.Interval + check.Timeout))
}

// judge decides on the host's check as of now.
func (r *reference) judge(h *catalog.Host) {
	c, round := r.checks[h.Key()], r.rounds[h.Key()]
	if round == nil {
		n, u, d, _ := r.tally(h, mesh.Abstain)
		r.apply(h, c, r.verdict(c, n, u, d, false, false), u, d)
		return
	}
	waits := slices.ContainsFunc(r.voters(h), func(s refSeat) bool {
		return slices.ContainsFunc(s.vantages, func(v string) bool { return r.waited(v, h) })
	})
	if limit := max(3*time.Second, h.Checks[0].Timeout+2*time.Second); waits && r.now.Sub(round.opened) < limit {
		n, u, d, _ := r.tally(h, mesh.OK)
		best := r.verdict(c, n, u, d, true, false)
		n, u, d, _ = r.tally(h, mesh.Bad)
		worst := r.verdict(c, n, u, d, true, false)
		if best.verdict == worst.verdict && best.positive && worst.positive && !best.partial {
			_, u, d, _ = r.tally(h, mesh.Abstain)
			r.apply(h, c, best, u, d)
		}
		return
	}
	r.close(h, c, round)
}

// close ends the round.
func (r *reference) close(h *catalog.Host, c *refCheck, round *refRound) {
	for _, s := range r.seats[h.Key()] {
		for _, v := range s.vantages {
			key := refEdge{v, h.Key()}
			if w, ok := r.words[key]; ok && w.outcome.Good() && !r.answered(v, h, round) {
				w.mute = true
				r.words[key] = w
			}
		}
	}
	delete(r.rounds, h.Key())
	r.closings++
	n, u, d, bad := r.tally(h, mesh.Abstain)
	confirmed := slices.Equal(bad, c.partialSet) && !c.partialFrom.IsZero() && r.now.Sub(c.partialFrom) >= 5*time.Second
	a := r.verdict(c, n, u, d, true, confirmed)
	switch {
	case !a.partial:
		c.partialSet, c.partialFrom = nil, time.Time{}
	case !slices.Equal(bad, c.partialSet) || c.partialFrom.IsZero():
		c.partialSet, c.partialFrom = bad, r.now
	}
	r.apply(h, c, a, u, d)
}

// apply makes the answer the verdict: rule 7 lets a check leave down only after half of the voting regions saw two successes.
func (r *reference) apply(h *catalog.Host, c *refCheck, a refAnswer, u, d int) {
	if !a.positive && r.holdsAfterStart() && c.verdict != mesh.Pending && c.verdict != mesh.Unknown {
		return
	}
	if c.verdict == mesh.Down && a.verdict != mesh.Down && a.verdict != mesh.Unknown && !r.recovered(h, u, d) {
		a = refAnswer{verdict: mesh.Down}
	}
	if until := r.fresh(h, a.verdict); a.positive || until.After(c.madeBy) {
		c.madeBy = until
	}
	c.verdict = a.verdict
}

func (r *reference) recovered(h *catalog.Host, u, d int) bool {
	saw := 0
	for _, s := range r.voters(h) {
		successes := 0
		for _, v := range s.vantages {
			successes += r.words[refEdge{v, h.Key()}].successes
		}
		if successes >= 2 && r.majority(h, &s, r.counted(mesh.Abstain)) == mesh.OK {
			saw++
		}
	}
	return saw > 0 && 2*saw >= u+d
}

// fresh is until when the last of the words that agree with the verdict counts.
func (r *reference) fresh(h *catalog.Host, verdict mesh.Verdict) (until time.Time) {
	bad := verdict == mesh.Down || verdict == mesh.Partial
	for _, s := range r.seats[h.Key()] {
		for _, v := range s.vantages {
			w := r.words[refEdge{v, h.Key()}]
			agrees := bad && w.outcome == mesh.Unreachable || !bad && w.outcome.Good()
			if at := r.expires(h, w); s.region != h.Region && !w.ended.IsZero() && agrees && at.After(until) {
				until = at
			}
		}
	}
	return until
}
