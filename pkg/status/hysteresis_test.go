package status

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Every verdict before, with every verdict that votes can show, and with and without enough successes.
func TestNext(t *testing.T) {
	const recovered, not = true, false
	for _, c := range []struct {
		name          string
		before, shown mesh.Verdict
		recovered     bool
		want          mesh.Verdict
	}{
		{"down, and still down", mesh.Down, mesh.Down, not, mesh.Down},
		{"down, and its votes expired", mesh.Down, mesh.Unknown, not, mesh.Unknown},
		{"down, up by votes, too few successes", mesh.Down, mesh.Up, not, mesh.Down},
		{"down, up by votes, enough successes", mesh.Down, mesh.Up, recovered, mesh.Up},
		{"down, slow, too few successes", mesh.Down, mesh.Degraded, not, mesh.Down},
		{"down, slow, enough successes", mesh.Down, mesh.Degraded, recovered, mesh.Degraded},
		{"down, partial by votes, too few successes", mesh.Down, mesh.Partial, not, mesh.Down},
		{"down, partial by votes, enough successes", mesh.Down, mesh.Partial, recovered, mesh.Partial},
		{"entering down is not delayed", mesh.Up, mesh.Down, not, mesh.Down},
		{"nor is entering it from partial", mesh.Partial, mesh.Down, not, mesh.Down},
		{"leaving partial takes no successes", mesh.Partial, mesh.Up, not, mesh.Up},
		{"nor does leaving unknown", mesh.Unknown, mesh.Up, not, mesh.Up},
		{"nor does a new check's first verdict", mesh.Pending, mesh.Up, not, mesh.Up},
	} {
		if got := Next(c.before, c.shown, c.recovered); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRecovered(t *testing.T) {
	for _, c := range []struct {
		recovered, voting int
		want              bool
	}{
		{0, 0, false}, {0, 7, false}, {1, 1, true}, {1, 2, true}, {1, 3, false},
		{2, 3, true}, {3, 7, false}, {4, 7, true}, {4, 8, true},
	} {
		if got := Recovered(catalog.DefaultRule(), c.recovered, c.voting); got != c.want {
			t.Errorf("%d of %d voting regions: got %t, want %t", c.recovered, c.voting, got, c.want)
		}
	}
}

func TestPublished(t *testing.T) {
	r := catalog.DefaultRule()
	start := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		flapping bool
		verdict  mesh.Verdict
		lasts    time.Duration
		want     mesh.Verdict
	}{
		{false, mesh.Up, 0, mesh.Up},
		{false, mesh.Down, 0, mesh.Down},
		{false, mesh.Degraded, 0, mesh.Degraded},
		{true, mesh.Up, 0, mesh.Degraded},
		{true, mesh.Up, time.Hour, mesh.Degraded}, // until the penalty has decayed
		{true, mesh.Down, 0, mesh.Degraded},
		{true, mesh.Down, r.FlapDownAfter - time.Second, mesh.Degraded},
		{true, mesh.Down, r.FlapDownAfter, mesh.Down},
		{true, mesh.Degraded, 0, mesh.Degraded},
		{true, mesh.Partial, 0, mesh.Partial},
		{true, mesh.Unknown, 0, mesh.Unknown},
		{true, mesh.Pending, 0, mesh.Pending},
	} {
		now := start.Add(c.lasts)
		f := Flap{flapping: c.flapping, penalty: 2 * r.FlapOver, at: now}
		if got := Published(r, &f, c.verdict, start, now); got != c.want {
			t.Errorf("flapping %t, %s for %v: got %s, want %s", c.flapping, c.verdict, c.lasts, got, c.want)
		}
	}
}

// Which changes of verdict are charged: those that enter or leave down, but not a check's first verdict.
func TestFlapCharges(t *testing.T) {
	r := catalog.DefaultRule()
	for _, c := range []struct {
		before, after mesh.Verdict
		charged       bool
	}{
		{mesh.Up, mesh.Down, true}, {mesh.Down, mesh.Up, true}, {mesh.Down, mesh.Unknown, true},
		{mesh.Partial, mesh.Down, true}, {mesh.Up, mesh.Partial, false}, {mesh.Up, mesh.Unknown, false},
		{mesh.Pending, mesh.Down, false}, {mesh.Down, mesh.Down, false},
	} {
		var f Flap
		if f.Change(r, c.before, c.after, time.Now()); (f.penalty > 0) != c.charged {
			t.Errorf("%s to %s: penalty %v", c.before, c.after, f.penalty)
		}
	}
}

// A check that changes every 20 s is charged in full each time, also the first: it flaps after 13 changes, and until
// the penalty has decayed under the second threshold.
func TestFlapping(t *testing.T) {
	r := catalog.DefaultRule()
	now := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	var f Flap
	f.Change(r, mesh.Up, mesh.Down, now)
	if f.Decay(r, now); f.penalty != r.FlapPenalty {
		t.Fatalf("the first change is charged %v, want %v", f.penalty, r.FlapPenalty)
	}
	changes := 1
	for ; !f.Flapping() && changes < 100; changes++ {
		now = now.Add(20 * time.Second)
		f.Change(r, mesh.Down, mesh.Up, now)
	}
	if changes != 13 {
		t.Errorf("it flaps after %d changes, want 13", changes)
	}
	calm := 0
	for ; f.Flapping() && calm < 100; calm++ {
		now = now.Add(time.Minute)
		f.Decay(r, now)
	}
	if calm != 6 { // a bit over one half-life, from over 10,000 to under 5,000
		t.Errorf("it flaps for %d minutes more, want 6", calm)
	}
}
