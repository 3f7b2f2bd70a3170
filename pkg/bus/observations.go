package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Stored describes one batch in the stream OBS, without its content.
type Stored struct {
	Sequence uint64
	Time     time.Time
	Agent    string
	Bytes    int64 // counted towards the stream's size
}

// listedFor is how long the server keeps an inactive consumer of one agent's batches, which are read only once.
const listedFor = 5 * time.Second

// FollowSizes calls fn for every batch of OBS, in order, of one agent or of all (""), until ctx ends or fn fails.
func (b *Coordinator) FollowSizes(ctx context.Context, agent string, fn func(Stored) error) error {
	subject := SubjectObservations + "*"
	if agent != "" {
		subject = SubjectObservations + agent
	}
	r := &streamReader{conn: b.conn, stream: b.obs, subjects: []string{subject}}
	if agent != "" {
		r.inactive = listedFor
	}
	return r.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		return fn(Stored{at.Sequence.Stream, at.Timestamp, strings.TrimPrefix(m.Subject, SubjectObservations), storedBytes(m)})
	})
}

// listIdle is how long Stored waits for the next batch before it gives up.
const listIdle = 5 * time.Second

// Stored lists the batches of an agent that OBS has now, oldest first. It fails when the last of them is removed
// meanwhile, since the listing then never reaches its end; the caller should retry.
func (b *Coordinator) Stored(ctx context.Context, agent string) (out []Stored, err error) {
	last, err := b.obs.GetLastMsgForSubject(ctx, SubjectObservations+agent)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("batches of %s: %w", agent, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(listIdle, cancel)
	defer idle.Stop()
	end := errors.New("end")
	err = b.FollowSizes(ctx, agent, func(s Stored) error {
		idle.Reset(listIdle)
		if s.Sequence <= last.Sequence {
			out = append(out, s)
		}
		if s.Sequence >= last.Sequence {
			return end
		}
		return nil
	})
	if !errors.Is(err, end) {
		return nil, fmt.Errorf("batches of %s: %w", agent, err)
	}
	return out, nil
}

// storedBytes returns a message's size as the server counts it: the subject, the headers and the data, and a record
// around them.
func storedBytes(m *nats.Msg) int64 {
	const record, headerRecord, firstLine, end, separators = 30, 4, 10, 2, 4 // "NATS/1.0\r\n", "\r\n", and ": " and "\r\n" of a header
	n, headers := record+len(m.Subject)+len(m.Data), 0
	for key, values := range m.Header {
		for _, value := range values {
			headers += len(key) + len(value) + separators
		}
	}
	if headers > 0 {
		n += headerRecord + firstLine + headers + end
	}
	return int64(n)
}

const removeAtOnce = 64

// Remove deletes messages of OBS by sequence. A message that is already gone is not an error.
func (b *Coordinator) Remove(ctx context.Context, sequences []uint64) error {
	const notFound, noSuchSequence = 10037, 10043
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removeAtOnce)
	for _, sequence := range sequences {
		g.Go(func() error {
			err := b.obs.DeleteMsg(ctx, sequence)
			var refused *jetstream.APIError
			if errors.As(err, &refused) && (refused.ErrorCode == notFound || refused.ErrorCode == noSuchSequence) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("remove batches: %w", err)
	}
	return nil
}

// ResizeObservations sets the maximum size of OBS. A server with less storage than that returns an error, and OBS is
// unchanged.
func (b *Coordinator) ResizeObservations(ctx context.Context, bytes int64) error {
	info, err := b.obs.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream OBS: %w", err)
	}
	if info.Config.MaxBytes == bytes {
		return nil
	}
	config := info.Config
	config.MaxBytes = bytes
	if _, err := b.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("stream OBS, %d MB: %w", bytes>>20, err)
	}
	return nil
}
