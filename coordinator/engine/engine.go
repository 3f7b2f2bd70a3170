// Package engine is a coordinator at work: it follows the stream of observations, has the judge decide, writes what changed to
// the ledger, and shows the result as a snapshot. One loop owns the judge; New brings it to the present, Run keeps it there.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/ratelimit"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what the engine needs of NATS.
type Bus interface {
	Mark(ctx context.Context, kind bus.Kind, id string, data []byte) (sequence uint64, err error)
	MarkClock(ctx context.Context, m meshtime.Mark) (sequence uint64, err error)
	Timeline(ctx context.Context) (meshtime.Stream, error)
	Broadcast(ctx context.Context, data []byte) error
	AnswerCatalog(ctx context.Context, ready chan<- struct{}, catalog func(agent string) []byte) error
	Follow(ctx context.Context, from bus.Start, fn func(bus.Message) error) error
}

// Config is what an engine needs.
type Config struct {
	Bus         Bus
	Ledger      *ledger.Ledger
	View        *view.View                                          // of the ledger
	Catalog     *catalog.Catalog                                    // put in force at start, unless File is set
	File        string                                              // the catalog's file, watched; empty: only Apply changes the catalog
	Getenv      func(string) (string, bool)                         // for ${VAR} in the file
	StreamsFunc func(ctx context.Context) ([]bus.StreamInfo, error) // how large the streams are, for metrics
	Turn        func(now time.Time)                                 // told that the loop turns, every showEvery at least unless it hangs; may be nil
	Logger      zerolog.Logger
}

const (
	replay      = 15 * time.Minute // of the stream, at start
	showEvery   = 100 * time.Millisecond
	tickIdle    = 2 * time.Second
	tickBusy    = 250 * time.Millisecond
	messagesMax = 1024 // read ahead of the judge
	togetherMax = 500  // transitions written as one; the server takes 1000

	// Log lines on an agent's rejected messages.
	rejectedEvery, rejectedBurst, rejectedAgents = 12 * time.Second, 5, 10_000
)

// errorMax bounds in bytes what is logged of why a message is rejected.
const errorMax = 300

// ticksLogged bounds how often it is logged that the stream does not accept ticks.
func ticksLogged() zerolog.Sampler { return &zerolog.BurstSampler{Burst: 5, Period: time.Minute} }

// newRejectedLogged bounds how often the log names each agent's rejected messages, so that one agent's do not hide another's.
func newRejectedLogged() *ratelimit.Rates[string] {
	return ratelimit.NewRates[string](rate.Every(rejectedEvery), rejectedBurst, rejectedAgents)
}

// Engine is a coordinator's judge with all that it hears and says. Its methods are safe for concurrent use.
type Engine struct {
	Config
	prefix string // of the marks' ids
	marks  atomic.Uint64
	clock  *leading
	from   time.Time        // the mesh time where the replay begins
	first  uint64           // the sequence of its first message
	dating *dating          // the follower's
	judged place            // what the ledger held at start was decided up to here
	said   []judge.Standing // what it held
	live   uint64           // messages past this one came after the start

	// The loop's own.
	judge    *judge.Judge
	judging  *catalog.Catalog // what the judge works by
	ward     *admission.Ward  // whom it listens to
	restated bool
	present  bool          // the replay is over
	dirty    bool          // the judge holds what is not shown yet
	offset   time.Duration // of its mesh time less the wall clock
	shownAt  time.Time
	silences silences

	rejectedLogged *ratelimit.Rates[string] // by agent

	busy                        atomic.Bool
	ready                       atomic.Bool
	ignored                     atomic.Uint64
	rejected                    atomic.Uint64
	shown                       atomic.Pointer[shown]
	heard                       atomic.Pointer[heard]
	refusedTicks, refusedWrites refusals // of the two streams

	admitted chan struct{} // signals that the admitted agents changed

	replaying sync.Mutex // one look into the past at a time
	changing  sync.Mutex // one change of the catalog or the roster at a time; held while the bus is spoken to
	mu        sync.Mutex // of what follows; never held for longer than a look
	inForce   *catalog.Catalog
	packed    []byte // inForce, for agents
	problems  []string
	warnings  map[string]string // by subject
	reading   reading           // of the file at start
}

