package server_test

import (
	"errors"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/meshtime"
)

func TestOnlyTheLeaderMarksTheClock(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	first := lead(t, s)
	for range 2 {
		if _, err := first.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	second := lead(t, s)
	if _, err := first.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()}); err != nil {
		t.Errorf("before the next leader marks the clock: %v", err)
	}
	offset := 10 * time.Minute
	if _, err := second.MarkClock(t.Context(), meshtime.Mark{Offset: offset, From: time.Now(),
		Now: time.Now().Add(offset)}); err != nil {
		t.Fatal(err)
	}
	if _, err := first.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()}); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("a leader that was replaced could still mark the clock: %v", err)
	}
	if _, err := second.MarkClock(t.Context(), meshtime.Mark{Offset: offset, Now: time.Now().Add(offset)}); err != nil {
		t.Error(err)
	}
	if got := readOBS(t, second, 5); got[4].Kind != bus.ClockMark {
		t.Errorf("the stream has %+v", got)
	}
}

func TestTheStreamIsSearchedByMeshTime(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c, a := lead(t, s), dialAgent(t, s, "nc036")
	empty, err := c.Timeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if place, err := empty.Find(time.Now()); err != nil || place.Sequence != 1 {
		t.Errorf("an empty stream is read from %d on: %v", place.Sequence, err)
	}
	began := time.Now()
	for n, id := range []string{"1", "2", "3"} {
		if err := a.Publish(t.Context(), id, headers, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.MarkClock(t.Context(), meshtime.Mark{Now: began.Add(time.Duration(n) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := c.Timeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The marks are 2, 4 and 6. Behind each, messages are read from where the mark before was.
	for at, want := range map[time.Duration]uint64{-time.Hour: 1, 30 * time.Minute: 3, 90 * time.Minute: 5,
		3 * time.Hour: 7} {
		if place, err := stream.Find(began.Add(at)); err != nil || place.Sequence < want || place.Sequence > want+1 {
			t.Errorf("messages of %v are read from %d on, and not from %d (%v)", at, place.Sequence, want, err)
		}
	}
	now, _, err := stream.End()
	if off := now.Sub(began.Add(2 * time.Hour)).Abs(); err != nil || off > time.Second {
		t.Errorf("the end is off by %v (%v)", off, err)
	}
}
