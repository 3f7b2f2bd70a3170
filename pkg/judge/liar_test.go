package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// extraProbe counts the probes for a round.
type extraProbe struct {
	at time.Duration
	n  int
}

// countExtra counts the probes of a round of the host.
func countExtra(w *world, h *catalog.Host) {
	n := 0
	for _, a := range w.agents {
		if a.region != h.Region && !a.silent {
			n += len(h.Checks) * len(h.Families())
		}
	}
	w.extra = append(w.extra, extraProbe{w.elapsed, n})
}

// probedSoFar returns how many probes were for rounds so far.
func probedSoFar(w *world) int {
	n := 0
	for _, x := range w.extra {
		n += x.n
	}
	return n
}

// probedInAMinute returns the most probes for rounds within a minute.
func probedInAMinute(w *world) int {
	most := 0
	for i := range w.extra {
		n := 0
		for _, x := range w.extra[:i+1] {
			if w.extra[i].at-x.at < time.Minute {
				n += x.n
			}
		}
		most = max(most, n)
	}
	return most
}

// flood makes an agent report something false about every matching path, four times a second.
func flood(w *world, vantage, what, kind string) {
	const every = 250 * time.Millisecond
	if w.elapsed%every != 0 {
		return
	}
	turn := w.elapsed / every % 2
	w.eachAgent([]string{vantage}, func(a *agent) {
		w.eachPath(what, []string{vantage}, func(p path) {
			if w.catalog.Host(p.host).Region == a.region {
				return
			}
			o := mesh.Observation{
				Host: p.host, Check: p.check, Family: p.family, Outcome: mesh.Reachable, Sent: 1,
				Began: epoch.Add(w.elapsed), Elapsed: 10 * time.Millisecond,
			}
			lie := o
			lie.Outcome, lie.Reason = mesh.Unreachable, "timeout"
			switch {
			case kind == "recovers" && turn == 0:
				o.Outcome = mesh.Inconclusive
			case kind == "misses" && turn == 0:
				lie.Stage = mesh.Missed
				o = lie
			case kind == "alternates" && turn == 0:
				o = lie
				lie.Stage = mesh.Missed
				a.report(w.elapsed, lie)
			}
			a.report(w.elapsed, o)
		})
	})
}

// lie is what one lying agent does in a random history.
type lie struct {
	vantage, what, kind string
	from, to            time.Duration
}

// attack is a mesh with liars, in which a host truly fails at some time.
type attack struct {
	regions []string
	checks  []string
	liars   []string
	lies    []lie
	host    string
	failsAt time.Duration
	reason  string
	answers string // what the liars answer to rounds of the host: nothing, "ok" or "bad", whatever is true
}

// drawAttack draws one. With fewer than eight regions, one voter that denies a failure makes it partial, later.
func drawAttack(t *rapid.T, liars int) attack {
	a := attack{
		regions: strings.Fields("ams lon van nyc tor lus syd sea fra")[:rapid.IntRange(8, 9).Draw(t, "regions")],
		checks:  []string{"smtp", "imap", "http"}[:rapid.IntRange(1, 3).Draw(t, "checks")],
		failsAt: time.Duration(rapid.IntRange(60_000, 120_000).Draw(t, "fails at")/50) * step,
		reason:  rapid.SampledFrom([]string{"timeout", "connection refused"}).Draw(t, "reason"),
		answers: rapid.SampledFrom([]string{"", "ok", "bad"}).Draw(t, "answers"),
	}
	names := slices.Clone(a.regions)
	i := rapid.IntRange(0, len(names)-1).Draw(t, "fails")
	a.host = upper(names[i]) + "1"
	names = slices.Delete(names, i, i+1)
	a.liars = rapid.Permutation(names).Draw(t, "liars")[:liars]
	for _, liar := range a.liars {
		for range rapid.IntRange(1, 3).Draw(t, "lies") {
			from := time.Duration(rapid.IntRange(20, 110).Draw(t, "from")) * time.Second
			a.lies = append(a.lies, lie{
				vantage: liar + "1", from: from,
				to:   from + time.Duration(rapid.IntRange(5, 150).Draw(t, "for"))*time.Second,
				what: rapid.SampledFrom([]string{a.host + "/*", a.host + "/smtp", "*/*", "*/smtp"}).Draw(t, "what"),
				kind: rapid.SampledFrom([]string{"misses", "alternates", "recovers"}).Draw(t, "kind"),
			})
		}
	}
	return a
}

func upper(region string) string {
	return fmt.Sprintf("%c%c%c", region[0]-32, region[1]-32, region[2]-32)
}

