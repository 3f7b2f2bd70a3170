package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// world is a bus and a ledger's log in memory, which outlive the coordinators on them.
type world struct {
	dir string

	mu          sync.Mutex
	messages    []bus.Message
	more        chan struct{} // closed at the next message
	broadcasts  []wire.Control
	refused     map[bus.Kind]int           // how many marks of a kind fail from now on
	answersFail bool                       // agents cannot be answered
	readFrom    uint64                     // where the latest reader began
	pause       time.Duration              // before each message of the stream is read
	records     []ledger.Record            // the ledger's log
	known       map[string]bool            // its ids
	ledgerError error                      // what appending to it returns; nil: it works
	epoch       uint64                     // of the agents
	log         io.Writer                  // gets the coordinators' log; nil: nobody
	stepped     time.Duration              // by which the server's clock was stepped
	stopped     time.Time                  // where it stopped, but for the steps; zero: it runs
	led         *ledger.Ledger             // of the coordinator that was opened last
	warn        func(subject, text string) // what recorders call; nil: nothing
	namesRounds bool                       // agents name the round that they were last asked for, as real ones do
}

func newWorld(t *testing.T) *world {
	return &world{dir: t.TempDir(), more: make(chan struct{}), refused: map[bus.Kind]int{}, known: map[string]bool{}}
}

var errRefused = errors.New("refused")

// clock returns what the server's clock shows.
func (w *world) clock() time.Time {
	if !w.stopped.IsZero() {
		return w.stopped.Add(w.stepped)
	}
	return time.Now().Add(w.stepped)
}

func (w *world) store(m bus.Message) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.Sequence, m.Time = uint64(len(w.messages))+1, w.clock()
	w.messages = append(w.messages, m)
	close(w.more)
	w.more = make(chan struct{})
	return m.Sequence
}

func (w *world) Mark(_ context.Context, kind bus.Kind, _ string, data []byte) (uint64, error) {
	w.mu.Lock()
	refused := w.refused[kind] > 0
	if refused {
		w.refused[kind]--
	}
	w.mu.Unlock()
	if refused {
		return 0, errRefused
	}
	return w.store(bus.Message{Kind: kind, Data: data}), nil
}

func (w *world) MarkClock(ctx context.Context, m meshtime.Mark) (uint64, error) {
	data, err := wire.EncodeClock(m, 1)
	if err != nil {
		return 0, err
	}
	return w.Mark(ctx, bus.ClockMark, "", data)
}

func (w *world) Timeline(context.Context) (meshtime.Stream, error) {
	w.mu.Lock()
	messages := w.messages
	w.mu.Unlock()
	next := func(n uint64, marks bool) (meshtime.Message, bool, error) {
		for _, m := range messages[min(max(n, 1)-1, uint64(len(messages))):] {
			f := meshtime.Message{Sequence: m.Sequence, Stream: m.Time}
			if m.Kind == bus.ClockMark {
				mark, _, err := wire.DecodeClock(m.Data)
				if err != nil {
					return f, false, err
				}
				f.Mark = &mark
			}
			if f.Mark != nil || !marks {
				return f, true, nil
			}
		}
		return meshtime.Message{}, false, nil
	}
	return meshtime.Stream{First: 1, Last: uint64(len(messages)), Next: next}, nil
}

func (w *world) Broadcast(_ context.Context, data []byte) error {
	c, err := wire.DecodeControl(data)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broadcasts = append(w.broadcasts, c)
	return err
}

