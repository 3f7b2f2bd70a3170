package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// At returns what was shown then: verdicts, votes, and each vantage's last good and last bad observation.
func TestAPastMomentIsShownAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		before := time.Now()
		time.Sleep(time.Second)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		time.Sleep(500 * time.Millisecond)
		then := time.Now()
		_, shown := e.Engine.Current()
		time.Sleep(time.Second)
		next := readdressed(t)
		if _, err := e.Catalogs.Apply(t.Context(), next, "apply", false); err != nil {
			t.Fatal(err)
		}
		w.observe(t, next, mesh.Reachable, time.Minute)

		inForce, past, err := e.Replayer.At(t.Context(), then)
		if err != nil {
			t.Fatal(err)
		}
		if inForce.Revision != c.Revision || past.Hosts[0].Status != mesh.MajorOutage {
			t.Errorf("by catalog %s the host was %s", inForce.Revision, past.Hosts[0].Status)
		}
		if diff := cmp.Diff(shown.Hosts, past.Hosts); diff != "" {
			t.Errorf("what was shown differs: %s", diff)
		}
		wantRefused(t, e, before, "does not reach back to", errkind.NotFound)
		wantRefused(t, e, time.Now().Add(time.Minute), "is in the future", errkind.Invalid)
		wantChanges(t, e, then, "added")
		wantChanges(t, e, time.Now(), "address")
		mustStop(t, stop)
	})
}

func wantRefused(t *testing.T, e *node.Core, at time.Time, why string, kind errkind.Kind) {
	t.Helper()
	_, _, err := e.Replayer.At(t.Context(), at)
	if err == nil || !strings.Contains(err.Error(), why) || errkind.Of(err) != kind {
		t.Errorf("got %v, wanted %q", err, why)
	}
}

func wantChanges(t *testing.T, e *node.Core, at time.Time, what string) {
	t.Helper()
	change, ok, err := e.Catalogs.LastChange(t.Context(), "nc1", at)
	if err != nil || !ok || !strings.Contains(catalog.Change{What: change.Changes[0].What}.String(), what) {
		t.Errorf("the last change is %+v (%v, %v), wanted %q", change, ok, err, what)
	}
}
