// Package engine is a coordinator's one loop: it reads the stream of observations, admits batches, has the judge
// decide, writes what changed to the ledger, and then shows the result as a snapshot. New replays the recent past, so
// that a coordinator that starts decides as one that never stopped; Run continues from there.
//
// Beside the loop are the types that share its stream and clock: Replayer shows past moments, History reads the ledger
// in wall time, and Members records which agents joined and which keys were revoked.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bus is what the engine needs of NATS.
type Bus interface {
	Mark(ctx context.Context, kind bus.Kind, id string, data []byte) (sequence uint64, err error)
	MarkClock(ctx context.Context, m meshtime.Mark) (sequence uint64, err error)
	Timeline(ctx context.Context) (meshtime.Stream, error)
	Broadcast(ctx context.Context, data []byte) error
	Follow(ctx context.Context, from bus.Start, fn func(bus.Message) error) error
}

// Config configures an Engine.
type Config struct {
	Bus     Bus
	Ledger  *ledger.Ledger
	View    *view.View // of the ledger
	Clock   *Clock
	Catalog *catalog.Catalog // in force, and marked on the stream already
	// Moments get the judge's state every few minutes, for jumps into the past. It may be nil.
	Moments *Moments
	// Answering is closed when agents can get the catalog. The engine is not ready before.
	Answering <-chan struct{}

	// The loop calls these; they must return soon. RosterChanged is called for every roster of the stream, live if it
	// was stored after the start. SnapshotMade gets a snapshot in mesh time before readers do; the offset is mesh
	// time less the wall clock. LoopTurned is called at least every showEvery unless the loop hangs. It may be nil.
	RosterChanged func(r *mesh.Roster, live bool)
	SnapshotMade  func(s *mesh.Snapshot, offset time.Duration)
	LoopTurned    func(now time.Time)
	// Lost is called for messages of the stream that were stored and cannot be read any more. It may be nil.
	Lost func(ctx context.Context, g bus.Gap)

	Logger zerolog.Logger
}

const (
	// replayed is how much of the stream a start replays, so that the judge has the votes that are still fresh.
	replayed = 15 * time.Minute
	// showEvery bounds how often readers get a new snapshot: a storm of changes would have every page rendered for
	// each.
	showEvery   = 100 * time.Millisecond
	tickIdle    = 2 * time.Second        // how often time is marked on the stream
	tickBusy    = 250 * time.Millisecond // the same while a round is open, whose deadline must be met
	messagesMax = 1024                   // read ahead of the judge
	togetherMax = 500                    // transitions in one write; the server accepts 1000

	// The log names at most so many rejected messages of each agent, so that one agent's do not hide another's.
	rejectedEvery, rejectedBurst, rejectedAgents = 12 * time.Second, 5, 10_000
)

// Engine is the loop and what it owns. Its methods are safe for concurrent use.
type Engine struct {
	config Config

	// Set by New, then constant.
	live   uint64 // messages after this sequence were stored after the start
	judged place  // the transitions in the ledger at start were decided up to here

	// Owned by the loop.
	judge           *judge.Judge
	judging         *catalog.Catalog // the catalog that the judge works by
	decoder         *decoder
	ledgerVerdicts  []judge.Standing // in force in the ledger at start; nil once the judge has them
	coverage        *coverage        // what maintenance makes of the judge's verdicts
	restored        bool             // the judge has the ledger's verdicts
	present         bool             // the replay is over
	dirty           bool             // the judge changed since the last snapshot
	offset          time.Duration    // of its mesh time less the wall clock
	handledAt       time.Time        // the mesh time of the latest message
	unsaved         int              // work since a state was saved, see momentWork
	shownAt         time.Time
	rejectedLogRate *ratelimit.Rates[string] // by agent

	// Written by the loop, read by others.
	busy                        atomic.Bool // a round is open
	ready                       atomic.Bool
	ignored, rejected           atomic.Uint64
	shown                       atomic.Pointer[shown]
	processed                   atomic.Pointer[processed]
	refusedTicks, refusedWrites refusals // of the two streams
}

