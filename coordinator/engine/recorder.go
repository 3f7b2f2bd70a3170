package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// RecorderBus is what a Recorder needs of NATS besides the stream of observations.
type RecorderBus interface {
	Bus
	Streams(ctx context.Context) ([]bus.StreamInfo, error)
}

// RollupStream is the stream of hourly summaries.
type RollupStream interface {
	State(ctx context.Context) (created time.Time, last uint64, err error)
	Append(ctx context.Context, e bus.Entry, after uint64) (sequence uint64, err error)
	Read(ctx context.Context, from uint64, fn func(bus.Record) error) error
}

// RecorderConfig configures a Recorder.
type RecorderConfig struct {
	Bus     RecorderBus
	Rollups RollupStream
	View    *view.View // of the ledger: which catalogs and agents there were
	Store   *latency.Store
	// Every is how often events and minutes are written besides the events of whole hours; zero: never, and minutes
	// each minute. Retry is how long to wait after a failed write; zero: rollupRetry.
	Every, Retry time.Duration
	// Warn sets a subject's warning for operators; an empty text clears it. It may be nil.
	Warn   func(subject, text string)
	Logger zerolog.Logger
}

const (
	// minutesEvery is how often minutes are stored, in the stream's time: a restart reads what came since. Those of the
	// past, which a start without a file reads, are stored many at a time.
	minutesEvery, pastMinutesEvery = time.Minute, time.Hour
	recordRetry                    = 2 * time.Second
	rollupRetry                    = 5 * time.Second
	// Operators are warned once nothing could be summarized for so long: a restart of NATS takes less.
	warnAfter     = 5 * time.Minute
	rollupSubject = "summaries"
	// foldTogether bounds the summaries that are folded in one transaction: ten days of a small mesh.
	foldTogether = 240
)

// Recorder summarizes the stream of observations: it stores minutes, and the hours that ROLLUP has, in the latency
// file, and appends the events of the hours to ROLLUP while its coordinator leads. The recorder of a standby waits for
// the leader's event and continues after it. It follows the stream apart from the judge, from where the last event
// ended: nothing that it does delays a verdict.
type Recorder struct {
	config  RecorderConfig
	sampled zerolog.Logger // for errors that repeat
	failing time.Time      // since when nothing could be summarized; zero: it works. Only Run uses it
}

// NewRecorder makes a Recorder.
func NewRecorder(c RecorderConfig) *Recorder {
	if c.Retry == 0 {
		c.Retry = rollupRetry
	}
	if c.Warn == nil {
		c.Warn = func(string, string) {}
	}
	return &Recorder{config: c, sampled: c.Logger.Sample(&zerolog.BurstSampler{Burst: 2, Period: time.Minute})}
}

// errContinue ends a reading of the stream: ROLLUP has an event that this recorder did not write.
var errContinue = errors.New("continue after another event")

// Run records until ctx ends, and then returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := r.record(ctx)
		if errors.Is(err, errContinue) {
			continue
		}
		if ctx.Err() == nil {
			r.note(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(recordRetry, r.config.Retry)):
		}
	}
	return nil
}

// note records whether a step failed, and warns operators once that has lasted.
func (r *Recorder) note(err error) {
	switch now := time.Now(); {
	case err == nil:
		if !r.failing.IsZero() {
			r.config.Warn(rollupSubject, "")
		}
		r.failing = time.Time{}
		return
	case r.failing.IsZero():
		r.failing = now
	case now.Sub(r.failing) >= warnAfter:
		r.config.Warn(rollupSubject, "round-trip times are not summarized: the stream ROLLUP or latency.db cannot be "+
			"written; the log says why; what is not summarized within two days is lost")
	}
	r.sampled.Warn().Err(err).Msg("observations not summarized; retrying")
}

