package latency_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// placed are names of a catalog in which ids are names, and the agent is in a region.
type placed struct{ agent, region string }

func (p placed) Vantage() (id, region string) { return p.agent, p.region }
func (placed) CheckID(_, check string) string { return check }

// history is a store with all that was ever observed.
type history struct {
	testing.TB
	file     string
	store    *latency.Store
	random   *rand.Rand
	now      time.Time
	messages []rollup.Message
	regions  []string // of the messages
	events   uint64
	hours    map[rollup.Key]rollup.Summary
}

func (h *history) open() {
	h.store = open(h, h.file)
	events, err := h.store.Events(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	h.store.Reset(rollup.NewBuilder(5, events), rollup.NewMinutes(events, 0))
	for n := range h.messages {
		h.add(n)
	}
}

func (h *history) add(n int) {
	h.store.Add(h.messages[n], placed{h.messages[n].Batch.Agent, h.regions[n]})
}

// observe adds a message with some observations, of which a few are late by up to two days or a minute early.
func (h *history) observe() {
	region := []string{"east", "west", "north"}[h.random.IntN(3)]
	n := uint64(len(h.messages)) + 1
	b := &mesh.Batch{Agent: region + "-1", Epoch: 1, Sequence: n}
	for range h.random.IntN(20) {
		o := mesh.Observation{
			Host: "h", Check: fmt.Sprint("check-", h.random.IntN(3)), Began: h.now, Outcome: mesh.Reachable, Sent: 1,
			RTT: time.Duration(1e6 * (1 + 50*h.random.Float64())),
		}
		switch h.random.IntN(10) {
		case 0:
			o.Outcome, o.Lost = mesh.Unreachable, 1
		case 1:
			o.Began = h.now.Add(-time.Duration(h.random.Int64N(int64(latency.Kept))))
		case 2:
			o.Began = h.now.Add(50 * time.Second)
		}
		b.Observations = append(b.Observations, o)
		k := rollup.Key{Hour: rollup.HourOf(o.Began), Check: o.Check, Region: region}
		whole := h.hours[k]
		whole.Add(b.Agent, o)
		h.hours[k] = whole
	}
	h.messages, h.regions = append(h.messages, rollup.Message{Sequence: n, At: h.now, Batch: b}), append(h.regions, region)
	h.add(len(h.messages) - 1)
}

// store the event of what was observed.
func (h *history) cut() {
	if e, ok := h.store.Cut(); ok {
		h.events++
		if refused := apply(h, h.store, latency.Record{Sequence: h.events, Event: &e}); refused > 0 {
			h.Fatal("an event is refused")
		}
	}
}

// shown is what a test compares of Recent.
type shown struct {
	Now, Day rollup.Digest
	Hours    map[int]rollup.Digest // those with observations
}

func (h *history) recent(s *latency.Store, wall time.Time) map[string]shown {
	h.Helper()
	all, err := s.Recent(h.Context(), wall)
	if err != nil {
		h.Fatal(err)
	}
	out := map[string]shown{}
	for check, regions := range all {
		for _, r := range regions {
			one := shown{Now: r.Now.Digest(), Day: r.Day, Hours: map[int]rollup.Digest{}}
			for place, d := range r.Hours.All() {
				if d.Outcomes.Total() > 0 {
					one.Hours[place] = d
				}
			}
			out[check+" "+r.Region] = one
		}
	}
	return out
}

// expected adds up what Recent must return.
func (h *history) expected(wall time.Time) map[string]shown {
	type sums struct{ now, day rollup.Summary }
	added, out := map[string]*sums{}, map[string]shown{}
	for k, whole := range h.hours {
		place := int(k.Hour-rollup.HourOf(wall)) + latency.RecentHours - 1
		if place < 0 || place >= latency.RecentHours {
			continue
		}
		name := k.Check + " " + k.Region
		if added[name] == nil {
			added[name], out[name] = &sums{}, shown{Hours: map[int]rollup.Digest{}}
		}
		out[name].Hours[place] = whole.Digest()
		if place >= latency.RecentHours-24 {
			added[name].day.Merge(whole)
		}
		if place >= latency.RecentHours-2 {
			added[name].now.Merge(whole)
		}
	}
	for name, s := range added {
		out[name] = shown{s.now.Digest(), s.day.Digest(), out[name].Hours}
	}
	return out
}

// What pages show is always what was observed: with late observations and early ones, hours that pass, days that are
// closed, restarts, a clock that is stepped back, and stores that nobody has asked for long.
func TestRecentIsTheSumOfTheObservations(t *testing.T) {
	for seed := range uint64(6) {
		h := &history{
			TB: t, file: filepath.Join(t.TempDir(), "latency.db"), random: rand.New(rand.NewPCG(seed, 1)), now: noon,
			hours: map[rollup.Key]rollup.Summary{},
		}
		h.open()
		for step := range 400 {
			switch n := h.random.IntN(100); {
			case n < 50:
				h.observe()
			case n < 70:
				h.now = h.now.Add(time.Duration(h.random.Int64N(int64(time.Hour))))
			case n < 74:
				h.now = h.now.Add(time.Duration(h.random.Int64N(int64(20 * time.Hour))))
			case n == 74:
				h.now = h.now.Add(60 * time.Hour)
			case n < 85:
				h.cut()
			case n == 85:
				h.store.Close()
				h.open()
			default:
				wall := h.now
				if n < 88 {
					wall = wall.Add(-2 * time.Hour)
				}
				if diff := cmp.Diff(h.expected(wall), h.recent(h.store, wall)); diff != "" {
					t.Fatalf("seed %d, step %d: %s", seed, step, diff)
				}
			}
		}
	}
}

// A store that was opened just now answers the same, also where a clock that was stepped back by days shows hours of
// days that are closed, and after the stream of summaries was created again.
func TestRecentIsWhatTheFileHas(t *testing.T) {
	h := &history{
		TB: t, file: filepath.Join(t.TempDir(), "latency.db"), random: rand.New(rand.NewPCG(1, 1)), now: noon,
		hours: map[rollup.Key]rollup.Summary{},
	}
	h.open()
	check := func(wall time.Time) (found int) {
		t.Helper()
		fresh := open(t, h.file)
		defer fresh.Close()
		want := h.recent(fresh, wall)
		if diff := cmp.Diff(want, h.recent(h.store, wall)); diff != "" {
			t.Fatal(diff)
		}
		return len(want)
	}
	for range 150 {
		h.observe()
		h.now = h.now.Add(time.Duration(h.random.Int64N(int64(2 * time.Hour))))
		h.cut()
		check(h.now.Add(-40 * time.Hour))
	}
	if check(h.now) == 0 {
		t.Error("nothing was observed")
	}
	if err := h.store.Follow(t.Context(), created.Add(time.Hour), 1<<40); err != nil {
		t.Fatal(err)
	}
	if all := h.recent(h.store, h.now); len(all) > 0 {
		t.Errorf("of a stream that was replaced there is %v", slices.Collect(maps.Keys(all)))
	}
}

// Answers share what they have of the past, and none changes with a later one.
func TestAnswersDoNotChange(t *testing.T) {
	h := &history{
		TB: t, file: filepath.Join(t.TempDir(), "latency.db"), random: rand.New(rand.NewPCG(2, 1)), now: noon,
		hours: map[rollup.Key]rollup.Summary{},
	}
	h.open()
	for range 100 {
		h.now = h.now.Add(time.Duration(h.random.Int64N(int64(2 * time.Hour))))
		h.observe()
		h.cut()
		want := h.expected(h.now)
		all, err := h.store.Recent(t.Context(), h.now)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h.observe()
		}
		h.cut()
		h.recent(h.store, h.now)
		for check, regions := range all {
			for _, r := range regions {
				for place, d := range r.Hours.All() {
					if diff := cmp.Diff(want[check+" "+r.Region].Hours[place], d); diff != "" {
						t.Fatal(diff)
					}
				}
			}
		}
	}
}
