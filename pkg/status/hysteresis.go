package status

import (
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
)

// condition is what a row of a table asks of a fact.
type condition uint8

const (
	either condition = iota
	yes
	no
)

func (c condition) matches(fact bool) bool { return c == either || (c == yes) == fact }

func matches(row, verdict mesh.Verdict) bool { return row == anyVerdict || row == verdict }

const (
	anyVerdict mesh.Verdict = ""
	unchanged  mesh.Verdict = "" // as a row's result: the verdict that it was asked about
)

// leavingDown is the first half of rule 7: what becomes of a check whose votes show a verdict. The first row that
// matches decides. Only the way out of down is delayed: a check that is down stays so until enough regions saw enough
// successes.
var leavingDown = []struct {
	before    mesh.Verdict
	shown     mesh.Verdict
	recovered condition
	next      mesh.Verdict
}{
	{mesh.Down, mesh.Down, either, mesh.Down},
	{mesh.Down, mesh.Unknown, either, mesh.Unknown}, // votes that expired prove neither an outage nor a recovery
	{mesh.Down, anyVerdict, no, mesh.Down},
	{mesh.Down, anyVerdict, yes, unchanged},
	{anyVerdict, anyVerdict, either, unchanged},
}

// Next returns the verdict of a check after its votes have shown one. recovered matters only if it was down: see
// Recovered.
func Next(before, shown mesh.Verdict, recovered bool) mesh.Verdict {
	for _, row := range leavingDown {
		if matches(row.before, before) && matches(row.shown, shown) && row.recovered.matches(recovered) {
			return orUnchanged(row.next, shown)
		}
	}
	return shown
}

// Recovered reports whether enough of the voting regions saw a check recover: half of them, unless the catalog says
// otherwise.
func Recovered(r catalog.Rule, recovered, voting int) bool {
	return recovered > 0 && EnoughToRecover(r, recovered, voting)
}

// EnoughToRecover reports whether so many of the voting regions would be enough, once they saw enough successes.
func EnoughToRecover(r catalog.Rule, ok, voting int) bool {
	return float64(ok) >= r.RecoverShare*float64(voting)
}

// publishing is the second half of rule 7: what is published of a check with this verdict. The first row that matches
// decides. A check that flaps is published as degraded, but a down that lasts is an outage and no flapping.
var publishing = []struct {
	flapping  condition
	verdict   mesh.Verdict
	lasting   condition // it has had this verdict for the rule's FlapDownAfter
	published mesh.Verdict
}{
	{no, anyVerdict, either, unchanged},
	{yes, mesh.Up, either, mesh.Degraded},
	{yes, mesh.Down, no, mesh.Degraded},
	{yes, mesh.Down, yes, unchanged},
	{yes, anyVerdict, either, unchanged}, // degraded, partial, unknown and pending
}

// Published returns the verdict to publish of a check that has had the given one since a moment.
func Published(r catalog.Rule, f *Flap, verdict mesh.Verdict, since, now time.Time) mesh.Verdict {
	f.Decay(r, now)
	lasting := !now.Before(since.Add(r.FlapDownAfter))
	for _, row := range publishing {
		if row.flapping.matches(f.flapping) && row.lasting.matches(lasting) && matches(row.verdict, verdict) {
			return orUnchanged(row.published, verdict)
		}
	}
	return verdict
}

func orUnchanged(row, verdict mesh.Verdict) mesh.Verdict {
	if row == unchanged {
		return verdict
	}
	return row
}

// Flap holds the penalty of a check that enters and leaves down. The zero value is a check that never did. Two
// thresholds keep the flapping state itself from flapping: it begins over FlapOver and ends under FlapUnder.
type Flap struct {
	penalty  float64
	at       time.Time // when the penalty was computed
	flapping bool
}

// Flapping reports whether the check flapped when Decay, Change or Published was last called.
func (f *Flap) Flapping() bool { return f.flapping }

// Persist walks over the penalty, see package persist.
func (f *Flap) Persist(w *persist.Walk) {
	w.Float(&f.penalty)
	w.Time(&f.at)
	w.Bool(&f.flapping)
}

// Change adds the penalty of a change of verdict, if it enters or leaves down. A check's first verdict costs nothing.
func (f *Flap) Change(r catalog.Rule, before, after mesh.Verdict, now time.Time) {
	if (before == mesh.Down) == (after == mesh.Down) || before == mesh.Pending {
		return
	}
	f.Decay(r, now)
	f.penalty += r.FlapPenalty
	f.at = now
	f.flapping = f.flapping || f.penalty > r.FlapOver
}

// Decay halves the penalty every FlapHalfLife.
func (f *Flap) Decay(r catalog.Rule, now time.Time) {
	if f.penalty == 0 {
		return
	}
	f.penalty *= math.Exp2(-float64(now.Sub(f.at)) / float64(r.FlapHalfLife))
	f.at = now
	if f.penalty < r.FlapUnder {
		f.flapping = false
	}
	if f.penalty < 1 { // of thousands: treat it as gone, so that checks which never flap cost nothing
		f.penalty = 0
	}
}
