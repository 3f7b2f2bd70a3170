package judge_test

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// beside returns the edges of the same vantage to the host's other checks, if this one is a ping.
func (r *reference) beside(e refEdge) (out []refEdge) {
	for _, t := range r.targets {
		if e.target.Kind == catalog.KindPing && t.host == e.target.host && t.Kind != catalog.KindPing {
			out = append(out, refEdge{e.vantage, t, e.family})
		}
	}
	return out
}

// instead: a vantage that lost ping, but got a TCP answer or the host's own proof after the first miss. It returns what
// each other check answered in a row since then, and the proofs.
func (r *reference) instead(e refEdge) (runs [][]time.Time) {
	for _, o := range r.beside(e) {
		if w := r.words[o]; w.outcome.Good() && r.now.Before(r.expires(o)) {
			runs = append(runs, w.run)
		}
	}
	if e.target.Kind == catalog.KindPing && r.gossips(e) {
		runs = append(runs, r.proved(refPair{e.vantage, e.target.host.Key()}))
	}
	for i, run := range runs {
		runs[i] = slices.DeleteFunc(slices.Clone(run), func(at time.Time) bool { return at.Before(r.words[e].failing) })
	}
	return slices.DeleteFunc(runs, func(run []time.Time) bool { return len(run) == 0 })
}

// proved: the proofs up to now, without a silence between them.
func (r *reference) proved(p refPair) []time.Time {
	run, after := r.proofs[p], r.now
	for i := len(run) - 1; i >= 0; i-- {
		if after.Sub(run[i]) > r.rule.Silence {
			return run[i+1:]
		}
		after = run[i]
	}
	return run
}

// successes: the good probes in a row, or, if only ping is lost, the most that anything else answered in a row instead.
func (r *reference) successes(e refEdge) int {
	w := r.words[e]
	if w.outcome != mesh.Unreachable {
		return len(w.run)
	}
	most := 0
	for _, run := range r.instead(e) {
		most = max(most, len(run))
	}
	return most
}

// isolates: rule 3, a vantage that votes bad on what two thirds of the other regions vote ok on, for over half of its
// targets, each family by itself.
func (r *reference) isolates(vantage string, f mesh.Family) bool {
	n, count := 0.0, 0.0
	for _, t := range r.targets {
		vote := r.word(refEdge{vantage, t, f})
		if vote != mesh.Abstain {
			n++
		}
		if vote == mesh.Bad && r.heldGood(t, f, r.region[vantage]) {
			count++
		}
	}
	return n >= 3 && (count+0.5)/(n+1) > 0.5
}

// heldGood: two thirds of the other regions vote ok on the target.
func (r *reference) heldGood(t *refTarget, f mesh.Family, besides string) bool {
	others, good := 0.0, 0.0
	for _, s := range r.voters(t) {
		switch {
		case s.region == besides:
		case s.holds[f] == mesh.OK:
			others, good = others+1, good+1
		default:
			others++
		}
	}
	return others > 0 && good >= r.rule.IsolatedAgreement*others
}
