package latency

import (
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// Tail is what was observed and is not in the file yet. The follower of the stream of observations adds to it.
type Tail struct {
	mu      sync.RWMutex // also held while the file gets what is here, and while a query reads both
	builder *rollup.Builder
	writing *rollup.Event // the event that was cut and is not applied yet
	minutes *rollup.Minutes
	storing map[rollup.MinuteKey]rollup.Summary // minutes that were cut and are not stored yet
	latest  map[series]Latest
}

// series is a check as a region sees it.
type series struct{ check, region string }

// Latest is the newest observation that had an answer.
type Latest struct {
	At  time.Time // by the wall clock
	RTT time.Duration
}

// Reset begins again with folds that are empty or were continued from the file.
func (t *Tail) Reset(b *rollup.Builder, m *rollup.Minutes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.builder, t.minutes, t.writing, t.storing = b, m, nil, nil
	if t.latest == nil {
		t.latest = map[series]Latest{}
	}
}

// Add adds a message of the stream.
func (t *Tail) Add(m rollup.Message, names rollup.Names) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.builder.Add(m, names)
	t.minutes.Add(m, names)
	if m.Batch == nil {
		return
	}
	rollup.Each(m, names, func(check, _, region string, wall time.Time, o mesh.Observation) {
		at := series{check, region}
		if o.Outcome.Good() && wall.After(t.latest[at].At) {
			t.latest[at] = Latest{wall, o.RTT}
		}
	})
}

// Due reports whether an event should be written.
func (t *Tail) Due() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.builder.Due()
}

// Cut returns the event to write. Queries find it here until it is applied.
func (t *Tail) Cut() (e rollup.Event, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok = t.builder.Cut(); ok {
		t.writing = &e
	}
	return e, ok
}

// cutMinutes returns the minutes to store. Queries find them here until they are stored.
func (t *Tail) cutMinutes(now time.Time) map[rollup.MinuteKey]rollup.Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.storing = t.minutes.Cut(now)
	return t.storing
}

// eachMinute calls fn with the minutes that are not in the file. The caller holds mu.
func (t *Tail) eachMinute(fn func(rollup.MinuteKey, rollup.Summary)) {
	for _, part := range t.unstored() {
		for k, s := range part {
			fn(k, s)
		}
	}
}

// eachMinuteOf does so with those from first to before end in which the vantages observed the check. A large mesh has
// tens of thousands that are not in the file: they are looked up unless more are asked for.
func (t *Tail) eachMinuteOf(check string, vantages []string, first, end int64, fn func(int64, rollup.Summary)) {
	for _, part := range t.unstored() {
		if int64(len(vantages))*(end-first) > int64(len(part)) {
			for k, s := range part {
				if k.Minute >= first && k.Minute < end && k.Check == check && slices.Contains(vantages, k.Vantage) {
					fn(k.Minute, s)
				}
			}
			continue
		}
		for _, vantage := range vantages {
			for minute := first; minute < end; minute++ {
				if s, ok := part[rollup.MinuteKey{Minute: minute, Check: check, Vantage: vantage}]; ok {
					fn(minute, s)
				}
			}
		}
	}
}

// unstored returns the minutes that are being stored, and those after them.
func (t *Tail) unstored() []map[rollup.MinuteKey]rollup.Summary {
	if t.minutes == nil {
		return []map[rollup.MinuteKey]rollup.Summary{t.storing}
	}
	return []map[rollup.MinuteKey]rollup.Summary{t.storing, t.minutes.Pending()}
}

// forget removes the latest observations of checks that nobody observes any more.
func (t *Tail) forget(before time.Time) {
	for at, l := range t.latest {
		if l.At.Before(before) {
			delete(t.latest, at)
		}
	}
}

// hours calls fn with what is not in the file of an hour of the check or, for "", of any check. The caller holds mu.
func (t *Tail) hours(check string, fn func(rollup.Key, rollup.Summary)) {
	if t.writing != nil {
		for k, s := range t.writing.Summaries {
			if check == "" || k.Check == check {
				fn(k, s)
			}
		}
	}
	if t.builder == nil {
		return
	}
	t.builder.Pending(func(k rollup.Key, s rollup.Summary) {
		if check == "" || k.Check == check {
			fn(k, s)
		}
	})
}
