package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/persist"
)

// replayWait bounds a replay: a mesh of a thousand hosts sends half a million messages in the time replayed.
const replayWait = time.Minute

// Replayer shows past moments by replaying the stream: from the judge's saved state before the moment, or into a fresh
// judge, as a restart does. It is safe for concurrent use.
type Replayer struct {
	bus     Bus
	view    *view.View
	moments *Moments      // may be nil
	turn    chan struct{} // one replay at a time: each costs as much as a restart

	mu     sync.Mutex
	recent []recentMoment // the latest answers, the newest last: people look at several pages of one moment
}

type recentMoment struct {
	at       time.Time
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
}

const (
	recentMoments = 4
	// turnWait bounds how long a request waits for replays before it.
	turnWait = 10 * time.Second
)

// NewReplayer makes a Replayer. The moments may be nil.
func NewReplayer(b Bus, v *view.View, m *Moments) *Replayer {
	return &Replayer{bus: b, view: v, moments: m, turn: make(chan struct{}, 1)}
}

// At returns the catalog and the snapshot of the moment at which the wall clock showed the time; the latest such
// moment if the clock was stepped back since. Nobody may change what it returns.
func (r *Replayer) At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if err := r.awaitTurn(ctx); err != nil {
		return nil, nil, err
	}
	defer func() { <-r.turn }()
	if known, ok := r.known(at); ok {
		return known.catalog, known.snapshot, nil
	}
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	c, s, err := r.replay(ctx, at)
	if err == nil {
		r.remember(recentMoment{at, c, s})
	}
	return c, s, explained(err)
}

// awaitTurn waits for the replays before this one. The caller ends its turn.
func (r *Replayer) awaitTurn(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(turnWait):
		return errkind.New(errkind.Unavailable, "another replay of the past is in progress: try again in a moment")
	}
}

func (r *Replayer) known(at time.Time) (recentMoment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.recent, func(m recentMoment) bool { return m.at.Equal(at) })
	if i < 0 {
		return recentMoment{}, false
	}
	return r.recent[i], true
}

func (r *Replayer) remember(m recentMoment) {
	// Of the last seconds, a batch may come that belongs to the moment by its time.
	if time.Since(m.at) < meshtime.Patience {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recent = append(r.recent, m)
	r.recent = r.recent[max(0, len(r.recent)-recentMoments):]
}

// Reach returns the earliest time that At can show.
func (r *Replayer) Reach(ctx context.Context) (time.Time, error) {
	stream, err := r.bus.Timeline(ctx)
	if err != nil {
		return time.Time{}, err
	}
	first, ok, err := stream.Next(stream.First, false)
	if err != nil || !ok {
		return time.Time{}, cmp.Or(err, errkind.New(errkind.NotFound, "the stream of observations is empty"))
	}
	return first.Stream, nil
}

func (r *Replayer) replay(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	stream, err := r.bus.Timeline(ctx)
	if err != nil {
		return nil, nil, err
	}
	then, err := stream.AtWall(at)
	if err != nil {
		return nil, nil, err
	}
	if at.After(time.Now()) { // the clock may have shown it before it was stepped back
		switch last, _, err := stream.End(); {
		case err != nil:
			return nil, nil, err
		case then.After(last):
			return nil, nil, errkind.New(errkind.Invalid, at.UTC().Format(time.RFC3339)+" is in the future")
		}
	}
	p, err := r.reach(ctx, then, trace{})
	if err != nil {
		return nil, nil, err
	}
	c, s, err := p.result(ctx, r.view)
	if r.moments != nil && p.work >= momentWork/2 { // for the next jump, which is often to a minute later
		// Nobody else has this judge, so that its state may be encoded in the background.
		encode := func() []byte { return encodeMoment(p.judge, p.decoder, p.catalog.Revision) }
		r.moments.save(savedMoment{moment: p.last, encode: encode})
	}
	return c, s, err
}

// explained returns the error of a replay in words that a reader understands.
func explained(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errkind.New(errkind.Unavailable, "the replay took too long")
	}
	return err
}

