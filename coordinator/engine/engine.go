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

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what the engine needs of NATS.
type Bus interface {
	Mark(ctx context.Context, kind bus.Kind, id string, data []byte) (sequence uint64, err error)
	Tell(ctx context.Context, data []byte) error
	AnswerCatalog(ctx context.Context, ready chan<- struct{}, catalog func(agent string) []byte) error
	Follow(ctx context.Context, from bus.Start, fn func(bus.Message) error) error
}

// Config is what an engine needs.
type Config struct {
	Bus         Bus
	Ledger      *ledger.Ledger
	Catalog     *catalog.Catalog                                    // put in force at start, unless File is set
	File        string                                              // the catalog's file, watched; empty: only Apply changes the catalog
	Getenv      func(string) (string, bool)                         // for ${VAR} in the file
	StreamsFunc func(ctx context.Context) ([]bus.StreamInfo, error) // how large the streams are, for metrics
	Logger      zerolog.Logger
}

const (
	replay      = 15 * time.Minute // of the stream, at start
	showEvery   = 100 * time.Millisecond
	tickIdle    = 2 * time.Second
	tickBusy    = 250 * time.Millisecond
	messagesMax = 1024 // read ahead of the judge
)

// Engine is a coordinator's judge with all that it hears and says. Its methods are safe for concurrent use.
type Engine struct {
	Config
	judge    *judge.Judge
	prefix   string // of the marks' ids
	marks    atomic.Uint64
	judged   uint64 // what the ledger held at start was decided up to here
	restated bool
	live     uint64 // messages past this one came after the start
	dirty    bool

	busy     atomic.Bool
	ready    atomic.Bool
	ignored  atomic.Uint64
	rejected atomic.Uint64
	shown    atomic.Pointer[shown]

	mu       sync.Mutex // of what follows; one catalog is put in force at a time
	inForce  *catalog.Catalog
	packed   []byte // inForce, for agents
	problems []string
}

// shown is what readers see, and a channel that closes when there is something newer.
type shown struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	changed  chan struct{}
}

// New brings an engine to the state that the ledger holds. A catalog file with mistakes is a catalog.Mistakes error only where
// the ledger holds no catalog to go on with.
func New(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{Config: c, prefix: rand.Text()}
	if err := e.startCatalog(ctx); err != nil {
		return nil, err
	}
	start, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	if e.judged, err = c.Ledger.Judged(ctx); err != nil {
		return nil, err
	}
	e.judge = judge.New(start)
	e.shown.Store(&shown{e.inForce, e.judge.Snapshot(), make(chan struct{})})
	return e, e.markPresent(ctx)
}

// start is where the judge begins: the present catalog and roster, and the verdicts that were published.
func (e *Engine) start(ctx context.Context) (judge.Start, error) {
	roster, err := e.Ledger.Roster(ctx)
	if err != nil {
		return judge.Start{}, err
	}
	standings, err := e.standings(ctx)
	return judge.Start{Catalog: e.inForce, Roster: roster, Standings: standings}, err
}

