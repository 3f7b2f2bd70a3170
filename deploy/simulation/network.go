package main

import (
	"math/rand/v2"
	"time"
)

// regions of the simulated mesh: ten hosts in eight, the target alone in the first.
var regions = []struct {
	name  string
	hosts int
	rtt   time.Duration // to the target
}{
	{"amsterdam", 1, time.Millisecond}, {"london", 1, 8 * time.Millisecond}, {"vancouver", 1, 140 * time.Millisecond},
	{"new-york", 2, 75 * time.Millisecond}, {"toronto", 2, 90 * time.Millisecond}, {"lusaka", 1, 165 * time.Millisecond},
	{"sydney", 1, 275 * time.Millisecond}, {"seattle", 1, 135 * time.Millisecond},
}

// model is how the network loses probes.
type model struct {
	name string
	loss float64 // of every probe, by itself

	// A region's uplink falls into bursts: Gilbert and Elliott's two states. In a burst it loses burstLoss of the probes.
	burstEvery time.Duration // from one burst to the next, on average; zero: there are none
	burstFor   time.Duration // on average
	burstLoss  float64

	broken bool // one vantage's looks all fail, while its word still arrives
}

var models = []model{
	{name: "0.1 % loss", loss: 0.001},
	{name: "1 % loss", loss: 0.01},
	{name: "5 % loss", loss: 0.05},
	{name: "20 % loss", loss: 0.20},
	{name: "uplinks in bursts", loss: 0.001, burstEvery: time.Hour, burstFor: 5 * time.Second, burstLoss: 0.5},
	{name: "one broken vantage, 1 % loss", loss: 0.01, broken: true},
}

// fates decides which probes are lost. Probes of tilted regions are lost more often than the model says, and ratio keeps by
// how much more likely each region's fates were made: importance sampling.
type fates struct {
	model  model
	random *rand.Rand
	tilted []bool    // by region
	tilt   float64   // the loss of tilted regions
	ratio  []float64 // by region: the density of the tilted model over that of the true one, for what happened
	bursts []burst   // by region
}

// burst is the time of a region's latest burst.
type burst struct{ from, to time.Duration }

func newFates(m model, random *rand.Rand) *fates {
	f := &fates{model: m, random: random, tilted: make([]bool, len(regions)), ratio: make([]float64, len(regions)), bursts: make([]burst, len(regions))}
	for i := range f.ratio {
		f.ratio[i] = 1
	}
	return f
}

// loss is what the true model says of a probe from the region at the time: what the path, the region's uplink and the
// target's uplink lose, each by itself.
func (f *fates) loss(region int, at time.Duration) float64 {
	kept := 1 - f.model.loss
	for _, r := range []int{region, 0} {
		if b := f.bursts[r]; at >= b.from && at < b.to {
			kept *= 1 - f.model.burstLoss
		}
	}
	return 1 - kept
}

// lost draws a probe's fate.
func (f *fates) lost(region int, at time.Duration) bool {
	p := f.loss(region, at)
	q := max(p, f.tilt)
	if f.tilt == 0 {
		return f.random.Float64() < p
	}
	// The ratio is kept of every region, tilted or not: the proposal is a mixture over which regions are tilted.
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

// exponential draws a time with this mean.
func exponential(random *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(random.ExpFloat64() * float64(mean))
}