// run runs the attack, or the same without its lies, and returns when the failure was published.
func (a attack) run(lying bool) (w *world, detected time.Duration) {
	w = newWorld()
	w.checks = a.checks
	w.addRegions(a.regions)
	w.begin()
	for w.elapsed = 0; w.elapsed < a.failsAt+30*time.Second; w.elapsed += step {
		if w.elapsed == 15*time.Second {
			w.eachAgent(a.liars, func(g *agent) { g.blind = !lying || a.answers == "" })
			if a.answers == "bad" {
				w.eachPath(a.host+"/*", a.liars, func(p path) { w.broken[p] = "timeout" })
			}
		}
		if w.elapsed == a.failsAt {
			w.eachPath(a.host+"/*", nil, func(p path) { w.broken[p] = a.reason })
			if a.answers == "ok" {
				w.eachPath(a.host+"/*", a.liars, func(p path) { delete(w.broken, p) })
			}
		}
		for _, l := range a.lies {
			if lying && w.elapsed >= l.from && w.elapsed < l.to {
				flood(w, l.vantage, l.what, l.kind)
			}
		}
		w.step()
		if w.elapsed <= a.failsAt {
			continue
		}
		if word := w.verdict(a.host + "/smtp"); word == "down" || word == "partial" {
			return w, w.elapsed - a.failsAt
		}
	}
	return w, time.Hour
}

// budgetOf returns how many probes a minute rounds may take, and how many a round of every host takes.
func budgetOf(w *world) (minute, everyHost int) {
	scheduled := 0.0
	for i := range w.catalog.Hosts {
		for _, c := range w.catalog.Hosts[i].Checks {
			scheduled += float64(len(w.agents)-1) * time.Minute.Seconds() / c.Interval.Seconds()
			everyHost += len(w.agents) - 1
		}
	}
	return int(scheduled * w.catalog.Rule.RoundBudget), everyHost
}

// TestOneLiarNeitherDelaysNorFloods: one lying agent neither delays the detection of others' failures by more than a
// second, nor makes rounds exceed their budget.
func TestOneLiarNeitherDelaysNorFloods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttack(t, 1)
		_, without := a.run(false)
		w, with := a.run(true)
		if most := w.catalog.Rule.RoundEvery + 250*time.Millisecond + step; with > without+most {
			t.Fatalf("%+v: seen after %v, and after %v without the lies", a, with, without)
		}
		minute, _ := budgetOf(w)
		perHost := minute / len(w.catalog.Hosts) // about a round and a half of the host that truly fails
		if n := probedInAMinute(w); n > minute+2*perHost {
			t.Fatalf("%+v: %d probes in a minute, and the budget is %d", a, n, minute)
		}
	})
}

// TestFewLiarsStayWithinTheBudget: two or three lying agents can make it look as if a host had failed for some regions.
// Two regions suffice to publish a partial outage, and the rounds that confirm one are never refused, so that no outage
// is hidden for want of them. What the liars make everybody do stays within the budget and a round every partial_after
// for every host.
func TestFewLiarsStayWithinTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttack(t, rapid.IntRange(2, 3).Draw(t, "liars"))
		w, _ := a.run(true)
		minute, everyHost := budgetOf(w)
		rounds := int(time.Minute / w.catalog.Rule.PartialAfter)
		if n := probedInAMinute(w); n > minute+rounds*everyHost {
			t.Fatalf("%+v: %d probes in a minute, and the budget is %d and %d a round", a, n, minute, everyHost)
		}
	})
}

// TestLiarsThatDenyTheirOwnRequestsStayWithinTheBudget: two liars that request a round of every host and deny in it
// what they requested it for are counted like those that do not deny it: each region's next rounds get rarer.
func TestLiarsThatDenyTheirOwnRequestsStayWithinTheBudget(t *testing.T) {
	a := attack{
		regions: strings.Fields("ams lon van nyc tor lus syd sea fra"), checks: []string{"smtp", "imap"},
		liars: []string{"lon", "van"}, answers: "ok", host: "AMS1", failsAt: time.Minute, reason: "timeout",
		lies: []lie{
			{vantage: "lon1", what: "*/smtp", kind: "alternates", from: 20 * time.Second, to: 52 * time.Second},
			{vantage: "van1", what: "*/smtp", kind: "alternates", from: 21 * time.Second, to: 151 * time.Second},
		},
	}
	w, _ := a.run(true)
	minute, everyHost := budgetOf(w)
	if n := probedInAMinute(w); n > minute+4*everyHost {
		t.Errorf("%d probes in a minute, and the budget is %d and %d a round", n, minute, everyHost)
	}
}
