package latency_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// lossesOf are what a test has observed: by minute, check and vantage.
type lossesOf map[rollup.MinuteKey][2]uint64

func (l lossesOf) between(from, to time.Time) []latency.Loss {
	sums := map[[2]string]latency.Loss{}
	for k, n := range l {
		if k.Minute >= rollup.MinuteOf(from) && k.Minute < rollup.MinuteOf(to.Add(time.Minute-1)) {
			of := [2]string{k.Check, k.Vantage}
			sums[of] = latency.Loss{
				Check: k.Check, Vantage: k.Vantage, Sent: sums[of].Sent + n[0], Lost: sums[of].Lost + n[1],
			}
		}
	}
	out := []latency.Loss{}
	for _, check := range []string{"mail", "ping"} {
		for _, vantage := range []string{"a1", "a2", "a3"} {
			if sum, ok := sums[[2]string{check, vantage}]; ok {
				out = append(out, sum)
			}
		}
	}
	return out
}

// observeLosses adds a message with some observations of a vantage, which began up to two minutes ago.
func (l lossesOf) observeLosses(s *latency.Store, random *rand.Rand, n uint64, now time.Time) {
	b := &mesh.Batch{Agent: fmt.Sprintf("a%d", 1+random.IntN(3)), Epoch: 1, Sequence: n}
	for range 1 + random.IntN(4) {
		o := mesh.Observation{
			Host: "h", Check: []string{"ping", "mail"}[random.IntN(2)], Sent: 1 + random.IntN(3), Outcome: mesh.Reachable,
			Began: now.Add(-time.Duration(random.IntN(120)) * time.Second), RTT: time.Millisecond, Elapsed: time.Millisecond,
		}
		o.Lost = random.IntN(o.Sent)
		b.Observations = append(b.Observations, o)
		k := rollup.MinuteKey{Minute: rollup.MinuteOf(o.Ended()), Check: o.Check, Vantage: b.Agent}
		l[k] = [2]uint64{l[k][0] + uint64(o.Sent), l[k][1] + uint64(o.Lost)}
	}
	s.Add(rollup.Message{Sequence: n, At: now, Batch: b}, names{b.Agent})
}

// Losses are those of the observations, wherever these are: in memory, in the file, or on the way; also after a restart
// and after minutes without any.
func TestLossesAreThoseOfTheObservations(t *testing.T) {
	for seed := range uint64(20) {
		random, file := rand.New(rand.NewPCG(seed, 1)), filepath.Join(t.TempDir(), "latency.db")
		observed, now := lossesOf{}, noon
		s := open(t, file)
		s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
		store := func(n uint64) {
			if err := s.StoreMinutes(t.Context(), n, now, now); err != nil {
				t.Fatal(err)
			}
		}
		for n := uint64(1); n <= 150; n++ {
			now = now.Add(time.Duration(random.IntN(20)) * time.Second)
			switch random.IntN(20) {
			case 0:
				now = now.Add(20 * time.Minute)
			case 1: // a restart, after which the stream is read on from what is stored
				store(n - 1)
				s.Close()
				s = open(t, file)
				s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, n-1))
			case 2, 3, 4:
				store(n - 1)
			}
			observed.observeLosses(s, random, n, now)
			if random.IntN(3) > 0 {
				continue
			}
			from := now.Add(-time.Duration(random.IntN(10)) * time.Minute)
			got, err := s.Losses(t.Context(), from, now)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(got, func(a, b latency.Loss) int {
				return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Vantage, b.Vantage))
			})
			if diff := gocmp.Diff(observed.between(from, now), got); diff != "" {
				t.Fatalf("seed %d, message %d: %s", seed, n, diff)
			}
		}
		s.Close()
	}
}

// A reader that leaves while the file is read leaves nothing half read behind.
func TestAReaderWhoLeavesSpoilsNoLosses(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latency.db"))
	s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
	observe(s, 1, noon, "a1", time.Millisecond)
	if err := s.StoreMinutes(t.Context(), 1, noon, noon); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.Losses(gone, noon.Add(-time.Minute), noon.Add(time.Minute)); err == nil {
		t.Errorf("no error, but %v", got)
	}
	got, err := s.Losses(t.Context(), noon.Add(-time.Minute), noon.Add(time.Minute))
	if want := []latency.Loss{{Check: "ping", Vantage: "a1", Sent: 1}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
}
