package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	natsd "github.com/probemesh/probemesh/pkg/bus/server"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/wire"
)

// spoolAuditor copies the agents' spools again and again, as a power cut would leave them, and records the batches in
// them: all of these must be in the stream in the end.
type spoolAuditor struct {
	*mesh
	samples int
	seen    map[string]spool.Record // by agent and id
	agentOf map[string]string       // by the same key
}

// spoolDirectory is the name of the spool below an agent's state directory.
const spoolDirectory = "spool"

func newSpoolAuditor(m *mesh) *spoolAuditor {
	return &spoolAuditor{mesh: m, seen: map[string]spool.Record{}, agentOf: map[string]string{}}
}

// sample reads the spool of the next agent.
func (a *spoolAuditor) sample() {
	name := hosts[a.samples%len(hosts)].name
	a.samples++
	for _, r := range a.unacknowledged(name) {
		id := nouns.Key(name) + " " + r.ID
		a.seen[id], a.agentOf[id] = r, nouns.Key(name)
	}
}

// unacknowledged returns the batches in a copy of the agent's spool.
func (a *spoolAuditor) unacknowledged(name string) []spool.Record {
	a.t.Helper()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		a.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := copyFiles(filepath.Join(a.states[name], spoolDirectory), dir); err != nil {
		a.t.Fatalf("copy the spool of %s: %v", name, err)
	}
	s, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		a.t.Fatalf("open a copy of the spool of %s: %v", name, err)
	}
	defer s.Close()
	const all = 1 << 20
	records, err := s.Read(0, all)
	if err != nil {
		a.t.Fatalf("read a copy of the spool of %s: %v", name, err)
	}
	return records
}

// copyFiles copies the files of a directory. Files may vanish meanwhile, since the agent deletes what was acknowledged.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// awaitDelivery waits until all batches that were opened before this call have left the spools.
func (a *spoolAuditor) awaitDelivery() {
	a.t.Helper()
	called := time.Now()
	eventually(a.t, 2*time.Minute, "every spool is delivered", func() error {
		for _, h := range hosts {
			for _, r := range a.unacknowledged(h.name) {
				if r.Opened.Before(called) {
					return fmt.Errorf("%s still has a batch of %s", h.name, r.Opened.UTC().Format(time.TimeOnly))
				}
			}
		}
		return nil
	})
}

// checkStream stops the coordinator and reads its stream: every batch that was seen in a spool is there once, unless
// the agent reported that it dropped as many observations.
func (a *spoolAuditor) checkStream() {
	a.t.Helper()
	a.process.stop()
	found, dropped := a.readStream()
	missing := map[string]int{}
	for id, r := range a.seen {
		if found[id] == 0 {
			missing[a.agentOf[id]] += r.Count
		}
	}
	for name, n := range missing {
		if uint64(n) > dropped[name] {
			a.t.Errorf("%d observations of %s were in its spool and are not in the stream; it reported %d as dropped",
				n, name, dropped[name])
		}
	}
	for id, n := range found {
		if n > 1 {
			a.t.Errorf("batch %s is in the stream %d times", id, n)
		}
	}
	a.t.Logf("%d samples of spools found %d batches; the stream has %d; reported as dropped: %v",
		a.samples, len(a.seen), len(found), dropped)
	if len(a.seen) == 0 {
		a.t.Error("no sample found a batch in a spool, so this test proves nothing")
	}
}

// streamQuiet ends the reading of a stream whose last message does not come.
const streamQuiet = time.Minute

// readStream counts the messages of each batch, and the observations that each agent reports as dropped.
func (a *spoolAuditor) readStream() (found map[string]int, dropped map[string]uint64) {
	a.t.Helper()
	found, dropped = map[string]int{}, map[string]uint64{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn := openBus(ctx, a.t, filepath.Join(a.data, "bus"))
	streams, err := conn.Streams(ctx)
	must(a.t, err)
	last := streams[0].Last           // of OBS, to which nobody publishes now
	reported := map[agentRun]uint64{} // the count is cumulative within a run
	idle := time.AfterFunc(streamQuiet, cancel)
	defer idle.Stop()
	err = conn.Follow(ctx, bus.Start{Sequence: 1}, func(m bus.Message) error {
		idle.Reset(streamQuiet)
		if m.Sequence >= last {
			defer cancel()
		}
		if m.Kind != bus.Batch {
			return nil
		}
		found[m.Agent+" "+m.Header("Nats-Msg-Id")]++
		b, err := wire.DecodeBatch(m.Data, 0, 0, m.Time)
		if err != nil {
			return err
		}
		run := agentRun{m.Agent, b.Epoch}
		reported[run] = max(reported[run], b.Dropped)
		return nil
	})
	if ctx.Err() == nil {
		a.t.Fatal(err)
	}
	for run, n := range reported {
		dropped[run.agent] += n
	}
	return found, dropped
}

// agentRun is one run of an agent, from its start to its end.
type agentRun struct {
	agent string
	epoch uint64
}

// openBus opens the streams of a coordinator that has stopped.
func openBus(ctx context.Context, t testing.TB, dir string) *buscoordinator.Conn {
	t.Helper()
	s, err := natsd.Start(ctx, natsd.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	way, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(ctx, way)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