// New makes an engine that shows what the ledger holds.
func New(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{
		config: c, coverage: newCoverage(c.View), judged: c.Clock.start.judged, handledAt: c.Clock.start.silent,
		rejectedLogRate: ratelimit.NewRates[string](rate.Every(rejectedEvery), rejectedBurst, rejectedAgents),
	}
	if err := e.startJudge(ctx); err != nil {
		return nil, err
	}
	if err := e.showLedger(ctx); err != nil {
		return nil, err
	}
	// This mark separates the replay from live messages. It is last: what it follows is replayed.
	var err error
	e.live, err = markRoster(ctx, c.Bus, c.View)
	return e, err
}

// startJudge makes the judge as it was where the replay begins. It meets the catalogs and rosters that came later in
// the stream.
func (e *Engine) startJudge(ctx context.Context) error {
	start := e.config.Clock.start
	then, err := e.config.View.CatalogAt(ctx, start.at)
	if err != nil {
		return err
	}
	if e.ledgerVerdicts, err = standings(ctx, e.config.View, later(start.at, e.judged.at)); err != nil {
		return err
	}
	e.judging = then.Catalog
	e.judge, e.decoder, err = newJudge(ctx, e.config.View, start.at, then.Catalog, e.ledgerVerdicts)
	return err
}

// showLedger shows the verdicts in the ledger. Readers see them until the replay is over.
func (e *Engine) showLedger(ctx context.Context) error {
	at, offset := e.config.Clock.Now()
	verdicts, err := standings(ctx, e.config.View, at)
	if err != nil {
		return err
	}
	now, _, err := newJudge(ctx, e.config.View, at, e.config.Catalog, verdicts)
	if err != nil {
		return err
	}
	snapshot := now.Snapshot()
	judged := snapshot.At
	snapshot.At = at // a judge that has not stepped has no time
	if err := newCoverage(e.config.View).describe(ctx, now, e.config.Catalog, snapshot, offset); err != nil {
		return err
	}
	snapshot.At = judged
	snapshot.ShowWallTime(offset)
	e.shown.Store(&shown{e.config.Catalog, snapshot, make(chan struct{})})
	return nil
}

// newJudge makes a judge with the present roster that begins at the mesh time, and a decoder of what it reads.
func newJudge(
	ctx context.Context, v *view.View, at time.Time, c *catalog.Catalog, verdicts []judge.Standing,
) (*judge.Judge, *decoder, error) {
	roster, err := v.Roster(ctx)
	if err != nil {
		return nil, nil, err
	}
	earlier, err := view.CatalogsBefore(ctx, v, at, judge.EarlierCatalogs)
	start := judge.Start{Catalog: c, Earlier: earlier, Roster: roster, Standings: verdicts}
	return judge.New(start), newDecoder(v, c, roster), err
}

// standings returns the verdicts that were in force at the mesh time.
func standings(ctx context.Context, v *view.View, at time.Time) ([]judge.Standing, error) {
	last, err := v.Standings(ctx, at)
	out := make([]judge.Standing, len(last))
	for i, t := range last {
		out[i] = judge.StandingOf(t)
	}
	return out, err
}

// Run judges until ctx ends, and returns nil then. It returns when everything that it started has ended.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	messages := make(chan message, messagesMax)
	g.Go(func() error { return e.follow(ctx, messages) })
	g.Go(func() error { return e.loop(ctx, messages) })
	g.Go(func() error { return e.tick(ctx) })
	if m := e.config.Moments; m != nil {
		g.Go(func() error { return m.Run(ctx) })
	}
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// loop owns the judge.
func (e *Engine) loop(ctx context.Context, messages <-chan message) error {
	// A change that comes too soon after the last snapshot is shown by the next tick of this.
	trailing := time.NewTicker(showEvery)
	defer trailing.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-trailing.C:
		case m := <-messages:
			if err := e.handle(ctx, m); err != nil {
				return err
			}
			if err := e.finishReplay(ctx, m); err != nil {
				return err
			}
			saveMoment(e, m)
			e.setProcessed(m)
		}
		if e.show(ctx) {
			trailing.Reset(showEvery)
		}
		e.loopTurned()
	}
}

