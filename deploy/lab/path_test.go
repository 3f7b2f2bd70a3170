package lab

import (
	"math/rand/v2"
	"testing"
	"time"
)

// path describes what happens to packets from one site to another, in one direction.
type path struct {
	Delay     time.Duration // of every packet
	Jitter    time.Duration // largest additional delay, evenly distributed
	Loss      float64       // share of packets that are dropped
	Duplicate float64       // share of packets that arrive twice
	Cut       bool          // every packet is dropped
}

// arrivals returns the delay of each copy of a packet: none if it is lost, two if it is duplicated.
func (p path) arrivals(r *rand.Rand) []time.Duration {
	if p.Cut || r.Float64() < p.Loss {
		return nil
	}
	copies := []time.Duration{p.delay(r)}
	if r.Float64() < p.Duplicate {
		copies = append(copies, p.delay(r))
	}
	return copies
}

func (p path) delay(r *rand.Rand) time.Duration {
	return p.Delay + time.Duration(r.Float64()*float64(p.Jitter))
}

// regions are the lab's eight regions with their cities.
var regions = []struct{ name, city, country string }{
	{"london", "London", "GB"}, {"vancouver", "Vancouver", "CA"}, {"new-york", "New York", "US"},
	{"toronto", "Toronto", "CA"}, {"lusaka", "Lusaka", "ZM"}, {"sydney", "Sydney", "AU"},
	{"amsterdam", "Amsterdam", "NL"}, {"seattle", "Seattle", "US"},
}

// roundTrips are round-trip times between the cities in milliseconds, in the order of regions, as measured on the
// Internet.
var roundTrips = [8][8]int{
	{1, 135, 70, 85, 160, 270, 8, 130},
	{135, 1, 65, 60, 300, 160, 140, 5},
	{70, 65, 1, 15, 230, 205, 75, 60},
	{85, 60, 15, 1, 245, 215, 90, 55},
	{160, 300, 230, 245, 1, 380, 165, 290},
	{270, 160, 205, 215, 380, 1, 275, 165},
	{8, 140, 75, 90, 165, 275, 1, 135},
	{130, 5, 60, 55, 290, 165, 135, 1},
}

// between returns the path from one region to another without faults: half the round trip, with 5 % jitter.
func between(from, to int) path {
	oneWay := time.Duration(roundTrips[from][to]) * time.Millisecond / 2
	return path{Delay: oneWay, Jitter: oneWay / 20}
}

func TestPath(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := path{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.2, Duplicate: 0.1}
	const packets = 100_000
	lost, twice := 0, 0
	for range packets {
		copies := p.arrivals(r)
		switch len(copies) {
		case 0:
			lost++
		case 2:
			twice++
		}
		for _, after := range copies {
			if after < 50*time.Millisecond || after > 60*time.Millisecond {
				t.Fatal(after)
			}
		}
	}
	if lost < 19_000 || lost > 21_000 || twice < 7_500 || twice > 8_500 {
		t.Errorf("of %d packets %d were lost and %d duplicated", packets, lost, twice)
	}
	p.Cut = true
	if copies := p.arrivals(r); copies != nil {
		t.Error("a packet crossed a cut path:", copies)
	}
	for i := range regions {
		for j := range regions {
			if between(i, j) != between(j, i) {
				t.Errorf("the paths between %s and %s differ by direction", regions[i].city, regions[j].city)
			}
		}
	}
}