func (w *world) AnswerCatalog(ctx context.Context, ready chan<- struct{}, _ func(string, *bus.SealKey) []byte) error {
	if w.answersFail {
		time.Sleep(5 * time.Second) // as long as the bus waits for the server
		return errRefused
	}
	close(ready)
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Follow(ctx context.Context, from bus.Start, fn func(bus.Message) error) error {
	w.mu.Lock()
	w.readFrom = from.Sequence
	w.mu.Unlock()
	for i := 0; ; {
		w.mu.Lock()
		messages, more, pause := w.messages[i:], w.more, w.pause
		w.mu.Unlock()
		i += len(messages)
		for _, m := range messages {
			if m.Sequence < from.Sequence {
				continue
			}
			time.Sleep(pause)
			if err := fn(m); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

func (w *world) streams(context.Context) ([]bus.StreamInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []bus.StreamInfo{
		{Name: "OBS", Last: uint64(len(w.messages))}, {Name: "LEDGER", Last: uint64(len(w.records))},
	}, nil
}

// log is the world's log of the ledger.
type log struct{ *world }

func (l log) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ledgerError != nil {
		return 0, l.ledgerError
	}
	if len(entries) > 1000 {
		return 0, errors.New("atomic publish batch is too large: 1000") // the server's error
	}
	if slices.ContainsFunc(entries, func(e ledger.Entry) bool { return l.known[e.ID] }) {
		return 0, nil
	}
	for _, e := range entries {
		l.known[e.ID] = true
		l.records = append(l.records, ledger.Record{
			Sequence: uint64(len(l.records)) + 1, Time: time.Now().Add(l.stepped), Subject: e.Subject, Data: e.Data,
		})
	}
	return uint64(len(l.records)), nil
}

func (l log) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	l.mu.Lock()
	records := l.records[from-1:]
	l.mu.Unlock()
	for _, r := range records {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (l log) State(context.Context) (ledger.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ledger.State{Created: time.Unix(1, 0), First: 1, Last: uint64(len(l.records))}, nil
}

// delay makes the stream slow to read from now on.
func (w *world) delay(pause time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pause = pause
}

// run starts a coordinator on the world; stop ends it and returns what Run did.
func (w *world) run(t *testing.T, c node.CoreConfig) (e *node.Core, stop func() error) {
	t.Helper()
	return w.runOn(t, w, c)
}

// runOn starts a coordinator on another bus than the world itself.
func (w *world) runOn(t *testing.T, on node.CoreBus, c node.CoreConfig) (e *node.Core, stop func() error) {
	t.Helper()
	c.Bus = on
	e, v, err := w.open(t, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return e, sync.OnceValue(func() error {
		cancel()
		err := <-ended
		v.Close()
		return err
	})
}

func (w *world) open(t *testing.T, c node.CoreConfig) (*node.Core, *view.View, error) {
	t.Helper()
	v, err := view.Open(t.Context(), filepath.Join(w.dir, "view.db"), log{w})
	if err != nil {
		t.Fatal(err)
	}
	led, err := ledger.Open(t.Context(), log{w}, v)
	if err != nil {
		t.Fatal(err)
	}
	if c.Bus == nil {
		c.Bus = w
	}
	w.led = led
	c.Ledger, c.View, c.Getenv, c.Streams = led, v, os.LookupEnv, w.streams
	if w.log != nil {
		c.Logger = zerolog.New(w.log)
	}
	e, err := node.OpenCore(t.Context(), c)
	if err != nil {
		v.Close()
	}
	return e, v, err
}

// publishAll has every agent but NC1's publish one observation of NC1, by the catalog.
func (w *world) publishAll(t *testing.T, c *catalog.Catalog, outcome mesh.Outcome) {
	t.Helper()
	w.publishOf(t, c, outcome, "nc1")
}

func (w *world) publishOf(t *testing.T, c *catalog.Catalog, outcome mesh.Outcome, hosts ...string) {
	t.Helper()
	w.epoch++
	for i := 2; i <= len(cities); i++ {
		began := time.Now().Add(-10 * time.Millisecond)
		b := &mesh.Batch{Agent: fmt.Sprintf("nc%d", i), Epoch: w.epoch, Sequence: 1, Began: began, Revision: c.Revision}
		for _, host := range hosts {
			b.Observations = append(b.Observations, mesh.Observation{
				Host: host, Check: "ping", Family: mesh.IPv4, Began: began, Outcome: outcome, Reason: "timeout", Sent: 1,
				Round: w.round(host),
			})
		}
		data := encodeOfAnySize(t, b)
		h := wire.EncodeHeaders(10*time.Millisecond, time.Hour)
		w.store(bus.Message{Kind: bus.Batch, Agent: b.Agent, Header: func(k string) string { return h[k] }, Data: data})
	}
}

// encodeOfAnySize encodes a batch that may be larger than agents send today, as in recorded traffic.
func encodeOfAnySize(t *testing.T, b *mesh.Batch) []byte {
	t.Helper()
	const tail, together = "]}", 100
	var out []byte
	for part := range slices.Chunk(b.Observations, together) {
		one := *b
		one.Observations = part
		data, err := wire.EncodeBatch(&one)
		if err != nil {
			t.Fatal(err)
		}
		if out != nil { // append only its observations
			data = data[bytes.Index(data, []byte(`"o":[`))+len(`"o":[`):]
			out = append(bytes.TrimSuffix(out, []byte(tail)), ',')
		}
		out = append(out, data...)
	}
	return out
}

// round returns the round of the host that agents were last asked for; zero without one, or if they do not name rounds.
func (w *world) round(host string) (round uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.broadcasts {
		if w.namesRounds && c.Round != nil && c.Round.Host == host {
			round = c.Round.Round
		}
	}
	return round
}

// observe has the agents publish the same every two seconds for a while.
func (w *world) observe(t *testing.T, c *catalog.Catalog, outcome mesh.Outcome, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Second) {
		w.publishAll(t, c, outcome)
		synctest.Wait()
	}
}

func enrollAll(t *testing.T, e *node.Core) {
	t.Helper()
	for i := range cities {
		if err := e.Members.Enrolled(t.Context(), fmt.Sprintf("nc%d", i+1), "K"); err != nil {
			t.Fatal(err)
		}
	}
}

func status(e *node.Core) mesh.Status {
	_, s := e.Engine.Current()
	return s.Hosts[0].Status
}

func verdicts(t *testing.T, e *node.Core) (out []mesh.Verdict) {
	t.Helper()
	ts, err := e.History.Transitions(t.Context(), "nc1", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range ts {
		out = append(out, tr.Verdict)
	}
	return out
}
