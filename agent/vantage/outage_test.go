package vantage_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/vantage"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/spool"
)

// lives runs one agent after another on the same spool, in a synctest bubble.
type lives struct {
	t      *testing.T
	b      *bus
	n      *network
	spool  spool.Config
	log    strings.Builder
	cancel context.CancelFunc
	done   chan error
}

func live(t *testing.T, story func(l *lives)) {
	dir := t.TempDir() // made outside the bubble, whose time begins long ago
	synctest.Test(t, func(t *testing.T) {
		c, err := catalogfile.Parse("test.yaml", []byte(file), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		clock := spool.Clock{Boot: "bubble", Uptime: func() time.Duration { return time.Since(began) }}
		story(&lives{
			t: t, b: newBus(c), n: &network{away: map[netip.Addr]bool{}},
			spool: spool.Config{Dir: filepath.Join(dir, "state", "spool"), Clock: clock},
		})
	})
}

func (l *lives) begin() {
	ctx, cancel := context.WithCancel(l.t.Context())
	l.cancel, l.done = cancel, make(chan error, 1)
	config := vantage.Config{
		Name: "ams1", Version: "test", Bus: l.b, Network: l.n, Spool: l.spool,
		Logger: zerolog.New(zerolog.SyncWriter(&l.log)),
	}
	go func() { l.done <- vantage.Run(ctx, config) }()
}

func (l *lives) end() {
	l.cancel()
	if err := <-l.done; err != nil {
		l.t.Error(err)
	}
}

// observed returns the batches with observations, by epoch and in the order of arrival.
func observed(batches []*mesh.Batch) map[uint64][]*mesh.Batch {
	out := map[uint64][]*mesh.Batch{}
	for _, b := range batches {
		if len(b.Observations) > 0 {
			out[b.Epoch] = append(out[b.Epoch], b)
		}
	}
	return out
}

// What an agent observed while NATS was away is published by the next agent on this machine: all of it, in order,
// none twice, as history, and with the times of the observations.
func TestObservationsOutliveTheAgent(t *testing.T) {
	live(t, func(l *lives) {
		l.begin()
		time.Sleep(30 * time.Second)
		before, _ := l.b.published()
		epoch := before[0].Epoch
		l.b.connect(time.Time{})
		away := time.Now()
		time.Sleep(20 * time.Minute)
		l.end()
		time.Sleep(10 * time.Minute)
		l.b.connect(time.Now())
		l.begin()
		time.Sleep(time.Minute)
		after, _ := l.b.published()
		l.end()
		history := observed(after)[epoch]
		if len(history) < 200 {
			t.Errorf("%d batches of the earlier agent arrived", len(history))
		}
		for i, b := range history {
			if !b.History() || b.Began.Before(away) || b.Began.After(away.Add(20*time.Minute)) {
				t.Fatalf("a batch of the earlier agent began at %v, history %v", b.Began, b.History())
			}
			if i > 0 && (b.Sequence <= history[i-1].Sequence || b.Began.Before(history[i-1].Began)) {
				t.Fatalf("%d comes after %d", b.Sequence, history[i-1].Sequence)
			}
		}
		if last := after[len(after)-1]; last.Queued > 1 || last.Dropped != 0 || last.Epoch == epoch {
			t.Errorf("at the end %+v", last)
		}
		for _, b := range after {
			if b.Epoch != epoch && b.History() {
				t.Errorf("a live batch is sent as history: %+v", b)
			}
		}
	})
}

// A long history does not delay live batches.
func TestLiveBatchesDoNotWaitBehindHistory(t *testing.T) {
	live(t, func(l *lives) {
		l.begin()
		time.Sleep(10 * time.Second)
		l.b.connect(time.Time{})
		time.Sleep(2 * time.Hour)
		l.b.published()
		l.b.connect(time.Now())
		time.Sleep(5 * time.Second)
		l.n.set("192.0.2.3", true)
		time.Sleep(12 * time.Second)
		batches, _ := l.b.published()
		var news, history int
		for _, b := range batches {
			if b.History() {
				history++
			}
			for _, o := range b.Observations {
				if !b.History() && o.Host == "lon1" && !o.Outcome.Good() {
					news++
				}
			}
		}
		if news < 2 {
			t.Error("the miss waits behind history")
		}
		if most := 100 + 17*20 + 5; history > most || history < 400 {
			t.Errorf("%d batches of history in 17 s: the pace is 20 a second after the first hundred", history)
		}
		time.Sleep(time.Minute)
		l.b.published()
		l.end()
	})
}

// Where the disk fails the agent works in memory, logs that once, and uses the disk again when it recovers.
func TestWithoutADisk(t *testing.T) {
	live(t, func(l *lives) {
		parent := filepath.Dir(l.spool.Dir)
		if err := os.WriteFile(parent, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l.begin()
		time.Sleep(time.Minute)
		batches, obs := l.b.published()
		if len(obs) < 11 || !strings.Contains(batches[len(batches)-1].SpoolOff, "not a directory") {
			t.Errorf("%d observations; the agent says %q of its disk", len(obs), batches[len(batches)-1].SpoolOff)
		}
		l.b.connect(time.Time{})
		time.Sleep(4 * time.Hour)
		if err := os.Remove(parent); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		l.b.connect(time.Now())
		time.Sleep(2 * time.Minute)
		batches, _ = l.b.published()
		l.end()
		if last := batches[len(batches)-1]; last.SpoolOff != "" || last.Dropped < 1000 || last.Queued > 1 {
			t.Errorf("at the end %+v", last)
		}
		history := slices.DeleteFunc(batches, func(b *mesh.Batch) bool { return !b.History() })
		if n := len(history); n < 1000 || n > 1050 {
			t.Errorf("%d batches of history after the disk came back", n)
		}
		if obs := strings.Count(l.log.String(), "spool unavailable"); obs != 1 {
			t.Errorf("logged %d times: %s", obs, l.log.String())
		}
	})
}

func TestSpoolIsUsedByOneAgent(t *testing.T) {
	live(t, func(l *lives) {
		s, err := spool.Open(l.spool)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		config := vantage.Config{Name: "ams1", Bus: l.b, Network: l.n, Spool: l.spool, Logger: zerolog.Nop()}
		err = vantage.Run(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), "another agent") {
			t.Errorf("a second agent: %v", err)
		}
	})
}

// An agent that ends first publishes its latest observations, or writes them to disk where NATS is away.
func TestShutdownLosesNothing(t *testing.T) {
	for name, away := range map[string]bool{"connected": false, "away": true} {
		t.Run(name, func(t *testing.T) {
			live(t, func(l *lives) {
				l.begin()
				time.Sleep(31 * time.Second)
				if away {
					l.b.connect(time.Time{})
				}
				probes := l.n.count("192.0.2.2") + l.n.count("192.0.2.3")
				for latest := 0; latest == 0; probes += latest { // until just after a probe, which is in no batch yet
					time.Sleep(time.Millisecond)
					latest = l.n.count("192.0.2.2") + l.n.count("192.0.2.3")
				}
				time.Sleep(51 * time.Millisecond)
				l.end()
				if away {
					l.b.connect(time.Now())
					l.begin()
					time.Sleep(2 * time.Second)
					l.end()
				}
				batches, _ := l.b.published()
				arrived := 0
				for _, b := range batches {
					if b.Epoch == batches[0].Epoch {
						arrived += len(b.Observations)
					}
				}
				if arrived != probes {
					t.Errorf("%d probes, %d observations arrived", probes, arrived)
				}
			})
		})
	}
}
