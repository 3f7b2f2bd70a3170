package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

const (
	// streamsMax bounds all streams: half of the connections that connlimit accepts, and some 100 MB.
	streamsMax = 4000
	// streamsPerClient is for an office of a thousand people behind one address who all keep the page open.
	streamsPerClient = 1000
	// eventWait is how long a client may take to receive one event, which is at most a page of 30 KB. Then its stream
	// is closed, since a client that stopped reading would hold its slot for ever.
	eventWait = 10 * time.Second
	// eventInterval is the shortest time between two updates to one client.
	eventInterval = 250 * time.Millisecond
	// keepalive is the longest time without any. The page's script reports stale data after 15 s of silence.
	keepalive = 10 * time.Second
)

// Streams serves event streams and bounds their number. It is safe for concurrent use.
type Streams struct {
	wait time.Duration

	mu    sync.Mutex
	slots *ratelimit.Slots[*stream]
}

// stream is one open event stream. Its address identifies it in slots; cancel closes it.
type stream struct{ cancel context.CancelFunc }

// StreamsConfig overrides the limits; a zero field keeps its default.
type StreamsConfig struct {
	Max, PerClient int           // open streams, of all clients and of one
	Wait           time.Duration // for a client to receive one event
}

// NewStreams returns Streams without any client.
func NewStreams(c StreamsConfig) *Streams {
	slots := ratelimit.NewSlots[*stream](cmp.Or(c.Max, streamsMax), cmp.Or(c.PerClient, streamsPerClient))
	return &Streams{wait: cmp.Or(c.Wait, eventWait), slots: slots}
}

// SendFunc sends an event. It sends nothing if the data equals the last event of that type on the stream.
type SendFunc func(event, data string) error

// Serve streams events to a client until it disconnects. It calls update at once and after every change, to send what
// is new. It returns an error if the stream could not begin: there are too many, or the connection cannot stream.
func (s *Streams) Serve(
	w http.ResponseWriter, r *http.Request, changed func() <-chan struct{}, update func(send SendFunc) error,
) error {
	ctx, leave, ok := s.enter(r.Context(), clientOf(r))
	defer leave()
	if !ok {
		return Errorf(http.StatusServiceUnavailable, "too many open event streams")
	}
	w.Header().Set("X-Accel-Buffering", "no") // has nginx pass events on at once
	session, err := sse.Upgrade(w, r)
	if err != nil {
		return fmt.Errorf("open event stream: %w", err)
	}
	c := &streamConn{session: session, control: http.NewResponseController(w), wait: s.wait, last: map[string]string{}}
	_ = c.control.SetReadDeadline(time.Time{}) // the request is complete; a writer without deadlines needs none removed
	c.run(ctx, changed, update)
	return nil
}

// enter acquires a slot for a client's stream, which leave gives back. If all slots are taken, the client with the most
// streams loses its oldest: then the context of that stream ends. ok is false if the client itself has the most.
func (s *Streams) enter(ctx context.Context, client netip.Prefix) (_ context.Context, leave func(), ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	entered := &stream{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	evicted, ok := s.slots.Acquire(client, entered, nil)
	if evicted != nil {
		(*evicted).cancel()
	}
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.slots.Release(client, entered)
	}, ok
}

// streamConn writes the events of one stream.
type streamConn struct {
	session *sse.Session
	control *http.ResponseController
	wait    time.Duration
	last    map[string]string // the data that was sent last, by event type
}

// run sends updates until ctx ends, update fails or the client does not receive in time.
func (c *streamConn) run(ctx context.Context, changed func() <-chan struct{}, update func(send SendFunc) error) {
	for {
		next := changed() // before update, or a change between the two would wait for the one after it
		if err := update(c.send); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-time.After(keepalive):
			comment := &sse.Message{}
			comment.AppendComment("keep-alive")
			if c.write(comment) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(eventInterval):
		}
	}
}

func (c *streamConn) send(event, data string) error {
	if c.last[event] == data {
		return nil
	}
	c.last[event] = data
	m := &sse.Message{Type: sse.Type(event)}
	m.AppendData(data)
	return c.write(m)
}

func (c *streamConn) write(m *sse.Message) error {
	_ = c.control.SetWriteDeadline(time.Now().Add(c.wait)) // unsupported by test recorders only
	if err := c.session.Send(m); err != nil {
		return err
	}
	return c.session.Flush()
}
