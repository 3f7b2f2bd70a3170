package web

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
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
	// BeatInterval is how often a stream says what moment the coordinator shows. The script of pages reports that they
	// are out of date 5 s after the last beat. A day of beats is 1.4 MB.
	BeatInterval = 3 * time.Second
	// quietRate is how many bytes a second a stream may spend, on average, on pages in which only measurements changed. A
	// day of them is 0.5 MB: with its beats, an open page on which nothing happens costs less than 2 MB a day.
	quietRate = 5
	// retryMin is the shortest delay before a client reconnects. Each stream gets a random delay from this to twice
	// this, so that clients do not all reconnect at once when a coordinator restarts.
	retryMin = time.Second
)

// Streams serves event streams and bounds their number. It is safe for concurrent use.
type Streams struct {
	wait, beat time.Duration
	interval   time.Duration // between two updates
	quietRate  float64

	mu    sync.Mutex
	slots *ratelimit.Slots[*stream]
}

// stream is one open event stream. Its address identifies it in slots; cancel closes it.
type stream struct{ cancel context.CancelFunc }

// StreamsConfig overrides the limits; a zero field keeps its default.
type StreamsConfig struct {
	Max, PerClient int           // open streams, of all clients and of one
	Wait           time.Duration // for a client to receive one event
	Beat           time.Duration // between two beats
	Interval       time.Duration // the shortest between two updates
	QuietRate      float64       // bytes a second of pages in which only measurements changed
}

// NewStreams returns Streams without any client.
func NewStreams(c StreamsConfig) *Streams {
	slots := ratelimit.NewSlots[*stream](cmp.Or(c.Max, streamsMax), cmp.Or(c.PerClient, streamsPerClient))
	return &Streams{
		wait: cmp.Or(c.Wait, eventWait), beat: cmp.Or(c.Beat, BeatInterval), slots: slots,
		interval: cmp.Or(c.Interval, eventInterval), quietRate: cmp.Or(c.QuietRate, quietRate),
	}
}

// SendFunc sends an event. It sends nothing if the client has an event of that type with the same data already.
type SendFunc func(event, data string) error

// Feed is what a stream shows.
type Feed struct {
	Changed func() <-chan struct{}    // returns a channel that is closed when Update may have something new
	Update  func(send SendFunc) error // sends everything, of which the client gets what is new to it
	At      func() time.Time          // the moment that is shown; beats end when it is old
	// Urgent returns a key of what readers see at once. While it stays the same, a page with other measurements waits
	// until the stream can afford it. "": nothing waits, as without this function.
	Urgent func() string
}

// Serve streams events to a client until it disconnects. It updates the client at once, unless the client names the
// last event of an earlier stream and nothing changed since, and after every change. It returns an error if the stream
// could not begin: there are too many, or the connection cannot stream.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, f Feed) error {
	if r.Method == http.MethodHead { // the answer ends with its header, and the connection is used again
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		return nil
	}
	ctx, leave, ok := s.enter(r.Context(), clientOf(r))
	defer leave()
	if !ok {
		return Errorf(http.StatusServiceUnavailable, "too many open event streams")
	}
	w.Header().Set("X-Accel-Buffering", "no") // has nginx pass events on at once
	w.Header().Set("Cache-Control", "no-cache")
	session, err := sse.Upgrade(w, r)
	if err != nil {
		return fmt.Errorf("open event stream: %w", err)
	}
	c := &streamConn{
		session: session, control: http.NewResponseController(w), wait: s.wait, beat: s.beat, received: lastReceived(r),
		interval: s.interval, quietRate: s.quietRate, pageSent: time.Now(),
	}
	_ = c.control.SetReadDeadline(time.Time{}) // the request is complete; a writer without deadlines needs none removed
	c.run(ctx, f)
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
	session    *sse.Session
	control    *http.ResponseController
	wait, beat time.Duration
	received   received

	interval  time.Duration
	quietRate float64
	urgent    string    // the key of the latest update
	quiet     bool      // what comes is no more than other measurements
	pageSent  time.Time // when the last page was sent, or the stream began
}

// run sends updates and beats until ctx ends, the feed fails or the client does not receive in time.
func (c *streamConn) run(ctx context.Context, f Feed) {
	beats := time.NewTicker(c.beat)
	defer beats.Stop()
	if c.greet(f) != nil {
		return
	}
	for {
		select { // one that is due does not wait for yet another change
		case <-beats.C:
			if c.write(newBeat(f.At())) != nil {
				return
			}
		default:
		}
		next := f.Changed() // before Update, or a change between the two would wait for the one after it
		c.weigh(f)
		if f.Update(c.send) != nil {
			return
		}
		for changed := false; !changed; {
			select {
			case <-ctx.Done():
				return
			case <-next:
				changed = true
			case <-beats.C:
				if c.write(newBeat(f.At())) != nil {
					return
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.interval):
		}
	}
}

// greet sends the first beat, with the time after which the client reconnects.
func (c *streamConn) greet(f Feed) error {
	m := newBeat(f.At())
	m.Retry = retryMin + rand.N(retryMin)
	return c.write(m)
}

// newBeat returns the event that says what moment the coordinator shows. If that is too old to be called current, it is
// a comment instead: it keeps proxies from closing the connection, and clients see no beat.
func newBeat(at time.Time) *sse.Message {
	m := &sse.Message{}
	if time.Since(at) > staleAfter {
		m.AppendComment("no news")
		return m
	}
	m.Type = sse.Type("beat")
	m.AppendData(stamp(at))
	return m
}

// weigh decides whether the update that follows may wait.
func (c *streamConn) weigh(f Feed) {
	if f.Urgent == nil {
		return
	}
	key := f.Urgent()
	c.quiet, c.urgent = key != "" && key == c.urgent, key
}

func (c *streamConn) send(event, data string) error {
	isPage := event == "page"
	if isPage && c.quiet && float64(len(data)) > c.quietRate*time.Since(c.pageSent).Seconds() {
		return nil // the next update tries again
	}
	if !c.received.add(event, data) {
		return nil
	}
	if isPage {
		c.pageSent = time.Now()
	}
	m := &sse.Message{Type: sse.Type(event), ID: sse.ID(c.received.id())}
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
