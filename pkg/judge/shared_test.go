package judge_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// sessionsWith returns how many sessions agents had with the mail server AMS1 so far.
func (w *world) sessionsWith(check string) int {
	n := 0
	for _, in := range w.inputs {
		if in.Batch == nil {
			continue
		}
		for _, o := range in.Batch.Observations {
			if o.Host == "ams1" && o.Check == check && o.Stage == mesh.Settled {
				n++
			}
		}
	}
	return n
}

// Agents that share a mail server's interval of a minute probe it rarely each. It is up from the first good session
// on and stays up for hours, whether or not one vantage always fails: that raises the rate by one round at most. An
// outage is published within the interval and a round.
func TestVantagesThatShareAnIntervalJudgeAsWellAsOthers(t *testing.T) {
	const every = time.Minute
	for i, alone := range voters {
		reason := []string{"connection refused", "timeout"}[i%2]
		w := newWorld()
		w.checks, w.interval, w.shared = []string{"mail"}, every, true
		w.addRegions(append([]string{"ams"}, voters...))
		w.begin()
		settle := func(within time.Duration, want mesh.Verdict, what string) {
			for end := w.elapsed + within; w.state("AMS1/mail").Verdict != want; w.pass(time.Second) {
				if w.elapsed > end {
					t.Fatalf("%s: %s after %v\n%s", what, w.state("AMS1/mail").Verdict, within, w.votes("AMS1"))
				}
			}
		}
		settle(every+2*time.Second, mesh.Up, "at first")
		quiet := func(what string, spare int) {
			before, published := w.sessionsWith("mail"), len(w.published)
			const turns = 25
			w.pass(turns * every)
			if n := w.sessionsWith("mail") - before; n > turns+1+spare || n < turns-1-turns/len(voters) {
				t.Fatalf("%s: %d sessions in %d intervals", what, n, turns)
			}
			if got := w.state("AMS1/mail").Verdict; got != mesh.Up || len(w.published) > published+len(voters) {
				t.Fatalf("%s: it is %s, %d transitions", what, got, len(w.published)-published)
			}
		}
		quiet("all is well", 0)
		w.eachPath("AMS1/mail", []string{alone}, func(p path) { w.broken[p] = reason })
		quiet("one vantage fails", 2*len(voters))
		w.pass(time.Duration(67*i) * time.Second)
		w.eachPath("AMS1/mail", nil, func(p path) { w.broken[p] = reason })
		settle(2*every+6*time.Second, mesh.Down, "an outage")
		clear(w.broken)
		settle(2*every+10*time.Second, mesh.Up, "the recovery")
	}
}

// A vote of before the check was up stays bad until its vantage's next turn. It must not date an outage back into the
// time before.
func TestAnOutageBeginsAfterTheVerdictBefore(t *testing.T) {
	for _, early := range voters {
		w := newWorld()
		w.checks, w.interval, w.shared = []string{"mail"}, time.Minute, true
		w.addRegions(append([]string{"ams"}, voters...))
		fail := func(from ...string) {
			w.eachPath("AMS1/mail", from, func(p path) { w.broken[p] = "connection refused" })
		}
		wait := func(want mesh.Verdict) {
			for end := w.elapsed + 3*time.Minute; w.state("AMS1/mail").Verdict != want; w.pass(time.Second) {
				if w.elapsed > end {
					t.Fatalf("%s fails early: %s, wanted %s", early, w.state("AMS1/mail").Verdict, want)
				}
			}
		}
		w.begin()
		fail(early)
		wait(mesh.Up)
		up := w.state("AMS1/mail").Since
		fail()
		wait(mesh.Down)
		if began := w.state("AMS1/mail").Since; began.Before(up) {
			t.Errorf("%s fails early: the outage began %v before the check was up", early, up.Sub(began))
		}
	}
}

// One region's failure of before is no part of an outage if others reached the server in between.
func TestAnOutageBeginsAfterTheLastSuccess(t *testing.T) {
	w := newWorld()
	w.checks, w.interval, w.shared = []string{"mail"}, time.Minute, true
	w.addRegions(append([]string{"ams"}, voters...))
	w.begin()
	w.pass(20 * time.Minute)
	w.eachPath("AMS1/mail", []string{"lus"}, func(p path) { w.broken[p] = "connection refused" })
	for w.state("AMS1/mail").Tally.Bad == 0 {
		w.pass(time.Second)
	}
	w.pass(3 * time.Minute) // others have their turns
	before := epoch.Add(w.elapsed)
	w.eachPath("AMS1/mail", nil, func(p path) { w.broken[p] = "connection refused" })
	for w.state("AMS1/mail").Verdict != mesh.Down {
		w.pass(time.Second)
	}
	if began := w.state("AMS1/mail").Since; began.Before(before.Add(-time.Minute)) {
		t.Errorf("the outage began %v before the server failed", before.Sub(began))
	}
}