// recording is one reading of the stream of observations.
type recording struct {
	*Recorder
	stream  int64 // identifies the stream
	decoder *decoder
	names   *namer
	stored  time.Time // mesh time up to which minutes are stored
	cut     time.Time // the same of events
}

// record continues where the events and minutes end, and reads until the stream cannot be read or ROLLUP has an event
// of another coordinator.
func (r *Recorder) record(ctx context.Context) error {
	if _, err := r.CatchUp(ctx); err != nil {
		return err
	}
	events, err := r.config.Store.Events(ctx)
	if err != nil {
		return err
	}
	one := &recording{Recorder: r}
	if one.stream, err = r.streamID(ctx, events); err != nil {
		return err
	}
	from, err := one.begin(ctx, events)
	if err != nil {
		return err
	}
	dating := &dating{clock: from.Clock}
	return r.config.Bus.Follow(ctx, bus.Start{Sequence: from.Sequence}, func(m bus.Message) error {
		for _, dated := range dating.add(m) {
			if err := one.handle(ctx, dated); err != nil {
				return err
			}
		}
		return nil
	})
}

// streamID identifies the stream of observations, as rollup.StreamID has it.
func (r *Recorder) streamID(ctx context.Context, events []rollup.Event) (int64, error) {
	streams, err := r.config.Bus.Streams(ctx)
	if err != nil {
		return 0, err
	}
	var last rollup.Event
	if len(events) > 0 {
		last = events[len(events)-1]
	}
	for _, s := range streams {
		if s.Name == "OBS" {
			return rollup.StreamID(s.Created.UnixNano(), s.Last, last), nil
		}
	}
	return 0, errors.New("the bus has no stream OBS")
}

// begin makes the folds, and returns where to begin to read: early enough that they are as they were
// when the last event ended.
func (r *recording) begin(ctx context.Context, events []rollup.Event) (start meshtime.Position, err error) {
	if err := r.config.Store.FollowMinutes(ctx, r.stream); err != nil {
		return start, err
	}
	progress, err := r.config.Store.Progress(ctx)
	if err != nil {
		return start, err
	}
	builder := rollup.NewBuilder(r.stream, events)
	// The events that end before the minutes do, and where the fold of the minutes begins.
	known, until := 0, time.Time{}
	for n, e := range events {
		if e.Stream == r.stream && e.Last <= progress.Minutes {
			known, until = n+1, e.Until
		}
	}
	r.config.Store.Reset(builder, rollup.NewMinutes(events[:known], progress.Minutes))
	stream, err := r.config.Bus.Timeline(ctx)
	if err != nil {
		return start, err
	}
	if start, err = stream.Find(until.Add(-replayed)); err != nil {
		return start, err
	}
	return start, nil
}

// openNames makes the decoder and the names as they were at the mesh time of the first message.
func (r *recording) openNames(ctx context.Context, at time.Time) error {
	then, err := r.config.View.CatalogAt(ctx, at)
	if err != nil {
		return err
	}
	roster, err := r.config.View.Roster(ctx)
	if err != nil {
		return err
	}
	r.decoder = newDecoder(r.config.View, then.Catalog, roster)
	r.names = newNamer(r.config.View, then.Catalog)
	return nil
}

// handle adds one message, and writes what is due.
func (r *recording) handle(ctx context.Context, m message) error {
	if r.decoder == nil {
		if err := r.openNames(ctx, m.at); err != nil {
			return err
		}
	}
	in, _, err := r.decoder.decode(ctx, m)
	if err != nil {
		in.Batch = nil // the judge rejected it, too
	}
	if in.Catalog != nil {
		r.names.setCatalog(in.Catalog)
	}
	out := rollup.Message{Sequence: m.Sequence, At: m.at, Offset: m.offset, Batch: in.Batch}
	if in.Batch != nil {
		if err := r.names.setBatch(ctx, r.decoder.filter.Key(in.Batch.Agent), in.Batch.Revision); err != nil {
			return err
		}
	}
	r.config.Store.Add(out, r.names)
	if r.stored.IsZero() {
		r.stored, r.cut = m.at, m.at
	}
	if m.at.Sub(r.stored) >= r.minutesEvery(m) {
		if err := r.storeMinutes(ctx, m); err != nil {
			return err
		}
	}
	if r.config.Store.Due() || r.config.Every > 0 && m.at.Sub(r.cut) >= r.config.Every {
		r.cut = m.at
		return r.write(ctx)
	}
	return nil
}

