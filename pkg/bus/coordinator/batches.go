package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/pkg/bus"
)

// listInactive is how long the server keeps the consumer of one agent's batches when it is not read. They are read once
// only.
const listInactive = 5 * time.Second

// FollowBatches calls fn for every batch of OBS, in order, of one agent or of all (""), until ctx ends or fn fails.
func (c *Conn) FollowBatches(ctx context.Context, agent string, fn func(bus.BatchInfo) error) error {
	r := &streamReader{conn: c.nats, stream: c.obs, subjects: []string{bus.SubjectObservations + "*"}}
	if agent != "" {
		r.subjects, r.inactive = []string{bus.SubjectObservations + agent}, listInactive
	}
	return r.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		return fn(bus.BatchInfo{
			Sequence: at.Sequence.Stream, Time: at.Timestamp,
			Agent: strings.TrimPrefix(m.Subject, bus.SubjectObservations), Bytes: storedBytes(m),
		})
	})
}

// listIdle is how long Batches waits for the next batch before it gives up.
const listIdle = 5 * time.Second

// Batches lists the batches of an agent that OBS has now, oldest first. It fails if the last of them is removed
// meanwhile, since the listing then never reaches its end; the caller should retry.
func (c *Conn) Batches(ctx context.Context, agent string) (out []bus.BatchInfo, err error) {
	last, err := c.obs.GetLastMsgForSubject(ctx, bus.SubjectObservations+agent)
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
	err = c.FollowBatches(ctx, agent, func(s bus.BatchInfo) error {
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

// storedBytes returns a message's size as the server counts it: the subject, the headers and the data, and the record
// around them.
func storedBytes(m *nats.Msg) int64 {
	// A header block is "NATS/1.0\r\n", then "key: value\r\n" for each header, then "\r\n".
	const record, headerRecord, firstLine, lastLine, separators = 30, 4, 10, 2, 4
	n, headers := record+len(m.Subject)+len(m.Data), 0
	for key, values := range m.Header {
		for _, value := range values {
			headers += len(key) + len(value) + separators
		}
	}
	if headers > 0 {
		n += headerRecord + firstLine + headers + lastLine
	}
	return int64(n)
}

// removeAtOnce bounds the removals in flight. Each is a round trip, and writes to the disk.
const removeAtOnce = 64

// RemoveBatches deletes messages of OBS by sequence. A message that is already gone is not an error.
func (c *Conn) RemoveBatches(ctx context.Context, sequences []uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removeAtOnce)
	for _, sequence := range sequences {
		g.Go(func() error {
			err := c.obs.DeleteMsg(ctx, sequence)
			if isGone(ctx, c.obs, sequence, err) {
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

// isGone reports whether a message could not be removed because it is not there: an earlier attempt, whose answer was
// late, has removed it. The library has the server's error as text alone, which differs by where the message was.
func isGone(ctx context.Context, stream jetstream.Stream, sequence uint64, err error) bool {
	if !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return false
	}
	_, err = stream.GetMsg(ctx, sequence)
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

// ResizeObservations sets the maximum size of OBS. A server with less storage than that returns an error, and OBS is
// unchanged.
func (c *Conn) ResizeObservations(ctx context.Context, bytes int64) error {
	info, err := c.obs.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream OBS: %w", err)
	}
	if info.Config.MaxBytes == bytes {
		return nil
	}
	config := info.Config
	config.MaxBytes = bytes
	if _, err := c.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("stream OBS, %d MB: %w", bytes>>20, err)
	}
	return nil
}
