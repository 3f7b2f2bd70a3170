package status

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestOf(t *testing.T) {
	c := func(v mesh.Verdict) Check { return Check{Verdict: v, Critical: true} }
	minor := func(v mesh.Verdict) Check { return Check{Verdict: v} }
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
