package coordinator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/meshtime"
)

func dial(t *testing.T, s *server.Server) *coordinator.Conn {
	t.Helper()
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// write has a coordinator write everything that only the leader may write.
func write(t *testing.T, c *coordinator.Conn, id string) error {
	_, markErr := c.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()})
	_, appendErr := c.Append(t.Context(), []bus.Entry{{Subject: "status.nc036", ID: id}})
	return errors.Join(markErr, appendErr)
}

// follow reads a message of OBS and the whole ledger, in which write has appended one event.
func follow(t *testing.T, c *coordinator.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := errors.New("seen")
	if err := c.Follow(ctx, bus.Start{}, func(bus.Message) error { return seen }); !errors.Is(err, seen) {
		t.Fatal("the follower reads nothing:", err)
	}
	events := 0
	if err := c.ReadLedger(ctx, 0, func(bus.Record) error { events++; return nil }); err != nil || events != 2 {
		t.Fatal("the follower reads", events, "events:", err)
	}
}

// A second coordinator that dials and follows leaves the first one leading. One that leads deposes it.
func TestOnlyLeadDeposesTheLeader(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := dial(t, s)
	if err := write(t, first, "before"); !errors.Is(err, bus.ErrNotLeading) {
		t.Fatal("a coordinator writes that does not lead:", err)
	}
	if err := first.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(t, first, "1"); err != nil {
		t.Fatal(err)
	}

	second := dial(t, s)
	follow(t, second)
	if err := write(t, first, "2"); err != nil {
		t.Error("a follower deposes the leader:", err)
	}
	if err := write(t, second, "3"); !errors.Is(err, bus.ErrNotLeading) {
		t.Error("a follower writes:", err)
	}

	if err := second.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(t, second, "4"); err != nil {
		t.Error("the new leader cannot write:", err)
	}
	_, marked := first.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()})
	_, appended := first.Append(t.Context(), []bus.Entry{{Subject: "status.nc036", ID: "5"}})
	if !errors.Is(marked, bus.ErrFenced) || !errors.Is(appended, bus.ErrFenced) {
		t.Error("the old leader still writes:", marked, appended)
	}
	if err := first.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(t, first, "6"); err != nil {
		t.Error("a leader that was deposed cannot lead again:", err)
	}
}

// Removing messages again is no error: the answer to an earlier attempt may have been lost.
func TestMessagesAreRemovedOnce(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := dial(t, s)
	if err := c.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		if err := write(t, c, id); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := c.RemoveBatches(t.Context(), []uint64{1, 2, 99}); err != nil {
			t.Error(err)
		}
	}
}