func (r *recording) minutesEvery(m message) time.Duration {
	switch {
	case r.config.Every > 0:
		return r.config.Every
	case time.Since(m.Time) > 2*pastMinutesEvery:
		return pastMinutesEvery
	}
	return minutesEvery
}

func (r *recording) storeMinutes(ctx context.Context, m message) error {
	progress, err := r.config.Store.Progress(ctx)
	if err != nil {
		return err
	}
	r.stored = m.at
	if progress.Minutes >= m.Sequence {
		return nil // this recording began before the end of the minutes
	}
	err = r.config.Store.StoreMinutes(ctx, m.Sequence, m.at.Add(-m.offset), m.at)
	if err == nil {
		r.note(nil)
	}
	return err
}

// write appends the event that is due to ROLLUP, and applies it. If this coordinator does not lead, or the stream does
// not accept the event, it waits. It returns errContinue once the stream has another event.
func (r *recording) write(ctx context.Context) error {
	e, ok := r.config.Store.Cut()
	if !ok {
		return nil
	}
	entry := bus.Entry{Subject: e.Subject(), ID: "rollup-" + e.Subject(), Data: rollup.Encode(e)}
	for {
		progress, err := r.config.Store.Progress(ctx)
		if err != nil {
			return err
		}
		sequence, err := r.config.Rollups.Append(ctx, entry, progress.Sequence)
		if err == nil && sequence == progress.Sequence+1 {
			if _, err = r.config.Store.Apply(ctx, []latency.Record{{Sequence: sequence, Event: &e}}); err == nil {
				r.note(nil)
			}
			return err
		}
		if applied, failed := r.CatchUp(ctx); failed != nil {
			err = errors.Join(err, failed)
		} else if applied > 0 {
			r.note(nil)
			return errContinue
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrNotLeading) && !errors.Is(err, bus.ErrBehind) {
			r.note(err)
		}
		wait := r.config.Retry
		if errors.Is(err, bus.ErrBehind) {
			wait = 0 // read meanwhile
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// CatchUp applies the records of ROLLUP that the file does not have, and returns how many events were among them.
func (r *Recorder) CatchUp(ctx context.Context) (applied int, err error) {
	created, last, err := r.config.Rollups.State(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.config.Store.Follow(ctx, created, last); err != nil {
		return 0, err
	}
	progress, err := r.config.Store.Progress(ctx)
	if err != nil {
		return 0, err
	}
	var waiting []latency.Record
	flush := func() error {
		refused, err := r.config.Store.Apply(ctx, waiting)
		if refused > 0 {
			r.config.Logger.Error().Int("events", refused).Msg("hourly summaries refused: earlier ones cover their observations")
		}
		waiting = waiting[:0]
		return err
	}
	err = r.config.Rollups.Read(ctx, progress.Sequence+1, func(in bus.Record) error {
		record := latency.Record{Sequence: in.Sequence}
		if in.Subject != bus.RollupEpoch {
			e, err := rollup.Decode(in.Data)
			if err != nil {
				r.sampled.Error().Err(err).Uint64("sequence", in.Sequence).Msg("hourly summary unreadable")
			} else {
				record.Event = &e
				applied++
			}
		}
		if waiting = append(waiting, record); len(waiting) >= foldTogether {
			return flush()
		}
		return nil
	})
	if err != nil {
		return applied, fmt.Errorf("read the hourly summaries: %w", err)
	}
	return applied, flush()
}
