package page

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	eventEvery   = 250 * time.Millisecond // at most, to one reader
	eventBeat    = 10 * time.Second       // at least, so that a reader knows that the line stands
	listenersMax = 2000                   // readers that listen at once
	perSecond    = 50                     // requests of one address
	addressesMax = 10000                  // remembered for that
)

// readers bounds what readers may ask for.
type readers struct {
	mu        sync.Mutex
	limits    map[string]*rate.Limiter
	listeners chan struct{}
}

func newReaders() *readers {
	return &readers{limits: map[string]*rate.Limiter{}, listeners: make(chan struct{}, listenersMax)}
}

// limit refuses an address that asks more often than it may.
func (r *readers) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !r.of(q).Allow() {
			w.Header().Set("Retry-After", "1")
			writeText(w, http.StatusTooManyRequests, "that is too often: 50 requests a second are allowed\n")
			return
		}
		next.ServeHTTP(w, q)
	})
}

func (r *readers) of(q *http.Request) *rate.Limiter {
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	if err != nil {
		host = q.RemoteAddr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.limits[host]
	if l == nil {
		if len(r.limits) >= addressesMax {
			clear(r.limits)
		}
		l = rate.NewLimiter(perSecond, perSecond)
		r.limits[host] = l
	}
	return l
}

// events tells a reader what changes: "status" in JSON for everybody, and the body of a page for one that asks with ?page=.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	Listen(w, r, s.readers.listeners, s.Source.Changed, func(send func(kind, data string) error) error {
		m := s.moment()
		if page := r.FormValue("page"); page != "" {
			body, found, err := s.body(r.Context(), m, page)
			if err != nil || !found {
				return err
			}
			if err := send("page", string(body)); err != nil {
				return err
			}
		}
		data, err := json.Marshal(m.statusEvent())
		if err != nil {
			return err
		}
		return send("status", string(data))
	})
}

func (m moment) statusEvent() any {
	statuses := map[string]mesh.Status{}
	for _, h := range m.hosts() {
		statuses[h.Name] = h.Status
	}
	return struct {
		At       time.Time              `json:"at"`
		Title    string                 `json:"title"`
		Statuses map[string]mesh.Status `json:"statuses"`
	}{m.snapshot.At.UTC(), title(m), statuses}
}

// Listen keeps a reader told until it goes: tell sends what there is, at once and whenever changed closes. What a reader was
// told last is not sent again. A full places refuses the reader.
func Listen(w http.ResponseWriter, r *http.Request, places chan struct{}, changed func() <-chan struct{}, tell func(send func(kind, data string) error) error) {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		writeText(w, http.StatusServiceUnavailable, "too many readers listen at once\n")
		return
	}
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must hand events on at once
	session, err := sse.Upgrade(w, r)
	if err != nil {
		writeText(w, http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	last := map[string]string{}
	send := func(kind, data string) error {
		if last[kind] == data {
			return nil
		}
		last[kind] = data
		m := &sse.Message{Type: sse.Type(kind)}
		m.AppendData(data)
		if err := session.Send(m); err != nil {
			return err
		}
		return session.Flush()
	}
	for {
		next := changed()
		if err := tell(send); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-next:
		case <-time.After(eventBeat):
			beat := &sse.Message{}
			beat.AppendComment("still here")
			if session.Send(beat) != nil || session.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(eventEvery):
		}
	}
}
