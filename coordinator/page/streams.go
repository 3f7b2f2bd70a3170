package page

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// The bounds of streams of events.
const (
	streamsMax = 4000 // at once: half of the connections that the door lets in, and some 100 MB
	// One client's: an office of a thousand people behind one address that all keep the page open.
	streamsOfOne = 1000
	// eventWait is how long a reader may take for one event, of at most a page of 30 KB. One that stopped reading is let go.
	eventWait  = 10 * time.Second
	eventEvery = 250 * time.Millisecond // at most, to one reader
	eventBeat  = 10 * time.Second       // at least, so that a reader knows that the line stands
)

// Streams are the readers that are kept told. It is safe for concurrent use.
type Streams struct {
	wait time.Duration

	mu     sync.Mutex
	places *ratelimit.Places[*stream]
}

// stream is one reader; leave ends it.
type stream struct{ leave context.CancelFunc }

// StreamsConfig changes the bounds; what is zero is as above.
type StreamsConfig struct {
	Most, Each int           // at once, in all and of one client
	Wait       time.Duration // for a reader to take one event
}

// NewStreams has room for readers.
func NewStreams(c StreamsConfig) *Streams {
	places := ratelimit.New[*stream](cmp.Or(c.Most, streamsMax), cmp.Or(c.Each, streamsOfOne))
	return &Streams{wait: cmp.Or(c.Wait, eventWait), places: places}
}

// enter gives a reader a place until leave is called. The context ends too when it has to make way for another client's.
func (s *Streams) enter(ctx context.Context, c netip.Prefix) (_ context.Context, leave func(), ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	g := &stream{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, ok := s.places.Take(c, g, nil)
	if gone != nil {
		(*gone).leave()
	}
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.places.Leave(c, g)
	}, ok
}

// Listen keeps a reader told until it goes: tell sends what there is, at once and whenever changed closes. What a reader was
// told last is not sent again. One for whom there is no room is refused.
func (s *Streams) Listen(w http.ResponseWriter, r *http.Request, changed func() <-chan struct{}, tell func(send func(kind, data string) error) error) {
	ctx, leave, ok := s.enter(r.Context(), client(r))
	defer leave()
	if !ok {
		writeText(w, http.StatusServiceUnavailable, "too many readers listen at once\n")
		return
	}
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must hand events on at once
	session, err := sse.Upgrade(w, r)
	if err != nil {
		writeText(w, http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	l := &line{session: session, control: http.NewResponseController(w), wait: s.wait, last: map[string]string{}}
	_ = l.control.SetReadDeadline(time.Time{}) // the request is read; where deadlines cannot be set there are none
	l.keep(ctx, changed, tell)
}

// line is the way to one reader.
type line struct {
	session *sse.Session
	control *http.ResponseController
	wait    time.Duration
	last    map[string]string // what was told, by kind
}

// keep tells the reader until ctx ends or it does not take what it is told.
func (l *line) keep(ctx context.Context, changed func() <-chan struct{}, tell func(send func(kind, data string) error) error) {
	for {
		next := changed()
		if err := tell(l.tell); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-time.After(eventBeat):
			beat := &sse.Message{}
			beat.AppendComment("still here")
			if l.send(beat) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(eventEvery):
		}
	}
}

// tell sends what the reader was not told last.
func (l *line) tell(kind, data string) error {
	if l.last[kind] == data {
		return nil
	}
	l.last[kind] = data
	m := &sse.Message{Type: sse.Type(kind)}
	m.AppendData(data)
	return l.send(m)
}

// send fails where the reader does not take the message in time.
func (l *line) send(m *sse.Message) error {
	_ = l.control.SetWriteDeadline(time.Now().Add(l.wait)) // where deadlines cannot be set there are none
	if err := l.session.Send(m); err != nil {
		return err
	}
	return l.session.Flush()
}