func (e *Engine) standings(ctx context.Context) ([]judge.Standing, error) {
	last, err := e.Ledger.Standings(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]judge.Standing, len(last))
	for i, t := range last {
		out[i] = judge.Standing{
			Host: mesh.Key(t.Host), Check: t.Check, Verdict: t.Verdict, Since: t.Began, Rule: t.Rule, Sentence: t.Sentence, Tally: t.Tally,
		}
	}
	return out, nil
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
	roster, err := e.Ledger.Roster(ctx)
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
	messages := make(chan bus.Message, messagesMax)
	answering := make(chan struct{})
	g.Go(func() error { return e.Bus.AnswerCatalog(ctx, answering, e.answerCatalog) })
	g.Go(func() error { return e.follow(ctx, messages) })
	g.Go(func() error { return e.loop(ctx, messages, answering) })
	g.Go(func() error { return e.tick(ctx) })
	g.Go(func() error { return e.watch(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

func (e *Engine) follow(ctx context.Context, messages chan<- bus.Message) error {
	return e.Bus.Follow(ctx, bus.Start{Time: time.Now().Add(-replay)}, func(m bus.Message) error {
		select {
		case messages <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// loop owns the judge.
func (e *Engine) loop(ctx context.Context, messages <-chan bus.Message, answering <-chan struct{}) error {
	show := time.NewTicker(showEvery)
	defer show.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-show.C:
			e.show()
		case m := <-messages:
			if err := e.hear(ctx, m); err != nil {
				return err
			}
			if m.Sequence == e.live {
				<-answering
				e.show()
				e.ready.Store(true)
			}
		}
	}
}

// hear gives one message to the judge and does what follows from it.
func (e *Engine) hear(ctx context.Context, m bus.Message) error {
	if err := e.restate(ctx, m); err != nil {
		return err
	}
	in, ok := e.input(ctx, m)
	if !ok {
		return nil
	}
	out := e.judge.Step(in)
	e.busy.Store(e.judge.Busy())
	e.ignored.Store(e.judge.Ignored())
	e.dirty = true
	if m.Sequence > e.judged && len(out.Transitions) > 0 {
		if err := e.publish(ctx, out.Transitions); err != nil {
			return err
		}
		e.show()
	}
	if m.Sequence > e.live {
		e.ask(ctx, out.Asks)
	}
	return nil
}

// restate has the judge go on from what was published, once the replay passes the last message that the ledger's verdicts
// were decided at. Until then its own verdicts count for nothing.
func (e *Engine) restate(ctx context.Context, m bus.Message) error {
	if e.restated || m.Sequence <= e.judged {
		return nil
	}
	standings, err := e.standings(ctx)
	if err != nil {
		return err
	}
	e.restated = true
	e.judge.Restate(standings)
	return nil
}

// input reads a message. One that cannot be read is counted and left out.
func (e *Engine) input(ctx context.Context, m bus.Message) (judge.Input, bool) {
	in := judge.Input{Sequence: m.Sequence, At: m.Time}
	var err error
	switch m.Kind {
	case bus.Batch:
		in.Batch, err = readBatch(m)
	case bus.CatalogMark:
		in.Catalog, err = e.Ledger.CatalogOf(ctx, string(m.Data))
	case bus.RosterMark:
		in.Roster, err = wire.DecodeRoster(m.Data)
	}
	if err != nil {
		e.rejected.Add(1)
		e.Logger.Warn().Err(err).Uint64("sequence", m.Sequence).Str("agent", m.Agent).Msg("a message is rejected")
		return in, false
	}
	return in, true
}

func readBatch(m bus.Message) (*mesh.Batch, error) {
	age, link, err := wire.ParseHeaders(m.Header)
	if err != nil {
		return nil, err
	}
	b, err := wire.DecodeBatch(m.Data, age, link, m.Time)
	if err == nil && b.Agent != m.Agent {
		err = fmt.Errorf("the batch says it is from %q", b.Agent)
	}
	return b, err
}

const publishRetry = time.Second

// publish writes transitions to the ledger before anybody sees them. It tries until it can: a verdict is never lost.
func (e *Engine) publish(ctx context.Context, transitions []mesh.Transition) error {
	events := make([]ledger.Event, len(transitions))
	for i, t := range transitions {
		events[i] = ledger.TransitionEvent{Transition: t}
		e.Logger.Info().Str("host", t.Host).Str("check", t.Check).Str("status", string(t.To)).Time("began", t.Began).Msg(t.Sentence)
	}
	for {
		err := e.Ledger.Append(ctx, events...)
		if err == nil || errors.Is(err, bus.ErrFenced) || ctx.Err() != nil {
			return err
		}
		e.Logger.Error().Err(err).Msg("the ledger cannot be written; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(publishRetry):
		}
	}
}

// ask tells every agent to look now.
func (e *Engine) ask(ctx context.Context, asks []mesh.Ask) {
	for _, a := range asks {
		data, err := wire.EncodeControl(wire.Control{Look: &a})
		if err == nil {
			err = e.Bus.Tell(ctx, data)
		}
		if err != nil {
			e.Logger.Warn().Err(err).Str("host", a.Host).Msg("agents could not be asked to look")
		}
	}
}

// show makes what the judge holds visible, where it changed.
func (e *Engine) show() {
	if !e.dirty {
		return
	}
	e.dirty = false
	e.mu.Lock()
	c := e.inForce
	e.mu.Unlock()
	old := e.shown.Swap(&shown{c, e.judge.Snapshot(), make(chan struct{})})
	close(old.changed)
}

// tick marks the passing of time on the stream, which is the judge's only clock.
func (e *Engine) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickBusy)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			if !e.busy.Load() && now.Sub(last) < tickIdle {
				continue
			}
			last = now
			if _, err := e.Bus.Mark(ctx, bus.Tick, e.markID(), nil); err != nil && ctx.Err() == nil {
				e.Logger.Warn().Err(err).Msg("the stream does not take a tick")
			}
		}
	}
}
