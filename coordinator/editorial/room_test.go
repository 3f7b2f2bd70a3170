package editorial_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// room is a ledger with its view, texts in memory, an editor and the public's pages, at a time that the test sets.
type room struct {
	*webtest.Source // the present; what happened comes from the ledger
	t               *testing.T
	records         []ledger.Record
	texts           map[string][]byte
	ledger          *ledger.Ledger
	view            *view.View
	history         *engine.History
	editor          editorial.IncidentEditor
	count           int

	mu       sync.Mutex
	now      time.Time
	warnings map[string]string
}

// newRoom opens a room at a time, with the hosts of the example catalog.
func newRoom(t *testing.T, at string) *room {
	t.Helper()
	r := &room{
		Source: webtest.NewSource(t, mesh.Up, mesh.Operational), t: t, texts: map[string][]byte{},
		warnings: map[string]string{},
	}
	r.at(at)
	var err error
	if r.view, err = view.Open(t.Context(), filepath.Join(t.TempDir(), "view.db"), r.log()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.view.Close() })
	if r.ledger, err = ledger.Open(t.Context(), r.log(), r.view); err != nil {
		t.Fatal(err)
	}
	r.history = engine.NewHistory(r.view, r.clock)
	r.append(ledger.CatalogEvent{Catalog: r.Catalog, Mesh: r.now.Add(-time.Hour)})
	r.editor = editorial.New(editorial.Config{
		Texts: r, Ledger: r.ledger, Posts: r.view.Posts(), Incidents: r.view,
		Catalog: func() *catalog.Catalog { return r.Catalog },
		Clock:   r.clock, Logger: zerolog.Nop(), Warn: func(subject, text string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.warnings[subject] = text
		},
	}).Incidents()
	return r
}

// at sets the time, as in 2020-09-21T07:05:48Z, or a time of that day.
func (r *room) at(text string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(text) == len("07:05:48") {
		text = r.now.Format("2006-01-02T") + text + "Z"
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.now = at
	next := *r.Snapshot
	next.At = at
	r.Show(&next)
}

func (r *room) clock() (time.Time, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, 0
}

func (r *room) append(events ...ledger.Event) {
	r.t.Helper()
	if err := r.ledger.Append(r.t.Context(), events...); err != nil {
		r.t.Fatal(err)
	}
}

// measure publishes a transition of a check two seconds after it began.
func (r *room) measure(host, check string, verdict mesh.Verdict, status mesh.Status, began string) {
	r.t.Helper()
	r.at(began)
	at, _ := r.clock()
	h := r.Catalog.Host(mesh.Key(host))
	c := h.Check(check)
	r.count++
	was, from := mesh.Up, mesh.Operational
	if verdict == mesh.Up {
		was, from = mesh.Down, mesh.PartialOutage
	}
	r.append(ledger.TransitionEvent{Transition: mesh.Transition{
		ID: fmt.Sprintf("%d-%s-1", r.count, h.Key()), Host: h.Name, HostID: h.Identity(), Public: h.Public, Check: c.Name,
		CheckID: h.IdentityOf(c), Was: was, Verdict: verdict, From: from, To: status, Began: at,
		Published: at.Add(2 * time.Second), Tally: mesh.Tally{Regions: 8, Voters: 7, Bad: 7},
	}})
}

// public is the pages and the API as the public reads them, with nothing in their caches.
func (r *room) public() http.Handler {
	v := web.NewView(r, web.Public)
	pages := site.New(site.Config{View: v})
	return web.NewHandler(zerolog.Nop(), web.Public,
		append(pages.Routes(), api.New(api.Config{View: v, Pages: pages}).Routes()...)...)
}

// written returns the outcome of a command that must succeed.
func (r *room) written(out editorial.Written, err error) editorial.Written {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// The past, for web.Source.

func (r *room) Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error) {
	return r.history.Incidents(ctx, q)
}

func (r *room) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return r.history.Incident(ctx, id)
}

func (r *room) Written() uint64 { return r.view.Applied() }

// The log and the texts, in memory.

type roomLog struct{ r *room }

func (r *room) log() roomLog { return roomLog{r} }

func (l roomLog) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	for _, e := range entries {
		l.r.records = append(l.r.records, ledger.Record{
			Sequence: uint64(len(l.r.records)) + 1, Subject: e.Subject, Data: slices.Clone(e.Data),
		})
	}
	return uint64(len(l.r.records)), nil
}

func (l roomLog) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	for _, record := range l.r.records[from-1:] {
		if err := fn(record); err != nil {
			return err
		}
	}
	return nil
}

func (l roomLog) State(context.Context) (ledger.State, error) {
	return ledger.State{Created: time.Unix(1, 0), First: 1, Last: uint64(len(l.r.records))}, nil
}

func (l roomLog) Text(_ context.Context, id string) ([]byte, error) {
	if data, ok := l.r.texts[id]; ok {
		return data, nil
	}
	return nil, ledger.ErrNoText
}

func (r *room) Put(_ context.Context, id string, data []byte) error {
	r.texts[id] = data
	return nil
}

func (r *room) Erase(_ context.Context, id string) (bool, error) {
	delete(r.texts, id)
	return false, nil
}

// rebuilt folds the whole ledger into another view.
func (r *room) rebuilt() *view.View {
	r.t.Helper()
	v, err := view.Open(r.t.Context(), filepath.Join(r.t.TempDir(), "again.db"), r.log())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { v.Close() })
	if _, err := ledger.Open(r.t.Context(), r.log(), v); err != nil {
		r.t.Fatal(err)
	}
	return v
}
