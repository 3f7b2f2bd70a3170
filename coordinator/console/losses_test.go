package console

import (
	"context"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
)

// lossyMinutes has one probe lost of ten in each minute of one pair, and counts how often each minute is read.
type lossyMinutes struct {
	Source
	read map[time.Time]int
}

func (m lossyMinutes) Losses(_ context.Context, from, to time.Time) ([]latency.VantageLoss, error) {
	p := latency.VantageLoss{Host: "NC036", Check: "ping", Vantage: "NC034"}
	for at := from.Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		m.read[at]++
		p.Sent, p.Lost = p.Sent+10, p.Lost+1
	}
	return []latency.VantageLoss{p}, nil
}

// Losses are counted in two halves, and so are those of the second half; no minute is read twice.
func TestLossesAreReadOnce(t *testing.T) {
	m := lossyMinutes{read: map[time.Time]int{}}
	now := time.Date(2026, 3, 1, 2, 31, 20, 0, time.UTC)
	counted, err := countLosses(t.Context(), m, now)
	if err != nil {
		t.Fatal(err)
	}
	key := pairKey{"nc036", "ping", "nc034"}
	if share := counted.shares[key]; share != 0.1 {
		t.Errorf("%v of the probes is lost", share)
	}
	want := pingCounts{sent: [2]uint64{50, 60}, lost: [2]uint64{5, 6}} // the present minute is not over
	if got := counted.pings[key]; got != want {
		t.Errorf("counted %+v, not %+v", got, want)
	}
	want = pingCounts{sent: [2]uint64{20, 40}, lost: [2]uint64{2, 4}}
	if got := counted.latest[key]; got != want {
		t.Errorf("counted %+v lately, not %+v", got, want)
	}
	for minute, n := range m.read {
		if n != 1 {
			t.Errorf("%s is read %d times", minute, n)
		}
	}
}
