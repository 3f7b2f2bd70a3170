// Package quorum turns the votes of regions on one check into a verdict: rule 5. Start at Decide.
package quorum

import (
	"math"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Question is everything that a verdict is decided from.
type Question struct {
	Regions int // N: regions set to look at the check and heard once, and the host's own
	OK      int // u: regions that vote ok
	Bad     int // d: regions that vote bad

	Before      mesh.Verdict // the verdict before
	BeforeFresh bool         // the votes that made it have not expired
	MayFall     bool         // a round closed: only rounds turn a check down or partial
	Confirmed   bool         // this round and an earlier one confirm a partial outage, see ConfirmsPartial
	HalfSilent  bool         // half or more of the regions are silent: the coordinator's own network may be cut
	HostSilent  bool         // the host's own agent is silent; matters only if two regions are allowed to judge
}

// Answer is a verdict and the part of the rule that decided it.
type Answer struct {
	Verdict   mesh.Verdict
	Rule      string
	FromVotes bool // the votes themselves show the verdict; false if it is the one before, or nothing is known
	LooksBad  bool // the votes look down or partial; unless FromVotes, a round must confirm it
	Partial   bool // with LooksBad: they look partial
}

// The parts of the rule, as a transition quotes them.
const (
	TooFewRegions = "fewer regions than the rule asks for"
	MostBad       = "more than half of all regions vote bad, and at most one in five of those that answered votes ok"
	SomeBad       = "at least two regions voted bad in two rounds while others voted ok"
	MostOK        = "at most one region votes bad, and at least one votes ok"
	TwoRegionsOK  = "of two regions, the other votes ok"
	TwoRegionsBad = "of two regions, the other votes bad, and the host's own agent is silent"
	AwaitingRound = "it looks bad, and a round must confirm it"
	AwaitingAgain = "it looks partial, and a second round must confirm it"
	HalfIsSilent  = "half or more of the regions are silent at once: nothing turns down or partial"
	VerdictStands = "too few votes to decide: the verdict before stands while its votes are fresh"
	NothingFresh  = "too few fresh votes to decide"
	NeverUp       = "the check is new and was never up"
	NotRecovered  = "down until half of the voting regions saw two successes each"
)

// Decide applies rule 5 with the catalog's numbers. A check that was never up stays pending until it is, so that a
// mistyped port is never an outage.
func Decide(r catalog.Rule, q Question) Answer {
	a := decide(r, q)
	switch {
	case q.Before != mesh.Pending || a.Verdict == mesh.Up:
		return a
	case a.Rule == TooFewRegions: // it cannot be up however well it works, and readers must see why
		return Answer{Verdict: mesh.Pending, Rule: TooFewRegions}
	}
	return Answer{Verdict: mesh.Pending, Rule: NeverUp}
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
		return Answer{Verdict: mesh.Up, Rule: MostOK, FromVotes: true}
	}
	a := keep(q, VerdictStands)
	// A region that does not answer this time may in the next round, and confirm a partial outage.
	a.LooksBad = q.Bad >= r.BadRegionsMin && q.Before != mesh.Down
	a.Partial = a.LooksBad
	return a
}

// Shows returns the verdict that votes alone show, without rounds or a verdict before: up, partial or down, or "" if
// they are too few to tell.
func Shows(r catalog.Rule, regions, ok, bad int) mesh.Verdict {
	q := Question{
		Regions: regions, OK: ok, Bad: bad,
		MayFall: true, Confirmed: bad >= r.BadRegionsMin, HostSilent: true,
	}
	if a := decide(r, q); a.FromVotes {
		return a.Verdict
	}
	return ""
}

// down: at least two regions vote bad, more than half of all regions do, and at most one in five of those that answered
// votes ok.
func down(r catalog.Rule, q Question) bool {
	most := float64(q.Bad) > r.DownShare*float64(q.Regions)
	return q.Bad >= r.BadRegionsMin && most && q.OK <= tolerated(r, q.OK+q.Bad)
}

// partial: at least two regions vote bad, and more than one in five of those that answered vote ok.
func partial(r catalog.Rule, q Question) bool {
	return q.Bad >= r.BadRegionsMin && q.OK > tolerated(r, q.OK+q.Bad)
}

// tolerated returns how many of the regions that answered may vote ok on a check that is down.
func tolerated(r catalog.Rule, answered int) int {
	// The small number keeps 0.2 x 5 from being less than one.
	return int(math.Floor(r.OKShare*float64(answered) + 1e-9))
}

// fall answers down or partial if the rule lets the check fall, and the verdict before if it does not.
func fall(q Question, to mesh.Verdict, rule, awaiting string) Answer {
	isPartial := to == mesh.Partial
	switch {
	case q.Before == to:
		return Answer{Verdict: to, Rule: rule, FromVotes: true, LooksBad: true, Partial: isPartial}
	case q.HalfSilent:
		a := keep(q, HalfIsSilent)
		a.LooksBad, a.Partial = true, isPartial
		return a
	case q.MayFall && (!isPartial || q.Confirmed):
		return Answer{Verdict: to, Rule: rule, FromVotes: true, LooksBad: true, Partial: isPartial}
	}
	a := keep(q, awaiting)
	a.LooksBad, a.Partial = true, isPartial
	return a
}

// two judges a mesh of two regions, where the operator allows it.
func two(q Question) Answer {
	switch {
	case q.OK == 1:
		return Answer{Verdict: mesh.Up, Rule: TwoRegionsOK, FromVotes: true}
	case q.Bad == 1 && q.HostSilent && (q.MayFall || q.Before == mesh.Down):
		return Answer{Verdict: mesh.Down, Rule: TwoRegionsBad, FromVotes: true, LooksBad: true}
	}
	a := keep(q, VerdictStands)
	a.LooksBad = q.Bad == 1 && q.HostSilent
	return a
}

// keep answers the verdict before while the votes that made it are fresh, and unknown after that.
func keep(q Question, rule string) Answer {
	if q.BeforeFresh && q.Before != mesh.Unknown && q.Before != "" {
		return Answer{Verdict: q.Before, Rule: rule}
	}
	return Answer{Verdict: mesh.Unknown, Rule: NothingFresh}
}