// place is a place in the stream of observations. Its mesh time reveals a stream that was recreated, and counts from 1
// again.
type place struct {
	sequence uint64
	at       time.Time
}

func (p place) has(m message) bool { return m.Sequence <= p.sequence && !m.at.After(p.at) }

// shown is what readers see, and a channel that closes when there is something newer.
type shown struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	changed  chan struct{}
}

// New brings an engine to the state that the ledger holds. A catalog file with mistakes is a catalog.Mistakes error only where
// the ledger holds no catalog to go on with.
func New(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{
		Config: c, prefix: rand.Text(), clock: newLeading(), rejectedLogged: newRejectedLogged(),
		warnings: map[string]string{}, admitted: make(chan struct{}, 1),
	}
	if err := e.startClock(ctx); err != nil {
		return nil, err
	}
	if err := e.startCatalog(ctx); err != nil {
		return nil, err
	}
	if err := e.startJudge(ctx); err != nil {
		return nil, err
	}
	if err := e.startShown(ctx); err != nil {
		return nil, err
	}
	return e, e.markPresent(ctx)
}

// startJudge makes the judge as it was where the replay begins: what has changed since then, it meets in the stream.
func (e *Engine) startJudge(ctx context.Context) error {
	then, err := e.View.CatalogAt(ctx, e.from)
	if err != nil {
		return err
	}
	if e.said, err = e.standings(ctx, later(e.from, e.judged.at)); err != nil {
		return err
	}
	e.judging, e.ward = then.Catalog, admission.New(then.Catalog)
	e.judge, err = e.newJudge(ctx, then.Catalog, e.said)
	return err
}

// startShown shows what the ledger says now, until the replay is over.
func (e *Engine) startShown(ctx context.Context) error {
	at, offset := e.clock.now()
	standings, err := e.standings(ctx, at)
	if err != nil {
		return err
	}
	now, err := e.newJudge(ctx, e.inForce, standings)
	if err != nil {
		return err
	}
	snapshot := now.Snapshot()
	snapshot.ShowWallTime(offset)
	e.shown.Store(&shown{e.inForce, snapshot, make(chan struct{})})
	return nil
}

func (e *Engine) newJudge(ctx context.Context, c *catalog.Catalog, standings []judge.Standing) (*judge.Judge, error) {
	roster, err := e.View.Roster(ctx)
	return judge.New(judge.Start{Catalog: c, Roster: roster, Standings: standings}), err
}

func (e *Engine) standings(ctx context.Context, at time.Time) ([]judge.Standing, error) {
	last, err := e.View.Standings(ctx, at)
	return standings(last), err
}

func standings(last []mesh.Transition) []judge.Standing {
	out := make([]judge.Standing, len(last))
	for i, t := range last {
		out[i] = judge.Standing{
			Host: mesh.Key(t.Host), Check: t.Check, Verdict: t.Verdict, Since: t.Began, Rule: t.Rule, Sentence: t.Sentence, Cause: t.Cause, Tally: t.Tally,
		}
	}
	return out
}

// markPresent puts the catalog and roster in force on the stream. What comes before in the stream is replayed, what comes after
// is live.
func (e *Engine) markPresent(ctx context.Context) (err error) {
	if err := e.markCatalog(ctx, e.inForce); err != nil {
		return err
	}
	e.live, err = e.markRoster(ctx)
	return err
}

func (e *Engine) markCatalog(ctx context.Context, c *catalog.Catalog) error {
	_, err := e.Bus.Mark(ctx, bus.CatalogMark, e.markID(), []byte(c.Revision))
	return err
}

func (e *Engine) markRoster(ctx context.Context) (uint64, error) {
	roster, err := e.View.Roster(ctx)
	if err != nil {
		return 0, err
	}
	data, err := wire.EncodeRoster(roster)
	if err != nil {
		return 0, err
	}
	return e.Bus.Mark(ctx, bus.RosterMark, e.markID(), data)
}

func (e *Engine) markID() string { return fmt.Sprintf("%s-%d", e.prefix, e.marks.Add(1)) }

