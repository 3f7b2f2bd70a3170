package meshtime_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/meshtime"
)

var epoch = time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)

// server is a NATS server whose wall clock can be stepped, with a leader that reads its stream and writes marks.
type server struct {
	real       time.Duration // true time since epoch
	stepped    time.Duration // the server's clock less true time
	messages   []meshtime.Message
	stored     []time.Duration // the true time of each message
	dated      []meshtime.Moment
	clock      meshtime.Clock
	leader     meshtime.Leader
	leaderless bool
	replayed   int           // messages stored before the present leader started
	latency    time.Duration // until the leader's mark is stored
}

// store stores a message, and reports whether the leader must write a mark at once.
func (s *server) store(mark *meshtime.Mark) (due bool) {
	m := meshtime.Message{Sequence: uint64(len(s.messages)) + 1, Stream: epoch.Add(s.real + s.stepped), Mark: mark}
	s.messages, s.stored = append(s.messages, m), append(s.stored, s.real)
	if s.leaderless {
		return false
	}
	return s.observe(m)
}

// observe passes a message to the leader.
func (s *server) observe(m meshtime.Message) (due bool) {
	s.dated = append(s.dated, s.clock.Fold(m.Stream, m.Mark)...)
	return s.leader.Observe(&s.clock, s.real, len(s.messages) > s.replayed)
}

func (s *server) mark() {
	if !s.leaderless {
		m := s.leader.Mark(&s.clock)
		s.store(&m)
	}
}

// batch stores an agent's batch, and the leader's mark if it is due.
func (s *server) batch() {
	if s.store(nil) {
		s.real += s.latency
		s.mark()
	}
}

// run lets time pass, with a batch every 200 ms and a mark every 2 s.
func (s *server) run(d time.Duration) {
	for end := s.real + d; s.real < end; s.real += 200 * time.Millisecond {
		s.batch()
		if s.real%(2*time.Second) < 200*time.Millisecond {
			s.mark()
		}
	}
}

// restart starts a new leader, which replays the whole stream.
func (s *server) restart() {
	s.clock, s.leader, s.dated, s.leaderless = meshtime.Clock{}, meshtime.Leader{}, nil, false
	s.replayed = len(s.messages) + 1
	for _, m := range s.messages {
		s.observe(m)
	}
	s.batch() // in place of the catalog, with which a leader begins
	s.batch()
}

// fold returns what a reader of these messages dates.
func fold(c meshtime.Clock, messages []meshtime.Message) (out []meshtime.Moment) {
	for _, m := range messages {
		out = append(out, c.Fold(m.Stream, m.Mark)...)
	}
	return out
}

func TestAStepOfTheClockChangesNoDuration(t *testing.T) {
	for _, minutes := range []float64{-10, 10, -1. / 60, 48 * 60, -48 * 60} {
		step := time.Duration(minutes * float64(time.Minute))
		t.Run(step.String(), func(t *testing.T) {
			s := &server{latency: 5 * time.Millisecond}
			s.run(30 * time.Second)
			s.stepped = step
			s.run(10 * time.Minute)
			last := s.dated[len(s.dated)-1]
			if got := last.Mesh.Sub(s.dated[0].Mesh); (got - s.real).Abs() > s.real/100+300*time.Millisecond {
				t.Errorf("%v passed, and %v in mesh time", s.real, got)
			}
			if got := last.Wall.Sub(epoch) - s.real; (got - step).Abs() > time.Second {
				t.Errorf("people are shown a clock that is off by %v", got)
			}
			if len(s.dated) != len(s.messages) {
				t.Errorf("%d of %d messages are dated", len(s.dated), len(s.messages))
			}
		})
	}
}

func TestAPauseIsNotTakenForAStep(t *testing.T) {
	s := &server{}
	s.run(30 * time.Second)
	s.real += 10 * time.Minute // NATS was down, and the leader kept running
	s.run(30 * time.Second)
	if got := s.dated[len(s.dated)-1].Offset(); got != 0 {
		t.Errorf("after a pause the offset is %v", got)
	}
}

func TestAStepWhileNoLeaderRuns(t *testing.T) {
	for _, step := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		s := &server{latency: 5 * time.Millisecond}
		s.run(time.Minute)
		before := s.dated[len(s.dated)-1].Mesh
		s.leaderless = true
		s.real += 20 * time.Second
		s.stepped = step
		s.run(2 * time.Second) // agents reconnect before the coordinator does
		s.restart()
		s.run(30 * time.Second)
		if len(s.dated) != len(s.messages) {
			t.Fatalf("%v: %d of %d messages are dated", step, len(s.dated), len(s.messages))
		}
		// A step back hides the pause, and a step forward prolongs it. Later durations are right.
		passed := s.dated[len(s.dated)-1].Mesh.Sub(before)
		want := map[bool]time.Duration{true: 32 * time.Second, false: 52*time.Second + step}[step < 0]
		if (passed - want).Abs() > time.Second {
			t.Errorf("%v: %v passed in mesh time", step, passed)
		}
	}
}

