package health_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestAWarningIsLoggedOncePerChange(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.New(&log))
	w.SetFileProblems([]string{"line 1 is wrong"})
	for range 3 {
		w.Warn("disk", "disk full")
		w.Warn("clock", "clock off")
	}
	if got := w.List(); !slices.Equal(got, []string{"line 1 is wrong", "clock off", "disk full"}) {
		t.Errorf("%q", got)
	}
	if n := strings.Count(log.String(), "disk full"); n != 1 {
		t.Errorf("raised %d times in the log", n)
	}
	w.SetFileProblems(nil)
	for range 2 {
		w.Warn("disk", "")
		w.Warn("clock", "")
	}
	if n := strings.Count(log.String(), "warning cleared"); n != 2 || len(w.List()) > 0 {
		t.Errorf("cleared %d times in the log, left %q", n, w.List())
	}
}

// People are notified of each silent agent, isolated vantage, certificate and check that was never up by itself. While
// half of the regions are silent that is one advisory, and each agent adds nothing to it.
func TestPartsOfWarnings(t *testing.T) {
	w := health.NewWarnings(zerolog.Nop())
	agents, pending := health.NewAgents(w, zerolog.Nop()), health.NewPendingChecks(w, zerolog.Nop())
	expiries := health.NewExpiries(w, zerolog.Nop())
	agents.SetRoster(&mesh.Roster{Vantages: []string{"nc2", "nc3", "nc4"}})
	soon, later := &mesh.Expiry{What: mesh.Certificate, At: noon.AddDate(0, 0, 5)},
		&mesh.Expiry{What: mesh.Certificate, At: noon.AddDate(0, 0, 6)}
	snapshot := func(seconds int, alerts ...string) *mesh.Snapshot {
		at := noon.Add(time.Duration(seconds) * time.Second)
		return &mesh.Snapshot{At: at, Alerts: alerts, Vantages: []mesh.VantageState{
			{Name: "NC2", Silent: true, LastBatch: noon}, {Name: "NC3", Silent: true, LastBatch: noon},
			{Name: "NC4", LastBatch: at, Abstains: "isolated: it votes bad on what the other regions vote ok on"},
		}, Hosts: []mesh.HostState{
			{Name: "NC2", Checks: []mesh.CheckState{
				{Name: "a", Verdict: mesh.Up, Expiry: soon}, {Name: "b", Verdict: mesh.Up, Expiry: soon},
				{Name: "c", Verdict: mesh.Up, Expiry: later}, {Name: "d", Verdict: mesh.Pending},
			}},
			{Name: "NC3", Checks: []mesh.CheckState{
				{Name: "e", Verdict: mesh.Pending}, {Name: "f", Verdict: mesh.Pending},
			}},
		}}
	}
	observe := func(s *mesh.Snapshot) []string {
		agents.Observe(s, 0)
		pending.Observe(s)
		expiries.Observe(s, 0)
		return slices.Sorted(maps.Keys(w.Each()))
	}
	ends := func(x *mesh.Expiry) string { return fmt.Sprintf("expiry-%d", x.At.Unix()) }
	observe(snapshot(0))
	want := []string{ends(soon), ends(later), "isolated-nc4", "regions-silent"}
	if got := observe(snapshot(60, "half of the regions are silent")); !slices.Equal(got, want) {
		t.Errorf("while half of the regions are silent: %q", got)
	}
	want = []string{
		ends(soon), ends(later), "isolated-nc4", "pending-nc2 d", "pending-nc3/all", "silent-nc2", "silent-nc3",
	}
	if got := observe(snapshot(1200)); !slices.Equal(got, want) {
		t.Errorf("then: %q", got)
	}
	if text := w.Each()[ends(soon)]; !strings.Contains(text, "NC2 a") || !strings.Contains(text, "NC2 b") {
		t.Errorf("two checks of one certificate: %q", text)
	}
	if list := w.List(); len(list) != 3 { // pages show one line a subject
		t.Errorf("shown: %q", list)
	}
}

// A judge that stands still is warned of after a minute, and a start is not.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := health.NewWarnings(zerolog.Nop())
		var mu sync.Mutex
		p, last := health.Progress{Ready: true}, uint64(10)
		set := func(do func()) { mu.Lock(); defer mu.Unlock(); do() }
		c := health.New(health.Config{
			Warnings: w, ViewSequence: func(context.Context) (uint64, error) { return 0, nil },
			Progress: func() health.Progress { mu.Lock(); defer mu.Unlock(); return p },
			Streams: func(context.Context) ([]bus.StreamInfo, error) {
				mu.Lock()
				defer mu.Unlock()
				return []bus.StreamInfo{{Name: "OBS", Last: last}}, nil
			},
		})
		go func() { _ = c.WatchLag(t.Context()) }()
		for _, step := range []struct {
			lasts time.Duration
			do    func()
			want  string
		}{
			{50 * time.Second, func() {}, ""},
			{time.Minute, func() {}, "the judge does not process the stream of observations"},
			{15 * time.Second, func() { p.Processed, p.Sequence = time.Now().Add(time.Hour), 10 }, ""},
			{90 * time.Second, func() { last = 5000 }, "the judge is more than 1000 messages behind: verdicts come late"},
			{15 * time.Second, func() { p.Sequence = 5000 }, ""},
		} {
			set(step.do)
			time.Sleep(step.lasts)
			if got := w.Each()["lag"]; got != step.want {
				t.Errorf("%q, want %q", got, step.want)
			}
		}
	})
}
