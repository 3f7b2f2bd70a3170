package catalogs_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

const small = `
regions: [{name: a, city: A, country: NL, latitude: 1, longitude: 1}]
hosts: [{name: NC1, region: a, address: 192.0.2.1}, {name: NC2, region: a, address: 192.0.2.2}]
`

func parse(t *testing.T, text string) *catalog.Catalog {
	t.Helper()
	c, err := catalogfile.Parse("test.yaml", []byte(text), noVariable)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noVariable(string) (string, bool) { return "", false }

// world is a bus and a ledger in memory, which outlive the stores on them.
type world struct {
	dir string

	mu      sync.Mutex
	refused int                               // marks that fail from now on
	answer  func(string, *bus.SealKey) []byte // what agents get
	records []ledger.Record
	effects effects
}

// effects are what a store did so far.
type effects struct {
	marks    []string // revisions on the stream
	notices  []string // revisions that agents were notified of
	problems []string // what operators see now
}

func (w *world) current() effects {
	w.mu.Lock()
	defer w.mu.Unlock()
	return effects{slices.Clone(w.effects.marks), slices.Clone(w.effects.notices), slices.Clone(w.effects.problems)}
}

func (w *world) events() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.records)
}

func newWorld(t *testing.T) *world { return &world{dir: t.TempDir()} }

func (w *world) Mark(_ context.Context, _ bus.Kind, _ string, data []byte) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused > 0 {
		w.refused--
		return 0, errors.New("refused")
	}
	w.effects.marks = append(w.effects.marks, string(data))
	return uint64(len(w.effects.marks)), nil
}

func (w *world) Timeline(context.Context) (meshtime.Stream, error) { return meshtime.Stream{}, nil }

func (w *world) Broadcast(_ context.Context, data []byte) error {
	c, err := wire.DecodeControl(data)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects.notices = append(w.effects.notices, c.Catalog)
	return err
}

func (w *world) AnswerCatalog(
	ctx context.Context, ready chan<- struct{}, answer func(string, *bus.SealKey) []byte,
) error {
	w.mu.Lock()
	w.answer = answer
	w.mu.Unlock()
	close(ready)
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		n := uint64(len(w.records)) + 1
		w.records = append(w.records, ledger.Record{Sequence: n, Time: time.Now(), Subject: e.Subject, Data: e.Data})
	}
	return uint64(len(w.records)), nil
}

func (w *world) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	w.mu.Lock()
	records := w.records[from-1:]
	w.mu.Unlock()
	for _, r := range records {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) State(context.Context) (ledger.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return ledger.State{Created: time.Unix(1, 0), First: 1, Last: uint64(len(w.records))}, nil
}

func (w *world) setProblems(problems []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects.problems = problems
}

// open opens a store and its ledger; the caller closes the view.
func (w *world) open(t *testing.T, c catalogs.Config) (*catalogs.Store, *ledger.Ledger, *view.View, error) {
	t.Helper()
	v, err := view.Open(t.Context(), filepath.Join(w.dir, "view.db"), w)
	if err != nil {
		t.Fatal(err)
	}
	led, err := ledger.Open(t.Context(), w, v)
	if err != nil {
		t.Fatal(err)
	}
	c.Bus, c.Ledger, c.View, c.Getenv, c.Problems = w, led, v, noVariable, w.setProblems
	c.Clock = func() (time.Time, time.Duration) { return time.Now(), 0 }
	s, err := catalogs.Open(t.Context(), c)
	if err != nil {
		v.Close()
	}
	return s, led, v, err
}

// run runs a store until stop is called.
func (w *world) run(t *testing.T, c catalogs.Config) (s *catalogs.Store, led *ledger.Ledger, stop func()) {
	t.Helper()
	s, led, v, err := w.open(t, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	synctest.Wait()
	return s, led, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		v.Close()
	}
}

// answered returns what an agent gets.
func (w *world) answered(t *testing.T) wire.Answer {
	t.Helper()
	w.mu.Lock()
	answer := w.answer
	w.mu.Unlock()
	got, err := wire.DecodeAnswer(answer("nc1", nil))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func readdressed(text string) string { return strings.ReplaceAll(text, "192.0.2.1", "192.0.2.7") }
