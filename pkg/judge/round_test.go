package judge_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestRoundForgetsNoVote: an observation that comes with the first miss of another check and only confirms the verdict
// counts as long as any vote, although the miss opens a round at once.
func TestRoundForgetsNoVote(t *testing.T) {
	w := newWorld()
	w.checks = []string{"smtp", "ping"}
	w.addRegions([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	until := func(at time.Duration) {
		for ; w.elapsed < at; w.elapsed += step {
			w.step()
		}
	}
	nyc := w.agents[1]
	says := func(check string, stage mesh.Stage, outcome mesh.Outcome) {
		nyc.report(w.elapsed, mesh.Observation{
			Host: "ams1", Check: check, Family: mesh.IPv4, Began: epoch.Add(w.elapsed), Sent: 1,
			Stage: stage, Outcome: outcome,
		})
	}
	until(30 * time.Second)
	w.eachAgent(nil, func(a *agent) { a.blind = true })
	until(45 * time.Second)
	says("smtp", mesh.Settled, mesh.Reachable) // expires after two intervals and a timeout
	says("ping", mesh.Missed, mesh.Unreachable)
	until(46 * time.Second)
	says("smtp", mesh.Settled, mesh.Inconclusive)
	if until(67 * time.Second); w.verdict("AMS1/smtp") != string(mesh.Up) {
		t.Errorf("the latest ok still counts: %s\n%s", w.verdict("AMS1/smtp"), w.votes("AMS1/smtp"))
	}
	if until(70 * time.Second); w.verdict("AMS1/smtp") != string(mesh.Unknown) {
		t.Errorf("no vote counts any more: %s", w.verdict("AMS1/smtp"))
	}
	if w.asked["ams1"] == 0 {
		t.Error("the miss opened no round")
	}
}
