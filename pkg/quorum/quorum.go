// Package quorum turns the votes of regions on one check into a verdict. It is the fifth rule of the mesh and small enough to
// read in one sitting: start at Decide.
package quorum

import (
	"math"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Question is all that a verdict is decided from.
type Question struct {
	Regions int // N: regions set to look at the check and heard once, and the host's own
	OK      int // u: regions that say ok
	Bad     int // d: regions that say bad

	Before      mesh.Verdict // the verdict before
	BeforeFresh bool         // the votes that made it are fresh
	MayFall     bool         // a round was held: only rounds turn a check down or partial
	Confirmed   bool         // this round and an earlier one confirm a partial outage, see ConfirmsPartial
	HalfSilent  bool         // half or more of the regions are silent at once: it may be us
	HostSilent  bool         // the host's own agent is silent; asked only where two regions are allowed to judge
}

// Answer is a verdict and the sentence of the rule that decided it.
type Answer struct {
	Verdict  mesh.Verdict
	Rule     string
	Positive bool // the votes say so themselves; false when the verdict is only held, or nothing is known
	LooksBad bool // the votes look down or partial, and a round must confirm it
	Partial  bool // of LooksBad: they look partial
}

// The sentences of the rule.
const (
	TooFewRegions = "fewer regions than the rule asks for"
	MostBad       = "more than half of all regions say bad and at most one in five of those that answered says ok"
	SomeBad       = "at least two regions said bad in two rounds while others said ok"
	MostOK        = "at most one region says bad and at least one says ok"
	TwoRegionsOK  = "of two regions, the other says ok"
	TwoRegionsBad = "of two regions, the other says bad and the host's own agent is silent"
	AwaitingRound = "it looks bad, and a round must confirm it"
	AwaitingAgain = "it looks partial, and a second round must confirm it"
	HalfIsSilent  = "half or more of the regions are silent at once: nothing turns bad"
	Held          = "too few votes to decide: the verdict before holds while its votes are fresh"
	NothingFresh  = "too few fresh votes to decide"
	NeverUp       = "the check is new and was never up"
)

// Decide is rule 5. Numbers are the catalog's.
func Decide(r catalog.Rule, q Question) Answer {
	a := decide(r, q)
	if q.Before == mesh.Pending && a.Verdict != mesh.Up {
		return Answer{Verdict: mesh.Pending, Rule: NeverUp}
	}
	return a
}

func decide(r catalog.Rule, q Question) Answer {
	switch {
	case q.Regions == 2 && r.AllowTwoRegions:
		return two(q)
	case q.Regions < r.RegionsMin:
		return Answer{Verdict: mesh.Unknown, Rule: TooFewRegions}
	case down(r, q):
		return fall(q, mesh.Down, MostBad, AwaitingRound)
	case partial(r, q), q.Bad >= r.BadRegionsMin && (q.Confirmed || q.Before == mesh.Partial):
		// Once confirmed, it stays partial while enough regions are bad, even if the others stop answering.
		return fall(q, mesh.Partial, SomeBad, AwaitingAgain)
	case q.OK >= 1 && q.Bad < r.BadRegionsMin:
		return Answer{Verdict: mesh.Up, Rule: MostOK, Positive: true}
	}
	a := hold(q, Held)
	// A region that does not answer this time may in the next round, and confirm a partial outage.
	a.LooksBad = q.Bad >= r.BadRegionsMin && q.Before != mesh.Down
	a.Partial = a.LooksBad
	return a
}

// Shows is the verdict that votes alone show, without rounds or a verdict before: up, partial or down, or "" where they are
// too few to tell.
func Shows(r catalog.Rule, regions, ok, bad int) mesh.Verdict {
	q := Question{Regions: regions, OK: ok, Bad: bad, MayFall: true, Confirmed: bad >= r.BadRegionsMin, HostSilent: true}
	if a := decide(r, q); a.Positive {
		return a.Verdict
	}
	return ""
}

// down: at least two regions say bad, more than half of all regions do, and at most one in five of those that answered says ok.
func down(r catalog.Rule, q Question) bool {
	return q.Bad >= r.BadRegionsMin && float64(q.Bad) > r.DownShare*float64(q.Regions) && q.OK <= tolerated(r, q.OK+q.Bad)
}

// partial: at least two regions say bad, and more than one in five of those that answered say ok.
func partial(r catalog.Rule, q Question) bool {
	return q.Bad >= r.BadRegionsMin && q.OK > tolerated(r, q.OK+q.Bad)
}

// tolerated is how many of the regions that answered may vote ok on a check that is down.
func tolerated(r catalog.Rule, answered int) int {
	// The small number keeps 0.2 x 5 from being less than one.
	return int(math.Floor(r.OKShare*float64(answered) + 1e-9))
}

// fall answers down or partial where the rule lets the check fall, and what was before where it does not.
func fall(q Question, to mesh.Verdict, rule, awaiting string) Answer {
	isPartial := to == mesh.Partial
	switch {
	case q.Before == to:
		return Answer{Verdict: to, Rule: rule, Positive: true, LooksBad: true, Partial: isPartial}
	case q.HalfSilent:
		a := hold(q, HalfIsSilent)
		a.LooksBad, a.Partial = true, isPartial
		return a
	case q.MayFall && (!isPartial || q.Confirmed):
		return Answer{Verdict: to, Rule: rule, Positive: true, LooksBad: true, Partial: isPartial}
	}
	a := hold(q, awaiting)
	a.LooksBad, a.Partial = true, isPartial
	return a
}

// two judges a mesh of two regions, where the operator allows it.
func two(q Question) Answer {
	switch {
	case q.OK == 1:
		return Answer{Verdict: mesh.Up, Rule: TwoRegionsOK, Positive: true}
	case q.Bad == 1 && q.HostSilent && (q.MayFall || q.Before == mesh.Down):
		return Answer{Verdict: mesh.Down, Rule: TwoRegionsBad, Positive: true, LooksBad: true}
	}
	a := hold(q, Held)
	a.LooksBad = q.Bad == 1 && q.HostSilent
	return a
}

// hold keeps the verdict before while the votes that made it are fresh.
func hold(q Question, rule string) Answer {
	if q.BeforeFresh && q.Before != mesh.Unknown && q.Before != "" {
		return Answer{Verdict: q.Before, Rule: rule}
	}
	return Answer{Verdict: mesh.Unknown, Rule: NothingFresh}
}
