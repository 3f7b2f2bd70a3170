package lab

import (
	"context"
	"errors"
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

// witness copies the agents' spools at random moments, as a power cut would leave them, and keeps what was in them: all of that
// must be in the stream in the end.
type witness struct {
	*mesh
	looks int
	kept  map[string]spool.Record // by agent and id
	whose map[string]string       // the agent of each
}

// kept on the disk is below the state directory, here.
const spoolDirectory = "spool"

func newWitness(m *mesh) *witness {
	return &witness{mesh: m, kept: map[string]spool.Record{}, whose: map[string]string{}}
}

// look takes the spool of one agent, each in its turn.
func (w *witness) look() {
	name := hosts[w.looks%len(hosts)].name
	w.looks++
	for _, r := range w.waiting(name) {
		id := nouns.Key(name) + " " + r.ID
		w.kept[id], w.whose[id] = r, nouns.Key(name)
	}
}

// waiting is what a copy of the agent's spool holds that is not acknowledged.
func (w *witness) waiting(name string) []spool.Record {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		w.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := copyFiles(filepath.Join(w.states[name], spoolDirectory), dir); err != nil {
		w.t.Fatalf("copy the spool of %s: %v", name, err)
	}
	s, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		w.t.Fatalf("the copy of the spool of %s: %v", name, err)
	}
	defer s.Close()
	const all = 1 << 20
	records, err := s.Read(0, all)
	if err != nil {
		w.t.Fatalf("the copy of the spool of %s: %v", name, err)
	}
	return records
}

// copyFiles copies a directory of files that may vanish meanwhile.
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

// waitUntilDelivered waits until no spool holds anything that is older than a moment.
func (w *witness) waitUntilDelivered() {
	w.t.Helper()
	quiet := time.Now()
	eventually(w.t, 2*time.Minute, "every spool is delivered", func() error {
		for _, h := range hosts {
			for _, r := range w.waiting(h.name) {
				if r.Opened.Before(quiet) {
					return errors.New(h.name + " still waits with what it saw at " + r.Opened.UTC().Format(time.TimeOnly))
				}
			}
		}
		return nil
	})
}

// checkStream stops the coordinator and reads its stream: what a witness saw on a disk is there or told as dropped, and nothing
// is there twice.
func (w *witness) checkStream() {
	w.t.Helper()
	w.process.stop()
	found, dropped := w.readStream()
	missing := map[string]int{}
	for id, r := range w.kept {
		if found[id] == 0 {
			missing[w.whose[id]] += r.Count
		}
	}
	for name, n := range missing {
		if uint64(n) > dropped[name] {
			w.t.Errorf("%d observations of %s were on its disk and are not in the stream; it told of %d that it dropped", n, name, dropped[name])
		}
	}
	for id, n := range found {
		if n > 1 {
			w.t.Errorf("batch %s is in the stream %d times", id, n)
		}
	}
	w.t.Logf("%d looks at spools found %d batches on disks; the stream has %d; dropped as told: %v", w.looks, len(w.kept), len(found), dropped)
	if len(w.kept) == 0 {
		w.t.Error("no look found anything in a spool: this proves nothing")
	}
}

// streamQuiet is how long the stream is read on after its last message.
const streamQuiet = 2 * time.Second

// readStream counts each batch by its id, and how many observations each agent says that it dropped.
func (w *witness) readStream() (found map[string]int, dropped map[string]uint64) {
	w.t.Helper()
	found, dropped = map[string]int{}, map[string]uint64{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn := openBus(ctx, w.t, filepath.Join(w.data, "bus"))
	lives := map[life]uint64{} // what each of an agent's lives says
	idle := time.AfterFunc(streamQuiet, cancel)
	err := conn.Follow(ctx, bus.Start{Sequence: 1}, func(m bus.Message) error {
		idle.Reset(streamQuiet)
		if m.Kind != bus.Batch {
			return nil
		}
		found[m.Agent+" "+m.Header("Nats-Msg-Id")]++
		b, err := wire.DecodeBatch(m.Data, 0, 0, m.Time)
		if err != nil {
			return err
		}
		lives[life{m.Agent, b.Epoch}] = max(lives[life{m.Agent, b.Epoch}], b.Dropped)
		return nil
	})
	if ctx.Err() == nil {
		w.t.Fatal(err)
	}
	for l, n := range lives {
		dropped[l.agent] += n
	}
	return found, dropped
}

// life is one run of an agent.
type life struct {
	agent string
	epoch uint64
}

// openBus opens the streams of a coordinator that has ended.
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
