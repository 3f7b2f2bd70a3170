package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// window is how long the stream remembers ids in this test: the shortest that NATS allows.
const window = 100 * time.Millisecond

// shortenWindow makes the stream of observations remember ids for the window only, and returns it.
func (c *coordinator) shortenWindow(t *testing.T) jetstream.Stream {
	t.Helper()
	way, err := c.server.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("", nats.InProcessServer(way.InProcess), nats.UserJWTAndSeed(way.JWT, way.Seed))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "OBS")
	if err != nil {
		t.Fatal(err)
	}
	with := s.CachedInfo().Config
	// Twice: after a change the server may check ids once more by the old window, and then not until that has passed.
	for _, with.Duplicates = range []time.Duration{2 * window, window} {
		if s, err = js.UpdateStream(t.Context(), with); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// sender is an agent that can publish its batches again.
type sender struct {
	name string
	*busagent.Conn
	sent []sentBatch
}

type sentBatch struct {
	id   string
	at   time.Time
	data []byte
}

func (c *coordinator) senders(t *testing.T) (out []*sender) {
	t.Helper()
	for i := 2; i <= len(cities); i++ {
		m := c.enroll(t, fmt.Sprintf("nc%d", i))
		a, err := busagent.Dial(t.Context(), busagent.Config{
			Name: m.name, Endpoint: c.server.Endpoint(), JWT: m.token, Seed: m.seed, Logger: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		out = append(out, &sender{name: m.name, Conn: a})
	}
	return out
}

// observe publishes an observation of NC1.
func (s *sender) observe(t *testing.T, outcome mesh.Outcome) {
	t.Helper()
	at, n := time.Now(), len(s.sent)+1
	b := &mesh.Batch{Agent: s.name, Epoch: 1, Sequence: uint64(n), Began: at}
	b.Observations = []mesh.Observation{
		{Host: "nc1", Check: "ping", Family: mesh.IPv4, Began: at, Outcome: outcome, Reason: "timeout", Sent: 1},
	}
	data, err := wire.EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	s.sent = append(s.sent, sentBatch{fmt.Sprintf("%s-%d", s.name, n), at, data})
	s.send(t, s.sent[n-1], time.Hour)
}

// send publishes a batch over a connection that claims to be open for so long.
func (s *sender) send(t *testing.T, d sentBatch, link time.Duration) {
	t.Helper()
	headers := func() map[string]string { return wire.EncodeHeaders(time.Since(d.at), link) }
	if err := s.Publish(t.Context(), d.id, headers, d.data); err != nil {
		t.Fatal(err)
	}
}

// storedBatches counts the batches in the stream.
func storedBatches(t *testing.T, stream jetstream.Stream) (n uint64) {
	t.Helper()
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(bus.SubjectObservations+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range info.State.Subjects {
		n += of
	}
	return n
}

// repeat publishes all batches again, when the stream has surely forgotten their ids: as live batches, and as ones that
// waited for a new connection.
func repeat(t *testing.T, agents []*sender) {
	t.Helper()
	const forgotten = 10 * window
	time.Sleep(forgotten)
	for _, link := range []time.Duration{time.Hour, time.Millisecond} {
		for _, a := range agents {
			for _, d := range a.sent {
				a.send(t, d, link)
			}
		}
		time.Sleep(forgotten)
	}
}

func TestABatchThatIsStoredTwiceCountsOnce(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	stream, agents := c.shortenWindow(t), c.senders(t)
	become := func(status mesh.Status, outcome mesh.Outcome) {
		eventually(t, string(status), func() bool {
			for _, a := range agents {
				a.observe(t, outcome)
			}
			time.Sleep(100 * time.Millisecond) // agents publish no faster
			return c.status() == status
		})
	}
	become(mesh.Operational, mesh.Reachable)
	become(mesh.MajorOutage, mesh.Unreachable)
	become(mesh.Operational, mesh.Reachable)
	transitions := c.history(t)
	if len(transitions) < 3 {
		t.Fatalf("%d transitions", len(transitions))
	}

	once := uint64(0)
	for _, a := range agents {
		once += uint64(len(a.sent))
	}
	repeat(t, agents)
	// An agent whose acknowledgement comes late publishes again, and even that may be stored.
	if n := storedBatches(t, stream); n < 3*once {
		t.Fatalf("%d batches are stored of %d that were published three times", n, once)
	}
	eventually(t, "ignored the repeats", func() bool { return c.core.Engine.Counters()["ignored"] >= once })
	become(mesh.Operational, mesh.Reachable) // a last batch, after all repeats
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(transitions, c.history(t)); diff != "" || c.status() != mesh.Operational {
			t.Errorf("%s NC1 is %s, and the transitions differ: %s", when, c.status(), diff)
		}
	}
	same("after the repeats")
	for _, a := range agents {
		a.Close()
	}
	c.stop()
	c = start(t, dir) // the replay reads each batch three times
	same("after a restart")
}
