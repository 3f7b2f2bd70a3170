package quorum

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// Finding is what one round found: the regions that voted bad and those that voted ok at its close.
type Finding struct {
	Opened time.Time // when the round was opened
	Closed time.Time // when it was closed
	Bad    []string  // region names
	OK     []string
}

// Suspicious reports whether enough regions voted bad for the finding to be half of a confirmed partial outage.
func (f Finding) Suspicious(r catalog.Rule) bool { return len(f.Bad) >= r.BadRegionsMin }

// PartialWithin is how far apart two rounds that confirm a partial outage may be: three times the least distance. It is
// measured from the close of the first to the opening of the second, since a check with a long timeout has long rounds.
func PartialWithin(r catalog.Rule) time.Duration { return 3 * r.PartialAfter }

// ConfirmsPartial reports whether two rounds together confirm a partial outage: they are PartialAfter to PartialWithin
// apart, at least BadRegionsMin regions were bad in both, and of all regions that answered in either, more than OKShare
// were ok in one of them.
//
// The two rounds need not agree on every region. If they had to, one region that changes its vote each round would hide
// the outage of all others. A region that answers "ok" in one round and nothing in the other still counts as ok, for
// the same reason.
func ConfirmsPartial(r catalog.Rule, first, second Finding) bool {
	if second.Closed.Sub(first.Closed) < r.PartialAfter || second.Opened.Sub(first.Closed) > PartialWithin(r) {
		return false
	}
	return SamePartial(r, first, second)
}

// SamePartial is ConfirmsPartial without the condition on time: whether a second look still shows the first one's
// outage.
func SamePartial(r catalog.Rule, first, second Finding) bool {
	badInBoth := 0
	for _, region := range second.Bad {
		if slices.Contains(first.Bad, region) {
			badInBoth++
		}
	}
	ok := union(first.OK, second.OK)
	answered := union(ok, union(first.Bad, second.Bad))
	return badInBoth >= r.BadRegionsMin && len(ok) > tolerated(r, len(answered))
}

// union returns every string that is in a or b, once.
func union(a, b []string) []string {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}