func TestTheOffsetDecays(t *testing.T) {
	for _, offset := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		m := meshtime.Mark{Offset: offset, From: epoch}
		if got := m.At(epoch.Add(12 * time.Hour)).Abs(); got < 4*time.Minute || got > 5*time.Minute {
			t.Errorf("after half a day the offset is %v", got)
		}
		if got := m.At(epoch.Add(24 * time.Hour)); got != 0 {
			t.Errorf("after a day the offset is %v", got)
		}
	}
}

func TestWithoutALeaderEveryMessageIsDated(t *testing.T) {
	s := &server{}
	s.run(10 * time.Second)
	s.leaderless = true
	s.real += 5 * time.Minute
	s.run(time.Minute)
	dated := fold(meshtime.Clock{}, s.messages)
	if len(dated) != len(s.messages) {
		t.Errorf("%d of %d messages are dated", len(dated), len(s.messages))
	}
	if last := dated[len(dated)-1]; last.Offset() != 0 {
		t.Errorf("the offset is %v", last.Offset())
	}
}

// A stream without marks, as early versions wrote it, is dated by its timestamps alone while these increase.
func TestStreamsWithoutMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c meshtime.Clock
		stream := epoch
		for range 50 {
			stream = stream.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "pause")))
			want := []meshtime.Moment{{Mesh: stream, Wall: stream}}
			if diff := cmp.Diff(want, c.Fold(stream, nil)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// history draws a stream with steps of the clock, pauses, and times without a leader.
func history(t *rapid.T) *server {
	s := &server{latency: time.Duration(rapid.IntRange(0, 50).Draw(t, "latency")) * time.Millisecond}
	s.run(5 * time.Second)
	for range rapid.IntRange(1, 8).Draw(t, "events") {
		switch rapid.IntRange(0, 4).Draw(t, "event") {
		case 0, 1:
			s.stepped += time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "step")) * time.Second
		case 2:
			s.real += time.Duration(rapid.IntRange(0, 600).Draw(t, "pause")) * time.Second
		case 3:
			s.leaderless = true
			s.run(time.Duration(rapid.IntRange(0, 30).Draw(t, "without a leader")) * time.Second)
			s.restart()
		}
		s.run(time.Duration(rapid.IntRange(1, 120).Draw(t, "seconds")) * time.Second)
	}
	return s
}

func isMark(m meshtime.Message) bool { return m.Mark != nil }

func TestTimeNeverDecreasesAndAllReadersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t)
		all := fold(meshtime.Clock{}, s.messages)
		if diff := cmp.Diff(s.dated, all[:len(s.dated)]); diff != "" {
			t.Fatalf("a replay differs: %s", diff)
		}
		if !slices.IsSortedFunc(all, func(a, b meshtime.Moment) int { return a.Mesh.Compare(b.Mesh) }) {
			t.Fatal("time decreases")
		}
		from := rapid.IntRange(0, len(s.messages)-1).Draw(t, "from")
		later := fold(meshtime.Clock{}, s.messages[from:])
		first := slices.IndexFunc(s.messages[from:], isMark)
		// The first mark may have been written before its leader had read all messages before it; the second was not.
		second := first + 1 + slices.IndexFunc(s.messages[from+first+1:], isMark)
		if first < 0 || second <= first || second >= len(later) {
			return
		}
		for n := second; n < len(later); n++ {
			if !later[n].Mesh.Equal(all[from+n].Mesh) {
				t.Fatalf("a reader that starts at %d dates %d at %v, want %v", from, from+n, later[n].Mesh,
					all[from+n].Mesh)
			}
		}
	})
}

// However often the clock is stepped while a leader runs, durations in mesh time are true.
func TestDurationsAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &server{latency: time.Duration(rapid.IntRange(0, 50).Draw(t, "latency")) * time.Millisecond}
		s.run(5 * time.Second)
		steps := rapid.IntRange(1, 6).Draw(t, "steps")
		accepted := time.Duration(0) // steps forward of up to AheadMax are accepted as they are
		for range steps {
			step := time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "step")) * time.Second
			if step > 0 && step <= meshtime.AheadMax {
				accepted += step
			}
			s.stepped += step
			s.run(time.Duration(rapid.IntRange(5, 60).Draw(t, "seconds")) * time.Second)
		}
		got := s.dated[len(s.dated)-1].Mesh.Sub(s.dated[0].Mesh)
		passed := s.stored[len(s.stored)-1]
		bound := passed/100 + time.Duration(steps)*300*time.Millisecond + accepted
		if (got - passed).Abs() > bound {
			t.Fatalf("%v passed, and %v in mesh time", passed, got)
		}
	})
}

