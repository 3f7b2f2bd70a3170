package mesh_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Everything that picks the worst of several statuses or verdicts uses this order, so that no two pages disagree.
func TestSeverity(t *testing.T) {
	statuses := []mesh.Status{"", mesh.Operational, mesh.UnderMaintenance, mesh.DegradedPerformance,
		mesh.StatusUnknown, mesh.PartialOutage, mesh.MajorOutage}
	if !slices.IsSortedFunc(statuses, func(a, b mesh.Status) int { return cmp.Compare(a.Severity(), b.Severity()) }) {
		t.Error("statuses are not in the order of their severity")
	}
	verdicts := []mesh.Verdict{"", mesh.Pending, mesh.Up, mesh.Degraded, mesh.Unknown, mesh.Partial, mesh.Down}
	if !slices.IsSortedFunc(verdicts, func(a, b mesh.Verdict) int { return cmp.Compare(a.Severity(), b.Severity()) }) {
		t.Error("verdicts are not in the order of their severity")
	}
	seen := map[int]bool{}
	for _, s := range statuses {
		seen[s.Severity()] = true
	}
	if len(seen) != len(statuses) {
		t.Errorf("%d severities for %d statuses", len(seen), len(statuses))
	}
}
