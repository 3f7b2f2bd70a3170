// Package integrity finds what the streams have lost by damage to their files: overwritten, truncated or missing
// blocks, and texts that are gone or are not those of their hashes. The NATS server skips what it cannot read, so that
// a verdict, an incident's end or an enrolment may be missing without any error. A Guard reads the streams at start and
// once a day, records the losses in the view, which the status page marks, and warns operators for as long as they are
// there.
package integrity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Config configures a Guard.
type Config struct {
	Bus  Bus
	View View
	// free space for the streams that are kept for ever, in bytes; nil: a cluster's operator watches that
	Free func() (uint64, error)
	// what people wrote, and the events that name it; nil: not checked
	Texts  Texts
	Events Events
	// sets a subject's warning for operators; "" clears it
	Warn   func(subject, text string)
	Logger zerolog.Logger
}

// Bus measures the streams.
type Bus interface {
	LedgerGaps(ctx context.Context) ([]bus.Gap, error)
	Heads(ctx context.Context) ([]bus.StreamInfo, error)
}

// View records losses. They outlive the process there.
type View interface {
	RecordHeads(ctx context.Context, heads []view.Head, now time.Time) (lost []ledger.Gap, err error)
	Gaps(ctx context.Context) ([]ledger.Gap, error)
	AddGaps(ctx context.Context, gaps []ledger.Gap) error
}

const (
	checkEvery = 24 * time.Hour
	headsEvery = time.Minute // what is stored after the last record of the heads can be lost unnoticed
	// how long a start waits for the first check: a larger ledger is read while the coordinator works
	startMax   = 5 * time.Second
	endMax     = time.Second
	listed     = 3 // losses that a warning describes; it counts the others
	ledgerName = "LEDGER"
	rollupName = "ROLLUP"
	subject    = "lost-messages"
	// the size of the ledger and the hourly summaries, once they have used half of the space that was there for them
	sizeSubject = "ledger-size"
)

// Guard looks for losses.
type Guard struct {
	Config
	sampled zerolog.Logger // for errors that repeat

	mu     sync.Mutex
	logged map[string]bool // losses, by their description
}

// New makes a Guard.
func New(c Config) *Guard {
	sampled := c.Logger.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Hour})
	return &Guard{Config: c, sampled: sampled, logged: map[string]bool{}}
}

// Start does the first check before anything is shown, if that takes a few seconds only.
func (g *Guard) Start(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	// Run checks again at once.
	_ = g.Check(ctx)
}

// Run checks until ctx ends, and then returns nil.
func (g *Guard) Run(ctx context.Context) error {
	next := time.Now()
	ticker := time.NewTicker(headsEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		check := g.checkHeads
		if now := time.Now(); !now.Before(next) {
			check, next = g.Check, now.Add(checkEvery)
		}
		if err := check(ctx); err != nil && ctx.Err() == nil {
			g.sampled.Error().Err(err).Msg("streams not checked for losses; retrying")
			next = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	// The next start compares with what is stored now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endMax)
	defer cancel()
	if err := g.checkHeads(ctx); err != nil {
		g.Logger.Debug().Err(err).Msg("streams not recorded at the end")
	}
	return nil
}

// Check looks for losses in all streams and updates the view and the warning.
func (g *Guard) Check(ctx context.Context) error {
	found, failed := g.Bus.LedgerGaps(ctx) // with an error, as far as the ledger could be read
	gaps := make([]ledger.Gap, len(found))
	for i, f := range found {
		gaps[i] = fromBus(f)
	}
	if err := g.View.AddGaps(ctx, gaps); err != nil {
		return err
	}
	return errors.Join(failed, g.checkTexts(ctx), g.checkHeads(ctx))
}

// Lost records that the reader of a stream missed messages that were stored.
func (g *Guard) Lost(ctx context.Context, lost bus.Gap) {
	err := g.View.AddGaps(ctx, []ledger.Gap{fromBus(lost)})
	if err = errors.Join(err, g.report(ctx)); err != nil {
		g.sampled.Error().Err(err).Msg("loss not recorded")
	}
}

func fromBus(g bus.Gap) ledger.Gap {
	return ledger.Gap{Stream: g.Stream, First: g.First, Last: g.Last, After: g.After, Before: g.Before}
}

// checkHeads looks for streams that lost their end.
func (g *Guard) checkHeads(ctx context.Context) error {
	streams, err := g.Bus.Heads(ctx)
	if err != nil {
		return err
	}
	g.warnSize(streams)
	heads := make([]view.Head, len(streams))
	for i, s := range streams {
		heads[i] = view.Head{Stream: s.Name, Created: s.Created, Last: s.Last, Messages: s.Messages}
	}
	lost, err := g.View.RecordHeads(ctx, heads, time.Now())
	if err != nil {
		return err
	}
	return errors.Join(g.View.AddGaps(ctx, lost), g.report(ctx))
}

// warnSize warns when the streams that are kept for ever are as large as the space that is left for them.
func (g *Guard) warnSize(streams []bus.StreamInfo) {
	if g.Free == nil {
		return
	}
	free, err := g.Free()
	if err != nil {
		return // package diskguard reports it
	}
	size, text := uint64(0), ""
	for _, s := range streams {
		if s.Name == ledgerName || s.Name == rollupName {
			size += s.Bytes
		}
	}
	if size > 0 && size >= free {
		text = fmt.Sprintf("the ledger has used half of its space: with the hourly summaries it has grown to %s and as much "+
			"is left on the disk; both are never shortened: move the data directory to a larger disk", gigabytes(size))
	}
	g.Warn(sizeSubject, text)
}

// gigabytes rounds to one digit, so that a warning does not change with every event.
func gigabytes(n uint64) string {
	digit := uint64(1)
	for n/digit >= 10 {
		digit *= 10
	}
	return fmt.Sprintf("%.3g GB", float64(n/digit*digit)/1e9)
}

// report logs new losses and updates the warning.
func (g *Guard) report(ctx context.Context) error {
	known, err := g.View.Gaps(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range known {
		if text := k.String(); !g.logged[text] {
			g.logged[text] = true
			g.Logger.Error().Str("stream", k.Stream).Uint64("first", k.First).Uint64("last", k.Last).
				Time("after", k.After).Time("before", k.Before).Msg("messages lost: the stream's files are damaged")
		}
	}
	g.Warn(subject, warning(known))
	return nil
}

// warning returns the text for operators: what is lost, what that means, and what to do.
func warning(gaps []ledger.Gap) string {
	if len(gaps) == 0 {
		return ""
	}
	var lost []string
	effects := map[string]string{
		ledgerName:     "verdicts, incidents and enrolments of that time are missing from the history",
		"OBS":          "`explain --at` shows less of that time",
		rollupName:     "round-trip times of that time are missing",
		"KV_enrolment": "join tokens or limits may be missing: invite again whoever cannot join",
	}
	var what []string
	for i, gap := range gaps {
		if i < listed {
			lost = append(lost, gap.String())
		}
		if effect := effects[gap.Stream]; effect != "" {
			what = append(what, effect)
			delete(effects, gap.Stream)
		}
	}
	if more := len(gaps) - listed; more > 0 {
		lost = append(lost, "and "+mesh.Count(more, "more loss"))
	}
	return fmt.Sprintf("files of the data directory are damaged: %s; %s; check the disk, and restore the last backup "+
		"from before the damage into a new directory (coordinator restore DIR --data NEW) if what it lacks is less than that",
		strings.Join(lost, "; "), strings.Join(what, "; "))
}