// reach replays the stream up to a moment of mesh time, and records the trace on the way.
func (r *Replayer) reach(ctx context.Context, then time.Time, record trace) (*past, error) {
	stream, err := r.bus.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	began := then
	if record.of != nil {
		began = record.from
	}
	if saved, ok := r.moments.before(began); ok {
		p, err := r.loadPast(ctx, saved, then)
		usable := err == nil
		if usable {
			p.trace = record
			err = r.follow(ctx, stream, saved.at, p)
			usable = err != nil && !errors.Is(err, errStale) // the stream cannot be read now, which the state survives
		}
		switch {
		case err == nil && p.covered:
			return p, nil
		case ctx.Err() != nil:
			return nil, err
		case !usable:
			r.moments.forget(saved, err)
		}
	}
	from := began.Add(-replayed)
	p, err := r.newPast(ctx, from, then)
	if err != nil {
		return nil, err
	}
	p.trace = record
	switch err := r.follow(ctx, stream, from, p); {
	case err != nil:
		return nil, err
	case !p.covered:
		return nil, errkind.New(errkind.NotFound, "the stream of observations does not reach back to "+
			then.Add(-p.offset).UTC().Format(time.RFC3339)+": it keeps two days")
	}
	return p, nil
}

// follow replays the stream from a mesh time to the moment of p.
func (r *Replayer) follow(ctx context.Context, stream meshtime.Stream, from time.Time, p *past) error {
	start, err := stream.Find(from)
	if err != nil {
		return err
	}
	after := uint64(0)
	if p.saved != nil {
		after = p.saved.sequence
	}
	err = followAhead(ctx, r.bus, bus.Start{Sequence: start.Sequence}, dating{clock: start.Clock}, after,
		func(m message) error { return p.handle(ctx, m) })
	if errors.Is(err, errReached) {
		return nil
	}
	return err
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
	trace   trace
	tracer  *judge.Tracer // once the trace has begun
	saved   *moment       // what it continues from, until that message comes; nil: it started from a fresh judge
	last    moment        // the last message
	work    int           // of the messages since the start, see momentWork
}

// loadPast returns the judge as it was saved.
func (r *Replayer) loadPast(ctx context.Context, saved moment, at time.Time) (*past, error) {
	data, err := r.moments.read(saved)
	if err != nil {
		return nil, err
	}
	w, state := persist.Reader(data), momentState{}
	state.walk(w)
	c, err := r.view.CatalogOf(ctx, state.revision)
	if err != nil {
		return nil, err
	}
	earlier, err := view.CatalogsBefore(ctx, r.view, saved.at, judge.EarlierCatalogs)
	if err != nil {
		return nil, err
	}
	var d *decoder
	var decoding sync.WaitGroup
	decoding.Go(func() { // a third of the time, where there are many hosts
		d = newDecoder(r.view, c, &mesh.Roster{})
		d.filter.Persist(w)
	})
	j, err := judge.Load(c, earlier, state.judge)
	decoding.Wait()
	if err = cmp.Or(err, w.Err()); err != nil {
		return nil, err
	}
	return &past{judge: j, decoder: d, catalog: c, at: at, saved: &saved}, nil
}

func (r *Replayer) newPast(ctx context.Context, from, at time.Time) (*past, error) {
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
	if m.at.After(p.at) && p.saved == nil {
		return errReached
	}
	p.covered, p.offset = true, m.offset
	if s := p.saved; s != nil {
		switch {
		case m.Sequence < s.sequence:
			return nil
		case m.Sequence > s.sequence || !m.at.Equal(s.at):
			return errStale
		}
		p.saved = nil
		return nil // the state is that after this message
	}
	p.last = moment{at: m.at, sequence: m.Sequence}
	p.work += len(m.Data) + messageWork
	in, _, err := p.decoder.decode(ctx, m)
	if err != nil {
		return nil // it was rejected then, too
	}
	p.step(in)
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
