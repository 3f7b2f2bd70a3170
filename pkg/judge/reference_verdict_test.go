package judge_test

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// voters returns the regions with a vote on the target: set to probe it and heard once, without the host's own.
func (r *reference) voters(t *refTarget) []refSeat {
	var out []refSeat
	for _, s := range t.seats {
		if s.region != t.host.Region && slices.ContainsFunc(s.vantages, r.part) {
			out = append(out, s)
		}
	}
	return out
}

// majority: rule 4, the strict majority of a region's vantages; a tie abstains.
func majority(s refSeat, vote func(string) mesh.Vote) mesh.Vote {
	ok, bad := 0, 0
	for _, v := range s.vantages {
		switch vote(v) {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		}
	}
	switch {
	case ok > bad:
		return mesh.OK
	case bad > ok:
		return mesh.Bad
	}
	return mesh.Abstain
}

// waited: the edge's answer to the round is missing, or a TCP answer that could show that only the ping is lost.
func (r *reference) waited(e refEdge) bool {
	round := e.target.round
	switch {
	case r.abstains(e.vantage), r.outcasts[refFace{e.vantage, e.family}]:
		return false
	case round == nil: // no agent could report since the stream resumed
		return r.standing(e.target) && r.words[e].ended.Before(r.began) && !r.now.Before(r.expires(e))
	}
	return !r.answered(e, round) || r.words[e].outcome == mesh.Unreachable &&
		slices.ContainsFunc(r.beside(e), func(o refEdge) bool {
			return !r.answered(o, round)
		})
}

func (r *reference) answered(e refEdge, round *refRound) bool {
	w := r.words[e]
	return !w.ended.IsZero() && !w.missed && (w.round >= round.Round || !w.began.Before(round.Since))
}

// face returns the vote of a vantage through one family: it may be isolated, or asked without an answer yet. A missing
// answer counts as ok, as bad, or, if missing is abstain, as the vote before, unless that was ok.
func (r *reference) face(e refEdge, missing mesh.Vote) mesh.Vote {
	vote := r.word(e)
	switch {
	case r.outcasts[refFace{e.vantage, e.family}]:
		return mesh.Abstain
	case r.waited(e) && (missing != mesh.Abstain || vote == mesh.OK):
		return missing
	}
	return vote
}

// vote returns a region's vote, from its vantages. A vantage votes bad if one family is bad, ok if one is ok and each
// other one is ok or left out, and else abstains.
func (r *reference) vote(t *refTarget, s refSeat, missing mesh.Vote) mesh.Vote {
	return majority(s, func(v string) mesh.Vote {
		said := map[mesh.Vote]int{}
		for _, f := range r.families(v, t) {
			edge := refEdge{v, t, f}
			if vote := r.face(edge, missing); vote != mesh.Abstain || !r.leftOut(edge) {
				said[vote]++
			}
		}
		switch {
		case said[mesh.Bad] > 0:
			return mesh.Bad
		case said[mesh.OK] > 0 && said[mesh.Abstain] == 0:
			return mesh.OK
		}
		return mesh.Abstain
	})
}

// tally counts the votes.
func (r *reference) tally(t *refTarget, missing mesh.Vote) (n, u, d int, bad []string) {
	for _, s := range r.voters(t) {
		n++
		switch r.vote(t, s, missing) {
		case mesh.OK:
			u++
		case mesh.Bad:
			d, bad = d+1, append(bad, s.region)
		}
	}
	return n + 1, u, d, bad
}