func (e *Engine) loopTurned() {
	if e.config.LoopTurned != nil {
		e.config.LoopTurned(time.Now())
	}
}

// handle gives one message to the judge, publishes the transitions that follow, and requests the rounds.
func (e *Engine) handle(ctx context.Context, m message) error {
	if err := recordPause(ctx, e, m); err != nil {
		return err
	}
	if err := e.restoreVerdicts(ctx, m); err != nil {
		return err
	}
	live := m.Sequence > e.live
	in, excluded, err := e.decoder.decode(ctx, m)
	if excluded && live {
		e.logExclusion(m)
	}
	if err != nil {
		e.reject(m, err)
		return nil
	}
	out := e.judge.Step(in)
	if in.Catalog != nil {
		e.judging = in.Catalog
		e.config.RosterChanged(e.decoder.present(), false) // hosts may have other names
	}
	if in.Roster != nil {
		e.config.RosterChanged(e.decoder.present(), live) // this coordinator changed it, or another
	}
	e.busy.Store(e.judge.Busy())
	e.ignored.Store(e.judge.Ignored())
	e.dirty, e.offset = true, m.offset
	// What was decided before the start is in the ledger, and its rounds are over.
	if !e.judged.covers(m) {
		if overruns := e.coverage.overruns(e.judge, m.at, m.offset); len(overruns) > 0 {
			if err := e.write(ctx, overruns); err != nil {
				return err
			}
		}
		transitions, err := e.coverage.step(ctx, e.judge, e.judging, out.Transitions, m.at, m.offset)
		if err != nil {
			return err
		}
		if err := e.publish(ctx, transitions, m.offset); err != nil {
			return err
		}
	}
	if live {
		e.requestRounds(ctx, out.Asks)
	}
	return nil
}

// restoreVerdicts gives the judge the ledger's verdicts at the first message that they do not cover. The judge's own
// verdicts from the replay before that are dropped: they come from less of the past than those that were published.
func (e *Engine) restoreVerdicts(ctx context.Context, m message) error {
	if e.restored || e.judged.covers(m) {
		return nil
	}
	e.restored = true
	e.judge.Restore(e.ledgerVerdicts)
	e.ledgerVerdicts = nil
	before := e.judged.at
	if before.IsZero() {
		before = m.at // nothing was published yet
	}
	return e.coverage.restore(ctx, e.judging, before.Add(-m.offset))
}

// errorMax bounds the logged bytes of an error: it may quote a number of 200 kB from the message.
const errorMax = 300

// reject counts and logs a message that cannot be read.
func (e *Engine) reject(m message, err error) {
	e.rejected.Add(1)
	if !e.rejectedLogRate.Allow(time.Now(), m.Agent) {
		return
	}
	text := err.Error()
	text = text[:min(len(text), errorMax)]
	e.config.Logger.Warn().Str(zerolog.ErrorFieldName, text).Uint64("sequence", m.Sequence).Str("agent", m.Agent).
		Msg("message rejected")
}

// finishReplay makes the engine ready at the first live message. Until then the judge's verdicts are of the past, and
// readers see the ledger's.
func (e *Engine) finishReplay(ctx context.Context, m message) error {
	if e.present || m.Sequence < e.live {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.config.Answering:
	}
	e.present = true
	e.show(ctx)
	e.ready.Store(true)
	return nil
}

// Counters returns how many messages were left out, by reason: "ignored" by the judge, "rejected" as unreadable.
func (e *Engine) Counters() map[string]uint64 {
	return map[string]uint64{"ignored": e.ignored.Load(), "rejected": e.rejected.Load()}
}

func markID() string { return rand.Text() }