func (s *server) stream() meshtime.Stream {
	next := func(n uint64, marks bool) (meshtime.Message, bool, error) {
		for _, m := range s.messages[min(max(n, 1)-1, uint64(len(s.messages))):] {
			if m.Mark != nil || !marks {
				return m, true, nil
			}
		}
		return meshtime.Message{}, false, nil
	}
	return meshtime.Stream{First: 1, Last: uint64(len(s.messages)), Next: next}
}

// A reader that starts at the position found receives every message since the time.
func TestFindMissesNoMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t)
		s.mark() // End does not consider a step since the last mark
		all := fold(meshtime.Clock{}, s.messages)
		n := rapid.IntRange(0, len(all)-1).Draw(t, "of")
		start, err := s.stream().Find(all[n].Mesh)
		if err != nil || start.Sequence > uint64(n)+1 {
			t.Fatalf("Find returned %d for the time of message %d: %v", start.Sequence, n+1, err)
		}
		now, mark, err := s.stream().End()
		last := all[len(all)-1]
		off := mark.Mesh(last.Wall).Sub(last.Mesh).Abs()
		if err != nil || max(off, now.Sub(last.Mesh).Abs()) > meshtime.Jitter {
			t.Fatalf("mesh time at the end is %v, want %v (%v)", now, last.Mesh, err)
		}
	})
}

func TestFindReturnsANearbyPosition(t *testing.T) {
	s := &server{}
	s.run(time.Hour)
	s.stepped = -10 * time.Minute
	s.run(time.Hour)
	for _, ago := range []time.Duration{5 * time.Minute, 59 * time.Minute, 65 * time.Minute, 100 * time.Minute} {
		at := s.clock.Now().Add(-ago)
		start, err := s.stream().Find(at)
		if err != nil {
			t.Fatal(err)
		}
		dated := fold(start.Clock, s.messages[start.Sequence-1:])
		if got := at.Sub(dated[0].Mesh); got < -300*time.Millisecond || got > 8*time.Second {
			t.Errorf("a reader of the last %v starts %v early", ago, got)
		}
	}
}

func TestAtWall(t *testing.T) {
	s := &server{}
	s.run(20 * time.Minute)
	s.stepped = -10 * time.Minute
	s.run(20 * time.Minute)
	s.stepped = 30 * time.Minute
	s.run(20 * time.Minute)
	all := s.dated
	for _, c := range []struct {
		wall string
		real time.Duration // when the clock showed it last
	}{
		{"02:35", 5 * time.Minute}, {"02:45", 25 * time.Minute}, {"02:55", 35 * time.Minute},
		{"03:10", 40 * time.Minute}, {"03:45", 45 * time.Minute},
	} {
		wall, _ := time.Parse("2006-01-02 15:04", "2026-03-01 "+c.wall)
		got, err := s.stream().AtWall(wall)
		n, _ := slices.BinarySearchFunc(s.stored, c.real, func(a, b time.Duration) int { return int(a - b) })
		if want := all[n].Mesh; err != nil || got.Sub(want).Abs() > 3*time.Second {
			t.Errorf("AtWall(%s) = %v, want %v (%v)", c.wall, got, want, err)
		}
	}
}

func TestWallIsTheInverseOfMesh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "offset")
		m := meshtime.Mark{Offset: time.Duration(offset), From: epoch}
		stream := epoch.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(300*time.Hour)).Draw(t, "later")))
		if off := m.Wall(m.Mesh(stream)).Sub(stream).Abs(); off > time.Microsecond {
			t.Fatal(fmt.Sprint("off by ", off))
		}
	})
}

// A long stream without marks is searched by its timestamps instead of read from its beginning.
func TestFindInAStreamWithoutMarks(t *testing.T) {
	s := &server{leaderless: true}
	s.run(2 * time.Hour)
	start, err := s.stream().Find(epoch.Add(100 * time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.messages[start.Sequence-1].Stream.Sub(epoch); got < 99*time.Minute || got > 100*time.Minute {
		t.Errorf("Find of minute 100 returned a message of %v", got)
	}
}
