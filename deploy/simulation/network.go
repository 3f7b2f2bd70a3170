package main

import (
	"math/rand/v2"
	"time"
)

// regions of the simulated mesh: ten hosts in eight regions, with the target alone in the first.
var regions = []struct {
	name  string
	hosts int
	rtt   time.Duration // to the target
}{
	{"amsterdam", 1, time.Millisecond}, {"london", 1, 8 * time.Millisecond}, {"vancouver", 1, 140 * time.Millisecond},
	{"new-york", 2, 75 * time.Millisecond}, {"toronto", 2, 90 * time.Millisecond},
	{"lusaka", 1, 165 * time.Millisecond},
	{"sydney", 1, 275 * time.Millisecond}, {"seattle", 1, 135 * time.Millisecond},
}

// model describes how the network loses probes.
type model struct {
	name string
	loss float64 // probability that a probe is lost, independently of others

	// Bursts of loss on a region's uplink: the two states of Gilbert and Elliott. In a burst a probe is lost with the
	// probability burstLoss.
	burstEvery time.Duration // mean time from one burst to the next; zero: no bursts
	burstFor   time.Duration // mean duration of a burst
	burstLoss  float64

	broken bool // all probes of one vantage fail, while its reports still arrive
}

var models = []model{
	{name: "0.1 % loss", loss: 0.001},
	{name: "1 % loss", loss: 0.01},
	{name: "5 % loss", loss: 0.05},
	{name: "20 % loss", loss: 0.20},
	{name: "uplinks in bursts", loss: 0.001, burstEvery: time.Hour, burstFor: 5 * time.Second, burstLoss: 0.5},
	{name: "one broken vantage, 1 % loss", loss: 0.01, broken: true},
}

// losses decides which probes are lost. For importance sampling, probes of tilted regions are lost more often than the
// model says, and ratio records by how much that changed the probability of each region's history.
type losses struct {
	model  model
	random *rand.Rand
	tilted []bool    // by region
	tilt   float64   // probability of loss in tilted regions
	ratio  []float64 // by region: density of the tilted model over that of the true one, for the history so far
	bursts []burst   // the latest one of each region
}

// burst is the time in which an uplink loses many probes.
type burst struct{ from, to time.Duration }

func newLosses(m model, random *rand.Rand) *losses {
	f := &losses{
		model: m, random: random, tilted: make([]bool, len(regions)), ratio: make([]float64, len(regions)),
		bursts: make([]burst, len(regions)),
	}
	for i := range f.ratio {
		f.ratio[i] = 1
	}
	return f
}

// loss returns the true model's probability that a probe from the region is lost: independently on the path, on the
// region's uplink and on the target's uplink.
func (f *losses) loss(region int, at time.Duration) float64 {
	kept := 1 - f.model.loss
	for _, r := range []int{region, 0} {
		if b := f.bursts[r]; at >= b.from && at < b.to {
			kept *= 1 - f.model.burstLoss
		}
	}
	return 1 - kept
}

// lost draws whether a probe is lost.
func (f *losses) lost(region int, at time.Duration) bool {
	p := f.loss(region, at)
	q := max(p, f.tilt)
	if f.tilt == 0 {
		return f.random.Float64() < p
	}
	// Every region's ratio is recorded, tilted or not: the proposal is a mixture over which regions are tilted, so that
	// density needs the ratio of each region under both assumptions.
	lost := f.random.Float64() < p
	if f.tilted[region] {
		lost = f.random.Float64() < q
	}
	if lost {
		f.ratio[region] *= q / p
	} else {
		f.ratio[region] *= (1 - q) / (1 - p)
	}
	return lost
}

// exponential draws a duration from an exponential distribution with this mean.
func exponential(random *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(random.ExpFloat64() * float64(mean))
}