// halfSilent: half or more of the regions are silent at once.
func (r *reference) halfSilent() bool {
	heard, speaking := map[string]bool{}, map[string]bool{}
	for v, region := range r.region {
		if r.part(v) {
			heard[region] = true
			speaking[region] = speaking[region] || !r.silent(v)
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

// refAnswer is a verdict: shown by the votes themselves, or kept.
type refAnswer struct {
	verdict           mesh.Verdict
	positive, partial bool
}

// answer: rule 5.
func (r *reference) answer(t *refTarget, n, u, d int, mayFall, confirmed bool) refAnswer {
	a := r.answerOf(t, n, u, d, mayFall, confirmed)
	if t.verdict == mesh.Pending && a.verdict != mesh.Up {
		return refAnswer{verdict: mesh.Pending}
	}
	return a
}

func (r *reference) answerOf(t *refTarget, n, u, d int, mayFall, confirmed bool) refAnswer {
	before := refAnswer{verdict: mesh.Unknown}
	if t.verdict != mesh.Unknown && (r.now.Before(t.madeBy) || r.stands(t)) {
		before.verdict = t.verdict
	}
	oneInFive := int(math.Floor(float64(u+d)/5 + 1e-9))
	switch {
	case n < 3:
		return refAnswer{verdict: mesh.Unknown}
	case d >= 2 && 2*d > n && u <= oneInFive:
		if t.verdict == mesh.Down || !r.halfSilent() && mayFall {
			return refAnswer{verdict: mesh.Down, positive: true}
		}
		return before
	case d >= 2 && (u > oneInFive || confirmed || t.verdict == mesh.Partial):
		if t.verdict == mesh.Partial || !r.halfSilent() && mayFall && confirmed {
			return refAnswer{verdict: mesh.Partial, positive: true, partial: true}
		}
		before.partial = true
		return before
	case u >= 1 && d <= 1:
		return refAnswer{verdict: mesh.Up, positive: true}
	}
	return before
}

// stands: for one freshness period after the stream began or resumed, verdicts stand.
func (r *reference) stands(t *refTarget) bool { return r.now.Before(r.began.Add(t.freshness())) }

// standing: the same of a verdict that is worth keeping.
func (r *reference) standing(t *refTarget) bool {
	return t.verdict != mesh.Pending && t.verdict != mesh.Unknown && r.stands(t)
}

// judge decides on the target as of now.
func (r *reference) judge(t *refTarget) {
	if t.round != nil && t.next != nil && r.known(t, t.next) {
		t.round, t.next = t.next, nil
	}
	r.decide(t)
	if t.round == nil && t.next != nil {
		t.round, t.next = t.next, nil
		r.judge(t)
	}
}

// known: a newer round replaces the open one as soon as its outcome is known: all have answered it, or the missing
// answers cannot change the verdict.
func (r *reference) known(t *refTarget, round *refRound) bool {
	open := t.round
	t.round = round
	defer func() { t.round = open }()
	n, u, d, _ := r.tally(t, mesh.OK)
	return !r.waits(t) || r.agree(t, true) && !r.answer(t, n, u, d, true, false).partial
}

// decide does so by the open round, or by the votes if none is open.
func (r *reference) decide(t *refTarget) {
	limit := max(3*time.Second, t.Timeout+2*time.Second)
	over := t.round != nil && r.now.Sub(t.round.opened) >= limit
	if over && r.waits(t) && !t.round.answered {
		t.round = nil // no agent was asked
		r.closings++
	}
	if t.round == nil {
		n, u, d, _ := r.tally(t, mesh.Abstain)
		a := r.answer(t, n, u, d, false, false)
		if a.verdict != t.verdict && r.waits(t) && !r.agree(t, false) {
			a = refAnswer{verdict: t.verdict}
		}
		r.apply(t, a, u, d)
		return
	}
	if r.waits(t) && !over {
		n, u, d, _ := r.tally(t, mesh.OK)
		if best := r.answer(t, n, u, d, true, false); r.agree(t, true) && !best.partial {
			_, u, d, _ = r.tally(t, mesh.Abstain)
			r.apply(t, best, u, d)
		}
		return
	}
	r.close(t)
}

// agree: the missing answers cannot change the verdict.
func (r *reference) agree(t *refTarget, mayFall bool) bool {
	n, u, d, _ := r.tally(t, mesh.OK)
	best := r.answer(t, n, u, d, mayFall, false)
	n, u, d, _ = r.tally(t, mesh.Bad)
	worst := r.answer(t, n, u, d, mayFall, false)
	return best.verdict == worst.verdict && best.positive && worst.positive
}

// waits: an answer to the target's round is missing that may count.
func (r *reference) waits(t *refTarget) bool {
	for _, s := range r.voters(t) {
		for _, v := range s.vantages {
			for _, f := range r.families(v, t) {
				if r.waited(refEdge{v, t, f}) {
					return true
				}
			}
		}
	}
	return false
}

// close ends the round.
func (r *reference) close(t *refTarget) {
	for e, w := range r.words {
		if e.target == t && w.outcome.Good() && !r.answered(e, t.round) {
			w.mute = true
			r.words[e] = w
		}
	}
	opened := t.round.opened
	t.round = nil
	r.closings++
	n, u, d, bad := r.tally(t, mesh.Abstain)
	seen := refSighting{opened: opened, closed: r.now, bad: bad, ok: r.namesOf(t, mesh.OK)}
	a := r.answer(t, n, u, d, true, r.confirmed(t, seen))
	t.sightings = append(t.sightings, seen)
	r.apply(t, a, u, d)
}

// confirmed: at least two regions were bad in this round and in one that ended 5 s before it or more and 15 s before
// its opening or less, and of all that answered in either, more than one in five voted ok in one of them.
func (r *reference) confirmed(t *refTarget, now refSighting) bool {
	for _, before := range t.sightings {
		if now.closed.Sub(before.closed) < 5*time.Second || now.opened.Sub(before.closed) > 15*time.Second {
			continue
		}
		badTwice, okOnce, answered := 0, 0, 0
		for _, s := range t.seats {
			wasBad, isBad := slices.Contains(before.bad, s.region), slices.Contains(now.bad, s.region)
			ok := slices.Contains(before.ok, s.region) || slices.Contains(now.ok, s.region)
			if wasBad && isBad {
				badTwice++
			}
			if ok {
				okOnce++
			}
			if ok || wasBad || isBad {
				answered++
			}
		}
		if badTwice >= 2 && okOnce > answered/5 {
			return true
		}
	}
	return false
}

// namesOf returns the voters with this vote.
func (r *reference) namesOf(t *refTarget, vote mesh.Vote) (out []string) {
	for _, s := range r.voters(t) {
		if r.vote(t, s, mesh.Abstain) == vote {
			out = append(out, s.region)
		}
	}
	return out
}

// apply makes the answer the verdict: rule 7 lets a check leave down only after half of the voting regions saw two
// successes.
func (r *reference) apply(t *refTarget, a refAnswer, u, d int) {
	if !a.positive && r.standing(t) {
		a = refAnswer{verdict: t.verdict}
	}
	if a.positive && a.verdict == mesh.Up {
		t.sightings = nil // an up between two rounds
	}
	if t.verdict == mesh.Down && a.verdict != mesh.Down && a.verdict != mesh.Unknown && !r.recovered(t, u, d) {
		a = refAnswer{verdict: mesh.Down}
	}
	made := a.positive || a.verdict == mesh.Down // otherwise it is only kept
	if until := r.fresh(t, a.verdict); a.verdict != t.verdict || made && until.After(t.madeBy) {
		t.madeBy = until
	}
	if t.verdict == mesh.Down && (a.verdict == mesh.Up || a.verdict == mesh.Partial) && r.stillLost(t) {
		r.filtered++
	}
	t.verdict = a.verdict
}

// stillLost: a vantage lost the ping and votes ok.
func (r *reference) stillLost(t *refTarget) bool {
	for e, w := range r.words {
		if e.target == t && w.outcome == mesh.Unreachable && r.word(e) == mesh.OK {
			return true
		}
	}
	return false
}

// recovered: half of the voting regions saw two successes each. A vantage counts with its family that saw the fewest,
// of those that are not left out.
func (r *reference) recovered(t *refTarget, u, d int) bool {
	saw := 0
	for _, s := range r.voters(t) {
		successes := 0
		for _, v := range s.vantages {
			var each []int
			for _, f := range r.families(v, t) {
				if edge := (refEdge{v, t, f}); !r.leftOut(edge) {
					each = append(each, r.successes(edge))
				}
			}
			if len(each) > 0 {
				successes += slices.Min(each)
			}
		}
		if successes >= 2 && r.vote(t, s, mesh.Abstain) == mesh.OK {
			saw++
		}
	}
	return saw > 0 && 2*saw >= u+d
}

// fresh returns until when the last of the votes that agree with the verdict counts.
func (r *reference) fresh(t *refTarget, verdict mesh.Verdict) (until time.Time) {
	agrees := mesh.OK
	if verdict == mesh.Down || verdict == mesh.Partial {
		agrees = mesh.Bad
	}
	for e := range r.words {
		if e.target == t && r.region[e.vantage] != t.host.Region && r.word(e) == agrees &&
			!r.outcasts[refFace{e.vantage, e.family}] {
			if at := r.expires(e); at.After(until) {
				until = at
			}
		}
	}
	return until
}