// Run judges until ctx ends, and returns nil then. Everything it started has ended when it returns.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	messages := make(chan message, messagesMax)
	answering := make(chan struct{})
	g.Go(func() error { return e.Bus.AnswerCatalog(ctx, answering, e.answerCatalog) })
	g.Go(func() error { return e.follow(ctx, messages) })
	g.Go(func() error { return e.loop(ctx, messages, answering) })
	g.Go(func() error { return e.tick(ctx) })
	g.Go(func() error { return e.watch(ctx) })
	g.Go(func() error { return e.shareAdmitted(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// loop owns the judge.
func (e *Engine) loop(ctx context.Context, messages <-chan message, answering <-chan struct{}) error {
	trailing := time.NewTicker(showEvery)
	defer trailing.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-trailing.C:
		case m := <-messages:
			if err := e.hear(ctx, m); err != nil {
				return err
			}
			if err := e.arrive(ctx, m, answering); err != nil {
				return err
			}
			e.took(m)
		}
		if e.show() {
			trailing.Reset(showEvery)
		}
		e.turned()
	}
}

func (e *Engine) turned() {
	if e.Turn != nil {
		e.Turn(time.Now())
	}
}

// arrive notes that the replay is over. Until then the judge's verdicts are of the past, and the ledger's are shown.
func (e *Engine) arrive(ctx context.Context, m message, answering <-chan struct{}) error {
	if e.present || m.Sequence < e.live {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-answering:
	}
	e.present = true
	e.show()
	e.ready.Store(true)
	return nil
}

// hear gives one message to the judge and does what follows from it.
func (e *Engine) hear(ctx context.Context, m message) error {
	e.restate(m)
	in, ok := e.input(ctx, m)
	if !ok {
		return nil
	}
	out := e.judge.Step(in)
	if in.Catalog != nil {
		e.judging = in.Catalog
	}
	if in.Roster != nil {
		e.silences.enrol(in.Roster)
		if m.Sequence > e.live {
			e.admittedChanged() // by this coordinator or another
		}
	}
	e.busy.Store(e.judge.Busy())
	e.ignored.Store(e.judge.Ignored())
	e.dirty, e.offset = true, m.offset
	if !e.judged.has(m) {
		if err := e.publish(ctx, out.Transitions, m.offset); err != nil {
			return err
		}
	}
	if m.Sequence > e.live {
		e.ask(ctx, out.Asks)
	}
	return nil
}

// restate has the judge go on from what was published, once the replay passes the last message that the ledger's verdicts
// were decided at. Until then its own verdicts count for nothing.
func (e *Engine) restate(m message) {
	if e.restated || e.judged.has(m) {
		return
	}
	e.restated = true
	e.judge.Restore(e.said)
	e.said = nil
}

// input reads a message. One that cannot be read is counted and left out.
func (e *Engine) input(ctx context.Context, m message) (judge.Input, bool) {
	in, err := e.read(ctx, m, e.ward)
	if err != nil {
		e.rejected.Add(1)
		if e.rejectedLogged.Allow(time.Now(), m.Agent) {
			// The error may repeat a number of 200 kB from the message.
			text := err.Error()
			text = text[:min(len(text), errorMax)]
			e.Logger.Warn().Str(zerolog.ErrorFieldName, text).Uint64("sequence", m.Sequence).Str("agent", m.Agent).
				Msg("message rejected")
		}
	}
	return in, err == nil
}

func (e *Engine) read(ctx context.Context, m message, ward *admission.Ward) (in judge.Input, err error) {
	in = judge.Input{Sequence: m.Sequence, At: m.at, Offset: m.offset}
	switch m.Kind {
	case bus.Batch:
		in.Batch, err = e.listen(m, ward)
	case bus.CatalogMark:
		if in.Catalog, err = e.View.CatalogOf(ctx, string(m.Data)); err == nil {
			ward.SetCatalog(in.Catalog)
		}
	case bus.RosterMark:
		in.Roster, err = wire.DecodeRoster(m.Data)
	}
	return in, err
}

func readBatch(m message) (*mesh.Batch, error) {
	age, link, err := wire.ParseHeaders(m.Header)
	if err != nil {
		return nil, err
	}
	b, err := wire.DecodeBatch(m.Data, age, link, m.at)
	if err != nil {
		return b, err
	}
	b.Clock += m.offset // the agent's clock is compared with the wall clock
	if b.Agent != m.Agent {
		err = fmt.Errorf("the batch says it is from %q", b.Agent)
	}
	return b, err
}
