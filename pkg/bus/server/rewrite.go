package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stored is a message of a stream between reading and writing it.
type stored struct {
	Sequence uint64 `json:"sequence"`
	Subject  string `json:"subject"`
	Data     []byte `json:"data"`
}

// holesMax bounds the messages that Rewrite writes and deletes for sequences that the stream lacks.
const holesMax = 1_000_000

// Rewrite replaces a stream by one with the data that fn returns for each of its messages. Subjects and sequences stay,
// and so do holes; headers and the times at which the server received the messages are lost. The file holds the
// messages between; it must not exist, and is removed. After an error the stream may be incomplete or missing.
func (s *Streams) Rewrite(
	ctx context.Context, name, file string, fn func(subject string, at time.Time, data []byte) ([]byte, error),
) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(file)) }()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	last := stream.CachedInfo().State.LastSeq
	out := bufio.NewWriter(f)
	encode := json.NewEncoder(out)
	err = eachMessage(ctx, stream, func(m *jetstream.RawStreamMsg) error {
		data, err := fn(m.Subject, m.Time, m.Data)
		if err != nil {
			return err
		}
		return encode.Encode(stored{m.Sequence, m.Subject, data})
	})
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = s.replace(ctx, stream.CachedInfo().Config, last, f)
	}
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	return nil
}

// Each calls fn for the messages that the stream has now, in order.
func (s *Streams) Each(
	ctx context.Context, name string, fn func(subject string, at time.Time, data []byte) error,
) error {
	stream, err := s.js.Stream(ctx, name)
	if err == nil {
		err = eachMessage(ctx, stream, func(m *jetstream.RawStreamMsg) error { return fn(m.Subject, m.Time, m.Data) })
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// replace replaces a stream by one with the messages that r holds, up to the sequence last.
func (s *Streams) replace(ctx context.Context, c jetstream.StreamConfig, last uint64, r io.Reader) error {
	if err := s.js.DeleteStream(ctx, c.Name); err != nil {
		return err
	}
	open := c
	open.DenyDelete = false // until the holes are made
	stream, err := s.js.CreateStream(ctx, open)
	if err != nil {
		return err
	}
	holes, err := s.publishAll(ctx, r, last)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.LastSeq != last {
		return fmt.Errorf("the last message has the sequence %d instead of %d", info.State.LastSeq, last)
	}
	for _, sequence := range holes {
		if err := stream.DeleteMsg(ctx, sequence); err != nil {
			return err
		}
	}
	_, err = s.js.UpdateStream(ctx, c)
	return err
}

// publishAll publishes the messages in order, and something in place of those that are missing up to the sequence last.
// It returns the sequences of those.
func (s *Streams) publishAll(ctx context.Context, r io.Reader, last uint64) (holes []uint64, err error) {
	decode, next := json.NewDecoder(r), uint64(1)
	subject := ""
	fill := func(until uint64) error {
		for ; next < until; next++ {
			if holes = append(holes, next); len(holes) > holesMax {
				return fmt.Errorf("more than %d messages are missing", holesMax)
			}
			if _, err := s.js.PublishAsync(subject, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		var m stored
		if err := decode.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		subject = m.Subject
		if err := fill(m.Sequence); err != nil {
			return nil, err
		}
		if _, err := s.js.PublishAsync(m.Subject, m.Data); err != nil {
			return nil, err
		}
		next++
	}
	if err := fill(last + 1); err != nil {
		return nil, err
	}
	select {
	case <-s.js.PublishAsyncComplete():
		return holes, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// EraseMatching overwrites the messages of a stream for whose data match returns true, and returns how many there were.
func (s *Streams) EraseMatching(ctx context.Context, name string, match func(data []byte) bool) (n int, err error) {
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("erase messages of %s: %w", name, err)
	}
	err = eachMessage(ctx, stream, func(m *jetstream.RawStreamMsg) error {
		if !match(m.Data) {
			return nil
		}
		n++
		return stream.SecureDeleteMsg(ctx, m.Sequence)
	})
	if err != nil {
		return n, fmt.Errorf("erase messages of %s: %w", name, err)
	}
	return n, nil
}

// eachMessage calls fn for the messages that the stream has now, in order. It asks for one after the other: what a
// stored message contains cannot be mistaken for a word of the server.
func eachMessage(ctx context.Context, stream jetstream.Stream, fn func(*jetstream.RawStreamMsg) error) error {
	for next := uint64(1); ; {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
		next = m.Sequence + 1
	}
}
