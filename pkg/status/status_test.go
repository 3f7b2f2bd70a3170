package status

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestOf(t *testing.T) {
	c := func(v mesh.Verdict) Check { return Check{Verdict: v, Critical: true} }
	minor := func(v mesh.Verdict) Check { return Check{Verdict: v} }
	cov := func(v mesh.Verdict) Check { return Check{Verdict: v, Critical: true, Covered: true} }
	out := Check{Verdict: mesh.Unknown, Critical: true, LeftOut: true}
	for _, x := range []struct {
		name   string
		checks []Check
		want   mesh.Status
	}{
		{"nothing to go by", nil, mesh.StatusUnknown},
		{"all up", []Check{c(mesh.Up), c(mesh.Up)}, mesh.Operational},
		{"mail cannot be sent, and can be read", []Check{c(mesh.Up), c(mesh.Down), c(mesh.Up)}, mesh.PartialOutage},
		{"all down", []Check{c(mesh.Down), c(mesh.Down)}, mesh.MajorOutage},
		{"all critical ones down, a minor one up", []Check{c(mesh.Down), minor(mesh.Up)}, mesh.MajorOutage},
		{"one partial", []Check{c(mesh.Partial), c(mesh.Up)}, mesh.PartialOutage},
		{"one unknown", []Check{c(mesh.Unknown), c(mesh.Up)}, mesh.StatusUnknown},
		{"one unknown, one down", []Check{c(mesh.Unknown), c(mesh.Down), c(mesh.Up)}, mesh.PartialOutage},
		{"one degraded", []Check{c(mesh.Degraded), c(mesh.Up)}, mesh.DegradedPerformance},
		{"a minor one down", []Check{c(mesh.Up), minor(mesh.Down)}, mesh.DegradedPerformance},
		{"a minor one unknown", []Check{c(mesh.Up), minor(mesh.Unknown)}, mesh.Operational},
		{"only a minor one, unknown", []Check{minor(mesh.Unknown)}, mesh.StatusUnknown},
		{"pending ones say nothing", []Check{c(mesh.Up), c(mesh.Pending)}, mesh.Operational},
		{"only pending ones", []Check{c(mesh.Pending)}, mesh.StatusUnknown},
		{"all covered, and down", []Check{cov(mesh.Down), cov(mesh.Unknown)}, mesh.UnderMaintenance},
		{"one covered, the others work", []Check{cov(mesh.Down), c(mesh.Up)}, mesh.UnderMaintenance},
		{"one covered and up", []Check{cov(mesh.Up), c(mesh.Up)}, mesh.UnderMaintenance},
		{"one covered, another degraded", []Check{cov(mesh.Up), c(mesh.Degraded)}, mesh.DegradedPerformance},
		{"one covered, another unknown", []Check{cov(mesh.Up), c(mesh.Unknown)}, mesh.StatusUnknown},
		{"one covered, another partial", []Check{cov(mesh.Down), c(mesh.Partial)}, mesh.PartialOutage},
		{"one covered, another down", []Check{cov(mesh.Up), c(mesh.Down)}, mesh.PartialOutage},
		{"a minor one covered", []Check{{Verdict: mesh.Down, Covered: true}, c(mesh.Up)}, mesh.UnderMaintenance},
		{"a minor one covered, all critical ones down", []Check{{Verdict: mesh.Down, Covered: true}, c(mesh.Down)},
			mesh.MajorOutage},
		{"left out", []Check{out, c(mesh.Up)}, mesh.Operational},
		{"only left out", []Check{out}, mesh.StatusUnknown},
	} {
		if got := Of(x.checks); got != x.want {
			t.Errorf("%s: got %s, want %s", x.name, got, x.want)
		}
	}
}

// The order of verdicts and that of statuses agree: of two hosts that differ in one critical check, the one whose check
// has the worse verdict never has the better status.
func TestAWorseVerdictNeverGivesABetterStatus(t *testing.T) {
	counted := []mesh.Verdict{mesh.Up, mesh.Degraded, mesh.Unknown, mesh.Partial, mesh.Down}
	of := func(a, b mesh.Verdict) mesh.Status {
		return Of([]Check{{Verdict: a, Critical: true}, {Verdict: b, Critical: true}})
	}
	for _, other := range counted {
		for i, worse := range counted[1:] {
			better := counted[i]
			if of(worse, other).Severity() < of(better, other).Severity() || worse.Severity() < better.Severity() {
				t.Errorf("beside %s: %s gives %s, and %s gives %s", other, worse, of(worse, other), better,
					of(better, other))
			}
		}
	}
}

// A maintenance hides no outage of what it does not cover, and makes none of what it covers.
func TestAMaintenanceHidesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, others []Check
		for range rapid.IntRange(1, 6).Draw(t, "checks") {
			c := Check{
				Verdict:  rapid.SampledFrom(mesh.Verdicts()).Draw(t, "verdict"),
				Critical: rapid.Bool().Draw(t, "critical"), LeftOut: rapid.Bool().Draw(t, "left out"),
				Covered: rapid.Bool().Draw(t, "covered"),
			}
			all = append(all, c)
			if !c.Covered {
				others = append(others, c)
			}
		}
		got, without := Of(all), Of(others)
		down := func(c Check) bool { return c.Critical && !c.LeftOut && c.Verdict == mesh.Down }
		switch {
		case len(others) == len(all) && got == mesh.UnderMaintenance:
			t.Fatal("under maintenance without one")
		case slices.ContainsFunc(others, down) && got != mesh.PartialOutage && got != mesh.MajorOutage:
			t.Fatalf("an outage is shown as %s", got)
		case !slices.ContainsFunc(others, down) && got == mesh.MajorOutage:
			t.Fatal("what is covered makes a major outage")
		case len(others) > 0 && without == mesh.DegradedPerformance && got != without:
			t.Fatalf("%s without the covered checks, %s with them", without, got)
		}
		for i := range all {
			if all[i].Covered {
				all[i].Verdict = mesh.Down
			}
		}
		if down := Of(all); down != got {
			t.Fatalf("a covered check that goes down turns %s into %s", got, down)
		}
	})
}
