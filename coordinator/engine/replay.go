package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// replayWait bounds a replay: a mesh of a thousand hosts sends half a million messages in the time replayed.
const replayWait = time.Minute

// Replayer shows past moments by replaying the stream into a fresh judge, as a restart does. It is safe for
// concurrent use.
type Replayer struct {
	bus  Bus
	view *view.View
	mu   sync.Mutex // one replay at a time: each costs as much as a restart
}

// NewReplayer makes a Replayer.
func NewReplayer(b Bus, v *view.View) *Replayer { return &Replayer{bus: b, view: v} }

// At returns the catalog and the snapshot of the moment at which the wall clock showed the time; the latest such
// moment if the clock was stepped back since. It fails if another replay runs.
func (r *Replayer) At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if !r.mu.TryLock() {
		return nil, nil, errkind.New(errkind.Unavailable, "another replay of the past is in progress: try again in a moment")
	}
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	if at.After(time.Now()) {
		return nil, nil, errkind.New(errkind.Invalid, at.UTC().Format(time.RFC3339)+" is in the future")
	}
	stream, err := r.bus.Timeline(ctx)
	if err != nil {
		return nil, nil, err
	}
	then, err := stream.AtWall(at)
	if err != nil {
		return nil, nil, err
	}
	start, err := stream.Find(then.Add(-replayed))
	if err != nil {
		return nil, nil, err
	}
	p, err := r.newPast(ctx, then)
	if err != nil {
		return nil, nil, err
	}
	dating := dating{clock: start.Clock}
	err = r.bus.Follow(ctx, bus.Start{Sequence: start.Sequence}, func(m bus.Message) error {
		for _, d := range dating.add(m) {
			if err := p.handle(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errReached):
	case errors.Is(err, context.DeadlineExceeded):
		return nil, nil, errkind.New(errkind.Unavailable, "the replay took too long")
	case err != nil:
		return nil, nil, err
	}
	if !p.covered {
		return nil, nil, errkind.New(errkind.NotFound,
			"the stream of observations does not reach back to "+at.UTC().Format(time.RFC3339)+": it keeps two days")
	}
	return p.result(ctx, r.view)
}

// errReached ends a replay that has reached its moment.
var errReached = errors.New("the moment is reached")

// past is a judge on its way to a past moment.
type past struct {
	judge   *judge.Judge
	decoder *decoder
	catalog *catalog.Catalog
	at      time.Time     // the moment, mesh time
	offset  time.Duration // of the last message's mesh time less the wall clock
	covered bool          // the stream had a message from before the moment
}

func (r *Replayer) newPast(ctx context.Context, at time.Time) (*past, error) {
	from := at.Add(-replayed)
	then, err := r.view.CatalogAt(ctx, from)
	if err != nil {
		return nil, err
	}
	verdicts, err := standings(ctx, r.view, from)
	if err != nil {
		return nil, err
	}
	j, d, err := newJudge(ctx, r.view, from, then.Catalog, verdicts)
	return &past{judge: j, decoder: d, catalog: then.Catalog, at: at}, err
}

func (p *past) handle(ctx context.Context, m message) error {
	if m.at.After(p.at) {
		return errReached
	}
	p.covered, p.offset = true, m.offset
	in, _, err := p.decoder.decode(ctx, m)
	if err != nil {
		return nil // it was rejected then, too
	}
	p.judge.Step(in)
	if in.Catalog != nil {
		p.catalog = in.Catalog
	}
	return nil
}

func (p *past) result(ctx context.Context, v *view.View) (*catalog.Catalog, *mesh.Snapshot, error) {
	snapshot := p.judge.Snapshot()
	if err := newCoverage(v).describe(ctx, p.judge, p.catalog, snapshot, p.offset); err != nil {
		return nil, nil, err
	}
	describeExclusions(snapshot, p.decoder.filter, p.offset)
	snapshot.ShowWallTime(p.offset)
	return p.catalog, snapshot, nil
}
