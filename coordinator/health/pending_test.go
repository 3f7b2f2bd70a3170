package health_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// greeting993 is a check that waits for a greeting on a port that speaks TLS, as four vantages see it.
func greeting993(verdict mesh.Verdict) mesh.CheckState {
	hung := mesh.EdgeState{
		Vantage: "nc1", At: noon, Vote: mesh.Bad, Outcome: mesh.Unreachable,
		Reason: "hung: accepted and said nothing for 3 s",
	}
	second, third, own := hung, hung, hung
	second.Vantage, third.Vantage, own.Vantage = "nc2", "nc3", "nc9"
	return mesh.CheckState{Name: "Reading mail", Verdict: verdict, Votes: []mesh.RegionVote{
		{Region: "london", Vote: mesh.Bad, Edges: []mesh.EdgeState{hung, second}},
		{Region: "paris", Vote: mesh.Bad, Edges: []mesh.EdgeState{third}},
		{Region: "oslo", Edges: []mesh.EdgeState{{Vantage: "nc4", Why: "no observation yet"}}},
		{Region: "here", Own: true, Vote: mesh.Bad, Edges: []mesh.EdgeState{own}},
	}}
}

func TestACheckThatIsPendingForLongIsReportedOnce(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.Nop())
	p := health.NewPendingChecks(w, zerolog.New(&log))
	observe := func(minutes int, verdict mesh.Verdict) string {
		p.Observe(&mesh.Snapshot{
			At:    noon.Add(time.Duration(minutes) * time.Minute),
			Hosts: []mesh.HostState{{Name: "NC036", Checks: []mesh.CheckState{greeting993(verdict)}}},
		})
		return strings.Join(w.List(), "\n")
	}
	for _, minutes := range []int{0, 7, 14} {
		if got := observe(minutes, mesh.Pending); got != "" {
			t.Errorf("after %d minutes: %q", minutes, got)
		}
	}
	const want = "no verdict in 15 minutes, so no outage would be reported: NC036 Reading mail: 3 of 4 vantages: " +
		`"hung: accepted and said nothing for 3 s", 1 of 4 vantages: no result yet; ` +
		"`coordinator explain HOST` shows every result"
	for _, minutes := range []int{15, 16, 60} {
		if got := observe(minutes, mesh.Pending); got != want {
			t.Errorf("after %d minutes:\n got %s\nwant %s", minutes, got, want)
		}
	}
	if got := observe(61, mesh.Up); got != "" {
		t.Errorf("once it is up: %q", got)
	}
	if got := observe(62, mesh.Pending); got != "" {
		t.Errorf("a check that asks something else now, at once: %q", got)
	}
	for message, n := range map[string]int{"check still pending": 1, "hung: accepted": 1, "check no longer pending": 1} {
		if got := strings.Count(log.String(), message); got != n {
			t.Errorf("%q stands %d times in the log, want %d:\n%s", message, got, n, log.String())
		}
	}
}

// A firewall may keep the mesh from thousands of checks, and an agent may write any text.
func TestTheWarningAboutPendingChecksIsBounded(t *testing.T) {
	w := health.NewWarnings(zerolog.Nop())
	p := health.NewPendingChecks(w, zerolog.Nop())
	hosts := make([]mesh.HostState, 2000)
	for i := range hosts {
		c := greeting993(mesh.Pending)
		c.Votes[0].Edges[0].Reason = "\x1b[2J\u202e" + strings.Repeat("x", 100_000)
		hosts[i] = mesh.HostState{Name: fmt.Sprintf("NC%d", i), Checks: []mesh.CheckState{c}}
	}
	for _, minutes := range []time.Duration{0, 20} {
		p.Observe(&mesh.Snapshot{At: noon.Add(minutes * time.Minute), Hosts: hosts})
	}
	text := strings.Join(w.List(), "\n")
	if len(text) > 4000 || strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, " and 1992 more: ") {
		t.Errorf("%d bytes: %.300q", len(text), text)
	}
}

// Where too few regions take part, the warning names the keys of the rule, whether the check is new or was up before.
func TestTooFewRegionsAreReportedWithTheKeysOfTheRule(t *testing.T) {
	w := health.NewWarnings(zerolog.Nop())
	p := health.NewPendingChecks(w, zerolog.Nop())
	host := mesh.HostState{Name: "NC036"}
	for name, verdict := range map[string]mesh.Verdict{"ping": mesh.Pending, "site": mesh.Unknown} {
		host.Checks = append(host.Checks, mesh.CheckState{
			Name: name, Verdict: verdict, Rule: quorum.TooFewRegions, Tally: mesh.Tally{Regions: 2, Voters: 1, OK: 1},
		})
	}
	for _, minutes := range []time.Duration{0, 15} {
		p.Observe(&mesh.Snapshot{At: noon.Add(minutes * time.Minute), Hosts: []mesh.HostState{host}})
	}
	text := strings.Join(w.List(), "\n")
	wanted := []string{"NC036 ping", "NC036 site", ": 2 regions take part", "regions_min", "allow_two_regions"}
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}
