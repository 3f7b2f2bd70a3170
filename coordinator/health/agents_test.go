package health_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// noon is when the coordinator of these tests starts, in mesh time.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// step is a snapshot of NC2's vantage, and the problems that operators see then.
type step struct {
	at, heard int // seconds after noon; heard is negative if it never reported
	silent    bool
	want      string
}

func TestSilentAgents(t *testing.T) {
	for name, test := range map[string]struct {
		enrolled bool
		steps    []step
	}{
		"an agent falls silent and recovers": {true, []step{
			{0, 0, false, ""},
			{10, 0, true, ""}, // it may restart
			{29, 0, true, ""},
			{30, 0, true, "silent agents: NC2 since 12:00:00Z"},
			{90, 0, true, "silent agents: NC2 since 12:00:00Z"},
			{91, 91, false, ""},
			{110, 91, true, ""},
		}},
		"an enrolled agent never reports": {true, []step{
			{0, -1, false, ""},
			{30, -1, false, "silent agents: NC2 never reported"},
		}},
		"a host whose agent never joined": {false, []step{
			{0, -1, false, ""},
			{600, -1, false, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := health.NewWarnings(zerolog.Nop())
			a := health.NewAgents(w, zerolog.Nop())
			roster := &mesh.Roster{}
			if test.enrolled {
				roster.Vantages = []string{"nc2"}
			}
			a.SetRoster(roster)
			for _, s := range test.steps {
				v := mesh.VantageState{Name: "NC2", Silent: s.silent}
				if s.heard >= 0 {
					v.LastBatch = noon.Add(time.Duration(s.heard) * time.Second)
				}
				at := noon.Add(time.Duration(s.at) * time.Second)
				a.Observe(&mesh.Snapshot{At: at, Vantages: []mesh.VantageState{v}}, 0)
				if got := strings.Join(w.List(), "\n"); got != s.want {
					t.Errorf("at %d s: %q, want %q", s.at, got, s.want)
				}
			}
		})
	}
}

// Silence is measured in mesh time, and people read it in wall time.
func TestSilenceIsShownInWallTime(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.Nop())
	a := health.NewAgents(w, zerolog.New(&log))
	a.SetRoster(&mesh.Roster{Vantages: []string{"nc2"}})
	for _, seconds := range []time.Duration{0, 40, 80} {
		v := mesh.VantageState{Name: "NC2", Silent: true, LastBatch: noon}
		a.Observe(&mesh.Snapshot{At: noon.Add(seconds * time.Second), Vantages: []mesh.VantageState{v}}, 10*time.Minute)
	}
	if got := w.List(); len(got) != 1 || got[0] != "silent agents: NC2 since 11:50:00Z" {
		t.Errorf("%q", got)
	}
	if n := strings.Count(log.String(), "agent silent"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// An agent stays enrolled when its host leaves the catalog. It is named as that, and never as silent.
func TestAnAgentWhoseHostLeftTheCatalogIsNamed(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.New(&log))
	a := health.NewAgents(w, zerolog.New(&log))
	a.SetRoster(&mesh.Roster{Vantages: []string{"nc2", "nc3"}})
	both := []mesh.VantageState{{Name: "NC2", LastBatch: noon}, {Name: "NC3", LastBatch: noon}}
	one := []mesh.VantageState{{Name: "NC2", LastBatch: noon.Add(time.Hour)}}
	const want = "agents whose host is not in the catalog, so they probe nothing and have no vote: NC3; " +
		"add the host again, or run `coordinator revoke HOST`"
	for seconds, step := range []struct {
		vantages []mesh.VantageState
		want     string
	}{{both, ""}, {one, want}, {one, want}, {both, ""}} {
		at := noon.Add(time.Duration(seconds) * time.Hour)
		if seconds == 3 {
			both[0].LastBatch, both[1].LastBatch = at, at
		}
		a.Observe(&mesh.Snapshot{At: at, Vantages: step.vantages}, 0)
		if got := strings.Join(w.List(), "\n"); got != step.want {
			t.Errorf("step %d: %q, want %q", seconds, got, step.want)
		}
	}
	if strings.Count(log.String(), "not in the catalog") != 2 || strings.Contains(log.String(), "silent") {
		t.Errorf("the log is\n%s", log.String()) // raised, and cleared with what it was
	}
}

func TestAgentsThatRefuseACatalogAreNamed(t *testing.T) {
	w := health.NewWarnings(zerolog.Nop())
	a := health.NewAgents(w, zerolog.Nop())
	port := mesh.Refusal{Revision: "1a2b1a2b1a2b", Reason: "port 0 is not a number from 1 to 65535"}
	vantages := []mesh.VantageState{
		{Name: "NC036", Refusal: port}, {Name: "NC041", Refusal: port},
		{Name: "NC042", Refusal: port, Silent: true}, {Name: "NC043"},
	}
	const want = `NC036, NC041 refuse catalog 1a2b1a2b1a2b: "port 0 is not a number from 1 to 65535"; until that is ` +
		"mended these agents probe by the catalog before, or nothing after a restart"
	a.Observe(&mesh.Snapshot{At: noon, Vantages: vantages}, 0)
	if got := strings.Join(w.List(), "\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	a.Observe(&mesh.Snapshot{At: noon, Vantages: vantages[3:]}, 0)
	if got := w.List(); len(got) > 0 {
		t.Errorf("%q after all agents use the catalog", got)
	}
}
