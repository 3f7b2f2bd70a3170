package edge_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var rule = catalog.DefaultRule()

var epoch = time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)

// reply is what the network does with one probe: when it connects and when it comes back, after it was sent. Zero:
// never.
type reply struct {
	connect, back time.Duration
	result        edge.Result
}

func good(rtt time.Duration) reply {
	return reply{back: rtt, result: edge.Result{Outcome: mesh.Reachable, RTT: rtt}}
}

func refused() reply {
	return reply{back: 10 * time.Millisecond, result: edge.Result{Outcome: mesh.Unreachable, Reason: "refused",
		Definite: true}}
}

func hung() reply {
	return reply{connect: 10 * time.Millisecond, back: 3 * time.Second,
		result: edge.Result{Outcome: mesh.Unreachable, Reason: "hung", Definite: true}}
}

type sent struct {
	at time.Duration
	reply
	connected, over bool
}

// play runs a series against the replies, in steps of 10 ms, and returns its observations and the probes it sent.
func play(e *edge.Edge, loss float64, network func(n int) reply) (reports []mesh.Observation, probes []sent) {
	series, step := e.Begin(epoch, 7, loss)
	for at := time.Duration(0); at < 20*time.Second; at += 10 * time.Millisecond {
		apply := func(s edge.Step) bool {
			reports = append(reports, s.Report...)
			for _, p := range s.Send {
				probes = append(probes, sent{at: at, reply: network(p.Number)})
			}
			return s.Done
		}
		if apply(step) {
			return reports, probes
		}
		now := epoch.Add(at)
		for i := range probes {
			p := &probes[i]
			if p.connect > 0 && !p.connected && at >= p.at+p.connect {
				p.connected = true
				series.Connected(now, i)
			}
			if p.back > 0 && !p.over && at >= p.at+p.back {
				p.over = true
				if apply(series.Answer(now, i, p.result)) {
					return reports, probes
				}
			}
		}
		step = series.Advance(now.Add(10 * time.Millisecond))
	}
	return reports, probes
}

func newEdge() *edge.Edge { return edge.New(rule, catalog.Check{Timeout: 3 * time.Second}) }

func TestLooks(t *testing.T) {
	silence := reply{}
	for _, test := range []struct {
		name    string
		network []reply // the last one repeats
		outcome mesh.Outcome
		reason  string
		probes  int
		within  time.Duration
		missed  bool
	}{
		{"answers", []reply{good(80 * time.Millisecond)}, mesh.Reachable, "", 1, 90 * time.Millisecond, false},
		{"one probe is lost", []reply{silence, good(80 * time.Millisecond)}, mesh.Reachable, "", 2,
			400 * time.Millisecond, true},
		{"a longer route", []reply{good(600 * time.Millisecond), good(600 * time.Millisecond)}, mesh.Slow,
			"answered after 600 ms", 3, 620 * time.Millisecond, true},
		{"silence", []reply{silence}, mesh.Unreachable, "timeout", 3, 1050 * time.Millisecond, true},
		{"refused", []reply{refused()}, mesh.Unreachable, "refused", 2, 60 * time.Millisecond, true},
		{"refused once", []reply{refused(), good(20 * time.Millisecond)}, mesh.Reachable, "", 2, 60 * time.Millisecond,
			true},
		{"hung", []reply{hung()}, mesh.Unreachable, "hung", 2, 4200 * time.Millisecond, true},
		{"asked to come back later", []reply{{back: 10 * time.Millisecond,
			result: edge.Result{Outcome: mesh.Slow, RTT: 10 * time.Millisecond, Reason: "temporary failure: x"}}},
			mesh.Slow, "temporary failure: x", 1, 20 * time.Millisecond, false},
		{"hung once", []reply{hung(), good(20 * time.Millisecond)}, mesh.Reachable, "", 2, 1100 * time.Millisecond,
			true},
		{"a router says no", []reply{{back: 10 * time.Millisecond,
			result: edge.Result{Outcome: mesh.Unreachable, Reason: "host unreachable"}}},
			mesh.Unreachable, "host unreachable", 3, 700 * time.Millisecond, true},
		{"not permitted", []reply{{back: 10 * time.Millisecond, result: edge.Result{Reason: "not permitted"}}},
			mesh.Inconclusive, "not permitted", 1, 20 * time.Millisecond, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEdge()
			play(e, 0, func(int) reply { return good(80 * time.Millisecond) })
			said, probes := play(e, 0, func(n int) reply { return test.network[min(n, len(test.network)-1)] })
			last := said[len(said)-1]
			if last.Outcome != test.outcome || last.Reason != test.reason || len(probes) != test.probes ||
				last.Elapsed > test.within || last.Round != 7 {
				t.Errorf("said %+v after %d probes", last, len(probes))
			}
			if missed := len(said) == 2 && said[0].Stage == mesh.Missed; missed != test.missed {
				t.Errorf("missed %v, wanted %v: %+v", missed, test.missed, said)
			}
		})
	}
}

