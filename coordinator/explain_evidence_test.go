package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func dots(n int) string { return strings.Repeat(".", n) }

// The drawing has what each vantage found at its place, and the steps begin with the cause.
func TestExplainDrawsTheEvidence(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	probe := func(vantage string, after time.Duration, o mesh.Outcome, s mesh.Stage) judge.Event {
		return judge.Event{
			At: began.Add(after), Kind: judge.Observed, Region: "lon", Vantage: vantage, Text: vantage + " probed",
			Probe: &judge.Probe{
				Began:   began.Add(after - 10*time.Millisecond),
				Elapsed: 10 * time.Millisecond,
				Outcome: o,
				Stage:   s,
			},
		}
	}
	e := evidence{
		Check:     "ping",
		ID:        "280-nc036-1",
		Began:     began,
		Published: began.Add(2 * time.Second),
		Events: []judge.Event{
			probe("lon1", -time.Second, mesh.Reachable, mesh.Settled),
			probe("lon1", 500*time.Millisecond, mesh.Unreachable, mesh.Missed),
			{At: began.Add(510 * time.Millisecond), Kind: judge.RoundOpened, Round: 7, Text: "round 7 opens"},
			probe("lon2", time.Second, mesh.Unreachable, mesh.Settled),
			{At: began.Add(2 * time.Second), Kind: judge.Decided, Text: "2 of 3 regions vote bad: down", Rule: "a rule"},
		},
	}
	var out strings.Builder
	e.write(&out, catalog.DefaultRule())
	for _, want := range []string{
		"2.00 s from the cause to the verdict (change 280-nc036-1)",
		"    lon lon1 " + dots(15) + "+" + dots(21) + "!" + dots(22) + "\n",
		"    lon lon2 " + dots(45) + "X" + dots(14) + "\n",
		"+0.50 s  lon1 probed", "+0.51 s  round 7 opens",
		"+2.00 s  2 of 3 regions vote bad: down\n                rule: a rule",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "-1.00 s") {
		t.Error("the steps begin before the cause")
	}
	e = evidence{Missing: "the stream does not reach back"}
	out.Reset()
	e.write(&out, catalog.DefaultRule())
	if !strings.Contains(out.String(), "cannot be replayed: the stream does not reach back") {
		t.Error(out.String())
	}
}

// The evidence of a moment before a rename is that of the host and the check of then, whatever they are called now, and
// not that of others that have the names since.
func TestEvidenceIsFoundByIDs(t *testing.T) {
	host := &catalog.Host{Name: "A1", ID: "0000000000a1", Checks: []catalog.Check{{Name: "web", ID: "0000000000c1"}}}
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	change := func(id, hostID, checkID string, after time.Duration) mesh.Transition {
		return mesh.Transition{
			ID: id, Host: "Z1", HostID: hostID, Check: "front", CheckID: checkID, Published: at.Add(after),
		}
	}
	all := []mesh.Transition{
		change("own", host.ID, "0000000000c1", -time.Minute), change("other check", host.ID, "0000000000c2", -time.Second),
		change("other host", "0000000000a2", "0000000000c1", -time.Second), change("later", host.ID, "0000000000c1", 1),
	}
	if got := latestChange(all, host, "web", at); got == nil || got.ID != "own" {
		t.Errorf("found %+v", got)
	}
	if got := latestChange(all[1:], host, "web", at); got != nil {
		t.Errorf("found %+v", got)
	}
}
