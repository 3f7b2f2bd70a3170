package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/outbox"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/wire"
)

// stream is NATS in memory. It stores messages in the order in which they are sent, and acknowledges each after 10 ms.
type stream struct {
	mu       sync.Mutex
	since    time.Time             // zero: not connected
	fail     func(id string) error // the result of the next messages; nil: none fails
	ids      []string              // stored, in order
	ages     map[string]headers    // of every message that was stored
	inFlight int
	most     int // messages in flight at once
}

// headers is what a message states of itself.
type headers struct{ age, link time.Duration }

func newStream() *stream {
	return &stream{since: time.Now(), ages: map[string]headers{}}
}

func (s *stream) Send(id string, with map[string]string, _ []byte) func(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	err := s.store(id, with)
	return func(context.Context) error {
		time.Sleep(10 * time.Millisecond)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inFlight--
		return err
	}
}

func (s *stream) store(id string, with map[string]string) (err error) {
	if s.since.IsZero() {
		return errors.New("not connected")
	}
	if s.fail != nil {
		if err := s.fail(id); err != nil {
			return err
		}
	}
	var h headers
	h.age, h.link, err = wire.ParseHeaders(func(key string) string { return with[key] })
	s.ids, s.ages[id] = append(s.ids, id), h
	return err
}

func (s *stream) Connected() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, !s.since.IsZero()
}

func (s *stream) connect(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = since
}

func (s *stream) failWith(fail func(id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// stored returns what was stored since the last call.
func (s *stream) stored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.ids
	s.ids = nil
	return ids
}

// owner owns an outbox, as an agent's loop does.
type owner struct {
	t      *testing.T
	config outbox.Config
	out    *outbox.Outbox
	log    strings.Builder
}

// inBubble runs a test in a bubble of time, with an outbox whose spool is on disk.
func inBubble(t *testing.T, test func(o *owner, s *stream)) {
	dir := filepath.Join(t.TempDir(), "spool") // made outside the bubble, whose time begins long ago
	synctest.Test(t, func(t *testing.T) {
		began, s := time.Now(), newStream()
		clock := spool.Clock{Boot: "bubble", Uptime: func() time.Duration { return time.Since(began) }}
		o := &owner{t: t}
		o.config = outbox.Config{Bus: s, Spool: spool.Config{Dir: dir, Clock: clock}, Logger: zerolog.New(&o.log)}
		o.open()
		test(o, s)
		o.out.Close()
	})
}

func (o *owner) open() {
	o.t.Helper()
	var err error
	if o.out, err = outbox.Open(o.config); err != nil {
		o.t.Fatal(err)
	}
}

// put puts batches with one observation each.
func (o *owner) put(ids ...string) {
	for _, id := range ids {
		o.out.Put(outbox.Batch{ID: id, Opened: time.Now(), Count: 1, Data: []byte(id)})
	}
}

// run does what an agent's loop does, for so long.
func (o *owner) run(d time.Duration) {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		o.out.Advance(time.Now())
		wake := end
		if at := o.out.NextWake(time.Now()); !at.IsZero() && at.Before(end) {
			wake = at
		}
		select {
		case e := <-o.out.Events():
			o.out.Handle(e, time.Now())
		case <-time.After(time.Until(wake)):
		}
	}
}

func numbered(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%04d", prefix, i))
	}
	return ids
}

func (o *owner) wantStats(batches int, dropped uint64) {
	o.t.Helper()
	if got := o.out.Stats(); got.Batches != batches || got.Dropped != dropped || got.Off != "" {
		o.t.Errorf("stats %+v; want %d batches, %d dropped", got, batches, dropped)
	}
}

func TestLiveBatchesLeaveAtOnce(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		time.Sleep(time.Minute)
		o.put("a", "b", "c")
		o.out.Put(outbox.Batch{ID: "heartbeat", Opened: time.Now()})
		o.run(50 * time.Millisecond)
		if got := s.stored(); !slices.Equal(got, []string{"a", "b", "c", "heartbeat"}) {
			t.Errorf("stored %v", got)
		}
		if age := s.ages["a"]; age.age > time.Millisecond || age.link != time.Minute {
			t.Errorf("%+v", age)
		}
		o.wantStats(0, 0)
	})
}

func TestLiveWindowIsBounded(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		o.put(numbered("", 40)...)
		o.run(time.Second)
		if got := s.stored(); !slices.Equal(got, numbered("", 40)) || s.most != 8 {
			t.Errorf("stored %v, %d at once", got, s.most)
		}
	})
}

// What is put while NATS is away arrives once, in order, with an age that makes it history, and without heartbeats.
func TestHistoryFollowsInOrder(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.connect(time.Time{})
		for _, id := range numbered("", 300) {
			o.put(id)
			o.out.Put(outbox.Batch{ID: "heartbeat", Opened: time.Now()})
			o.run(2 * time.Second)
		}
		o.wantStats(300, 0)
		s.connect(time.Now())
		o.run(5 * time.Second)
		if early := len(s.stored()); early < 190 || early > 205 {
			t.Errorf("%d batches in 5 s; want a burst of 100 and 20 a second", early)
		}
		o.put("live")
		o.run(50 * time.Millisecond)
		if got := s.stored(); !slices.Contains(got, "live") {
			t.Errorf("a live batch waits behind history: stored %v", got)
		}
		o.run(10 * time.Second)
		for id, age := range s.ages {
			if history := age.age > age.link; history == (id == "live") {
				t.Errorf("%s: %+v", id, age)
			}
		}
		if len(s.ages) != 301 {
			t.Errorf("%d ids stored, want 301", len(s.ages))
		}
		o.wantStats(0, 0)
	})
}

