package engine

import (
	"context"
	"errors"
	"time"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// pastWait bounds a replay of the past: a mesh of a thousand hosts says half a million messages in the time replayed.
const pastWait = time.Minute

// errReached ends a replay that is where it was to go.
var errReached = errors.New("the moment is reached")

// At is the catalog in force and what the judge held when the wall clock showed a time; the latest moment at which it
// did, where it was stepped back since. A judge of its own replays the stream up to it from a quarter of an hour
// before, as a coordinator does that starts. One replay runs at a time.
func (e *Engine) At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if !e.replaying.TryLock() {
		return nil, nil, errkind.New(errkind.Unavailable, "another replay of the past is in progress: try again in a moment")
	}
	defer e.replaying.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pastWait)
	defer cancel()
	now := time.Now()
	if at.After(now) {
		return nil, nil, errkind.New(errkind.Invalid, at.UTC().Format(time.RFC3339)+" is in the future")
	}
	stream, err := e.Bus.Timeline(ctx)
	if err != nil {
		return nil, nil, err
	}
	then, err := stream.AtWall(at)
	if err != nil {
		return nil, nil, err
	}
	place, err := stream.Find(then.Add(-replay))
	if err != nil {
		return nil, nil, err
	}
	r, err := e.newReplay(ctx, then)
	if err != nil {
		return nil, nil, err
	}
	dating := dating{clock: place.Clock}
	err = e.Bus.Follow(ctx, bus.Start{Sequence: place.Sequence}, func(m bus.Message) error {
		for _, d := range dating.take(m) {
			if err := r.take(ctx, d); err != nil {
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
	if !r.covered {
		return nil, nil, errkind.New(errkind.NotFound,
			"the stream of observations does not reach back to "+at.UTC().Format(time.RFC3339)+": it keeps two days")
	}
	snapshot := r.judge.Snapshot()
	nameCut(snapshot, r.ward, r.offset)
	snapshot.ShowWallTime(r.offset)
	return r.catalog, snapshot, nil
}

// past is a judge on its way to a moment.
type past struct {
	engine  *Engine
	judge   *judge.Judge
	ward    *admission.Ward
	catalog *catalog.Catalog
	at      time.Time     // mesh time
	offset  time.Duration // of it less the wall clock
	covered bool          // a message from before the moment was met
}

func (e *Engine) newReplay(ctx context.Context, at time.Time) (*past, error) {
	then, err := e.View.CatalogAt(ctx, at.Add(-replay))
	if err != nil {
		return nil, err
	}
	said, err := e.View.Standings(ctx, at.Add(-replay))
	if err != nil {
		return nil, err
	}
	j, err := e.newJudge(ctx, then.Catalog, standings(said))
	return &past{engine: e, judge: j, ward: admission.New(then.Catalog), catalog: then.Catalog, at: at}, err
}

func (r *past) take(ctx context.Context, m message) error {
	if m.at.After(r.at) {
		return errReached
	}
	r.covered, r.offset = true, m.offset
	in, err := r.engine.read(ctx, m, r.ward)
	if err != nil {
		return nil // it was rejected then, too
	}
	r.judge.Step(in)
	if in.Catalog != nil {
		r.catalog = in.Catalog
	}
	return nil
}

// LastChange is the latest catalog that changed something of the host by the time, of the wall clock.
func (e *Engine) LastChange(ctx context.Context, host string, at time.Time) (change ledger.Change, found bool, err error) {
	stream, err := e.Bus.Timeline(ctx)
	if err != nil {
		return change, false, err
	}
	then, err := stream.AtWall(at)
	if err != nil {
		return change, false, err
	}
	return e.View.LastChange(ctx, host, then)
}
