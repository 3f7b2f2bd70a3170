package server_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

// An agent publishes messages without data whose headers look like the server's status messages to a consumer. A reader
// gets all of them, in order, and what others published after them.
func TestNoHeaderOfAnAgentStopsAReader(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c, honest := lead(t, s), dialAgent(t, s, "nc036")
	id := issue(t, s, "nc023")
	hostile := rawConn(t, s, &id, "nc023")
	const each = 5
	statuses := []nats.Header{
		{"Status": {"100"}}, {"Status": {"100"}, "Description": {"Idle Heartbeat"}}, {"Status": {"400"}}, {"Status": {"404"}},
		{"Status": {"408"}}, {"Status": {"408"}, "Nats-Pending-Messages": {"x"}, "Nats-Pending-Bytes": {"0"}},
		{"Status": {"408"}, "Nats-Pending-Messages": {"1000000"}, "Nats-Pending-Bytes": {"0"}},
		{"Status": {"409"}, "Description": {"Consumer Deleted"}}, {"Status": {"409"}, "Description": {"Server Shutdown"}},
		{"Status": {"409"}, "Description": {"Leadership Change"}}, {"Status": {"423"}}, {"Status": {"503"}},
		{"Status": {"?"}},
	}
	sent := 0
	for i, header := range statuses {
		for n := range each {
			if err := hostile.PublishMsg(&nats.Msg{Subject: bus.SubjectObservations + "nc023", Header: header}); err != nil {
				t.Fatal(err)
			}
			if err := hostile.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := honest.Publish(t.Context(), fmt.Sprint(i, "-", n), headers, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			sent += 2
		}
	}
	var last uint64
	for i, m := range readOBS(t, c, sent) {
		if m.Sequence != last+1 {
			t.Fatalf("after %d messages comes sequence %d after %d", i, m.Sequence, last)
		}
		last = m.Sequence
	}
	list, err := c.Batches(t.Context(), "nc023")
	if err != nil || len(list) != sent/2 {
		t.Errorf("%d of its messages are listed, %d were sent: %v", len(list), sent/2, err)
	}
}

// A reader that is slower than the stream reads every message once.
func TestAReaderMissesNothing(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c, a := lead(t, s), dialAgent(t, s, "nc036")
	const n = 1500 // several requests of messages
	for i := range n {
		if err := a.Publish(t.Context(), fmt.Sprint("id-", i), headers, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough")
	read := uint64(0)
	err := c.Follow(t.Context(), bus.Start{}, func(m bus.Message) error {
		if m.Sequence != read+1 {
			t.Fatalf("sequence %d after %d", m.Sequence, read)
		}
		if read++; read%500 == 0 {
			time.Sleep(300 * time.Millisecond)
		}
		if read == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(read, err)
	}
}