// After a failure nothing new is sent before what failed: at most what was in flight beside it overtakes it.
func TestFailedHistoryKeepsItsOrder(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.connect(time.Time{})
		o.put(numbered("", 50)...)
		o.run(time.Second)
		s.connect(time.Now())
		failures := 0
		s.failWith(func(id string) error {
			if id == "0005" && failures == 0 {
				failures++
				return errors.New("no answer")
			}
			return nil
		})
		o.run(20 * time.Second)
		got := s.stored()
		at := slices.Index(got, "0005")
		if len(got) != 50 || failures != 1 || at < 5 || at > 5+6 {
			t.Fatalf("stored %v after %d failures", got, failures)
		}
		if others := slices.Delete(slices.Clone(got), at, at+1); !slices.IsSorted(others) {
			t.Errorf("stored %v", got)
		}
		o.wantStats(0, 0)
	})
}

// A live batch is tried again while it is fresh, and then becomes history.
func TestLiveBatchIsRetriedThenHistory(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		time.Sleep(time.Hour)
		tries := 0
		s.failWith(func(id string) error { tries++; return errors.New("no answer") })
		o.put("a")
		o.run(29 * time.Second)
		if tries < 80 {
			t.Errorf("%d tries while fresh", tries)
		}
		o.run(10 * time.Second)
		tries = 0
		o.run(10 * time.Second)
		if tries > 11 || tries == 0 {
			t.Errorf("%d tries in 10 s as history; want one a second", tries)
		}
		s.failWith(nil)
		o.run(3 * time.Second)
		if got := s.stored(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("stored %v", got)
		}
		o.wantStats(0, 0)
	})
}

func TestRefusedBatchIsDroppedAndCounted(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.failWith(func(string) error { return fmt.Errorf("maximum payload: %w", bus.ErrRefused) })
		o.out.Put(outbox.Batch{ID: "a", Opened: time.Now(), Count: 7, Data: []byte("a")})
		o.run(time.Minute)
		o.wantStats(0, 7)
		if got := strings.Count(o.log.String(), "batch rejected by NATS"); got != 1 {
			t.Errorf("logged %d times", got)
		}
	})
}

// What outlives the stream's own retention is dropped, not sent.
func TestHistoryTooOldIsDropped(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.connect(time.Time{})
		o.put("old")
		o.run(time.Second)
		time.Sleep(wire.AgeMax)
		o.put("new")
		o.run(time.Second)
		s.connect(time.Now())
		o.run(time.Minute)
		if got := s.stored(); !slices.Equal(got, []string{"new"}) {
			t.Errorf("stored %v", got)
		}
		o.wantStats(0, 1)
	})
}

// The next process sends what the one before could not, oldest first and before its own history.
func TestBatchesOutliveTheProcess(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.connect(time.Time{})
		o.put(numbered("a", 20)...)
		o.out.Drain()
		o.out.Close()
		o.open()
		o.wantStats(20, 0)
		o.put(numbered("b", 20)...)
		o.run(time.Second)
		s.connect(time.Now())
		o.run(10 * time.Second)
		if got, want := s.stored(), append(numbered("a", 20), numbered("b", 20)...); !slices.Equal(got, want) {
			t.Errorf("stored %v", got)
		}
		o.wantStats(0, 0)
	})
}

// Close alone also writes what is in memory, and Drain publishes live batches but no history.
func TestEndLosesNothing(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.connect(time.Time{})
		o.put("a", "b")
		o.out.Close()
		o.open()
		s.connect(time.Now())
		o.put("c")
		began := time.Now()
		o.out.Drain()
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
		if got := s.stored(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("stored %v while draining", got)
		}
		o.out.Close()
		o.open()
		o.run(5 * time.Second)
		if got := s.stored(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("stored %v by the next process", got)
		}
	})
}

func TestDrainWaitsASecondAtMost(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		s.failWith(func(string) error { return errors.New("no answer") })
		o.put("a")
		began := time.Now()
		o.out.Drain()
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
	})
}

func TestWithoutASpoolBatchesWaitInMemory(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		o.out.Close()
		o.config.Spool = spool.Config{}
		o.open()
		s.connect(time.Time{})
		o.put(numbered("", 1200)...)
		o.run(time.Second)
		o.wantStats(1000, 200)
		s.connect(time.Now())
		o.run(2 * time.Minute)
		if got := s.stored(); !slices.Equal(got, numbered("", 1200)[200:]) {
			t.Errorf("%d batches stored, the first %v", len(got), got[:min(len(got), 1)])
		}
	})
}

func TestOneOutboxADirectory(t *testing.T) {
	inBubble(t, func(o *owner, s *stream) {
		if _, err := outbox.Open(o.config); !errors.Is(err, spool.ErrLocked) {
			t.Errorf("a second outbox in the same directory: %v", err)
		}
	})
}
