package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The weights of importance sampling are 1 on average, or the estimator is biased.
func TestWeightsAreUnbiased(t *testing.T) {
	m := model{name: "half", loss: 0.4}
	_, _, unity := episodes(newPlan(m.loss), m, 0.45, 1, 3000)
	mean, bound := unity.mean()
	if se := (bound - mean) / 1.645; math.Abs(mean-1) > 4*se || se > 0.5 {
		t.Errorf("the weights are %.3f on average, standard error %.3f", mean, se)
	}
}

// Where false verdicts are frequent enough to count, importance sampling and counting agree.
func TestImportanceSamplingAgreesWithCounting(t *testing.T) {
	m := model{name: "weak", loss: 0.35}
	p := newPlan(m.loss)
	r := &p.catalog.Rule
	r.ProbesMin, r.ProbesMax, r.DownShare, r.OKShare = 1, 1, 0.1, 1 // a rule that is often wrong
	random := newRandom(7, 7)
	const n = 1500
	counted, rounds := 0, 0
	for range n {
		f := newLosses(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		warm, end, verdict := w.now+warmUp, time.Duration(math.MaxInt64), false
		w.onRound = func() {
			if w.now >= warm && end == math.MaxInt64 {
				end = w.now + tiltedFor
			}
		}
		w.onVerdict = func(v mesh.Verdict) {
			verdict = verdict || end != math.MaxInt64 && (v == mesh.Down || v == mesh.Partial)
		}
		w.loseFirstAfter = warm
		w.run(warm+patience, func() bool { return verdict || w.now >= end })
		if end != math.MaxInt64 {
			rounds++
		}
		if verdict {
			counted++
		}
	}
	downs, partials, _ := episodes(p, m, 0.45, 8, n)
	d, _ := downs.mean()
	q, _ := partials.mean()
	share := float64(counted) / float64(rounds)
	if got := d + q; counted < 50 || got < share*0.7 || got > share*1.4 {
		t.Errorf("importance sampling says %.4f, counting %.4f (%d of %d)", got, share, counted, rounds)
	}
}

func TestQuorumBeatsTheSimplerRules(t *testing.T) {
	m := models[3] // a fifth of all probes are lost
	e := effort{plain: time.Hour, simple: year / 50, episodes: 300, outages: 40}
	p := newPlan(m.loss)
	quorum := quorumRule(p, m, 1, e)
	if perThousandYears := 1000 * quorum.downs.bound; perThousandYears > 1 {
		t.Errorf("up to %g false downs in 1,000 target-years", perThousandYears)
	}
	if quorum.missed > 0 {
		t.Errorf("%d of %d outages are missed", quorum.missed, quorum.outages)
	}
	rules := simpleRules(p)
	for r, simple := range simplerRules(p, rules, m, 1, e) {
		if simple.downs.rate <= quorum.downs.bound {
			t.Errorf("%s has %g false downs a year", rules[r].name, simple.downs.rate)
		}
	}
	slices.Sort(quorum.detections)
	if p50 := quorum.detections[len(quorum.detections)/2]; p50 > 4*time.Second {
		t.Errorf("half of all outages take longer than %v", p50)
	}
}

func TestPoissonBound(t *testing.T) {
	for k, want := range map[int]float64{0: 2.996, 1: 4.744, 10: 16.962, 100: 118.08, 1000: 1053.2} {
		if got := poissonBound(k); math.Abs(got-want) > 0.002*want {
			t.Errorf("%d events: %v, wanted %v", k, got, want)
		}
	}
}

func TestTheSameSeedGivesTheSameTable(t *testing.T) {
	e := effort{plain: 10 * time.Minute, simple: year / 500, episodes: 20, outages: 5}
	once := simulate(3, e)
	if again := simulate(3, e); once != again || strings.Count(once, "\n") != 2+5*len(models) {
		t.Errorf("two tables:\n%s\n%s", once, again)
	}
	file := filepath.Join(t.TempDir(), "simulation.md")
	begin, end := marks("simulation")
	if err := os.WriteFile(file, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(file, "simulation", once); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(file); string(data) != "before\n"+begin+once+end+"after\n" {
		t.Errorf("%s", data)
	}
	if err := replace(file+"x", "simulation", once); err == nil {
		t.Error("a file that is not there was written")
	}
}