// A server may take as long as the check's timeout to compute the answer to a datagram, and the network may lose some.
func TestSilenceOfADatagramLastsAsLongAsTheTimeout(t *testing.T) {
	check := catalog.Check{Kind: catalog.KindDNS, Timeout: 3 * time.Second, Options: catalog.DNS{Query: "example.net"}}
	late := func(int) reply { return good(2500 * time.Millisecond) }
	said, _ := play(edge.New(rule, check), 0, late)
	if last := said[len(said)-1]; last.Outcome != mesh.Slow {
		t.Errorf("answered in time: %+v", last)
	}
	said, probes := play(edge.New(rule, check), 0, func(int) reply { return reply{} })
	if last := said[len(said)-1]; last.Outcome != mesh.Unreachable || last.Elapsed < 3*time.Second ||
		last.Elapsed > 3300*time.Millisecond || len(probes) < rule.ProbesMin {
		t.Errorf("silent: %+v after %d probes", last, len(probes))
	}
}

func TestABadEdgeDoesNotTellItsMissesAgain(t *testing.T) {
	e := newEdge()
	play(e, 0, func(int) reply { return refused() })
	if said, _ := play(e, 0, func(int) reply { return refused() }); len(said) != 1 || !e.Bad() {
		t.Errorf("said %+v", said)
	}
}

func TestProbesFollowLoss(t *testing.T) {
	for loss, want := range map[float64]int{0: 3, 0.01: 3, 0.1: 3, 0.15: 4, 0.2: 5, 0.3: 6, 0.9: 6} {
		if got := newEdge().Probes(loss); got != want {
			t.Errorf("loss %v: %d probes, wanted %d", loss, got, want)
		}
	}
}

func TestWindowLeavesOutTheHostItself(t *testing.T) {
	var w edge.Window
	for range 30 {
		w.Add("dead", true)
		w.Add("alive", false)
	}
	if w.Loss("dead") != 0 || w.Loss("alive") != 1 || w.Loss("another") != 0.5 {
		t.Error(w.Loss("dead"), w.Loss("alive"), w.Loss("another"))
	}
}

// TestEverySeriesSettles: whatever the network does, a series settles within its bound, a good answer in time is never
// bad, and silence is not bad before every probe was lost.
func TestEverySeriesSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newEdge()
		for range rapid.IntRange(1, 4).Draw(t, "series") {
			replies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) reply {
				return rapid.SampledFrom([]reply{{}, good(40 * time.Millisecond), good(900 * time.Millisecond),
					refused(), hung()}).Draw(t, "reply")
			}), 8, 8).Draw(t, "replies")
			said, probes := play(e, rapid.Float64Range(0, 1).Draw(t, "loss"), func(n int) reply { return replies[n] })
			if len(said) == 0 || said[len(said)-1].Stage != mesh.Settled {
				t.Fatal("never settled", said)
			}
			last := said[len(said)-1]
			// The wait and four more retries, then twice the check's timeout: 1 s + 1.2 s + 6 s.
			if last.Elapsed > 8300*time.Millisecond || len(probes) > rule.ProbesMax+1 {
				t.Fatal("beyond its bounds", last, len(probes))
			}
			if last.Reason == "timeout" && (last.Elapsed < rule.BadMin || len(probes) < rule.ProbesMin &&
				last.Lost == len(probes)) {
				t.Fatal("silence was called bad too soon", last, probes)
			}
			for _, p := range probes {
				if p.over && p.result.Outcome.Good() && last.Outcome == mesh.Unreachable {
					t.Fatal("a good answer was called bad", last, probes)
				}
			}
		}
	})
}
