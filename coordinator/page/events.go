package page

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

const (
	perSecond = 50 // requests of one client, by programs and by people each
	// programsAtOnce is as much as a program may ask in its second: each answer is made for it alone.
	programsAtOnce = perSecond
	// peopleAtOnce is how many requests of people behind one address may come together: an office of a thousand who are told at
	// once that something is wrong, and each ask for the page and its events. A page is made once for all of them.
	peopleAtOnce = 2000
	clientsMax   = 10000 // remembered for that
)

// readers bounds how often readers may ask.
type readers struct {
	mu               sync.Mutex
	people, programs *ratelimit.Rates[netip.Prefix]
}

func newReaders() *readers {
	return &readers{
		people:   ratelimit.NewRates[netip.Prefix](perSecond, peopleAtOnce, clientsMax),
		programs: ratelimit.NewRates[netip.Prefix](perSecond, programsAtOnce, clientsMax),
	}
}

// limit refuses a client that asks more often than it may.
func (r *readers) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !r.allow(q) {
			w.Header().Set("Retry-After", "1")
			writeText(w, http.StatusTooManyRequests, "that is too often: 50 requests a second are allowed\n")
			return
		}
		next.ServeHTTP(w, q)
	})
}

// byProgram reports whether a request is one that pages do not make.
func byProgram(q *http.Request) bool {
	return strings.HasPrefix(q.URL.Path, "/api/") && q.URL.Path != eventsPath
}

func (r *readers) allow(q *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rates := r.people
	if byProgram(q) {
		rates = r.programs
	}
	return rates.Allow(time.Now(), client(q))
}

// client is who asks. A proxy on this machine asks for others, and names them: it is believed, since nobody else speaks from
// loopback.
func client(q *http.Request) netip.Prefix {
	c := ratelimit.Client(q.RemoteAddr)
	if !c.Addr().IsLoopback() {
		return c
	}
	via := strings.Join(q.Header.Values("X-Forwarded-For"), ",")
	if behind := ratelimit.Client(strings.TrimSpace(via[strings.LastIndex(via, ",")+1:])); behind.IsValid() {
		return behind
	}
	return c
}

// events tells a reader what changes: "status" in JSON for everybody, and the body of a page for one that asks with ?page=.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	s.streams.Listen(w, r, s.view.changed, func(send func(kind, data string) error) error {
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
		data, err := s.statusEvent(m)
		if err != nil {
			return err
		}
		return send("status", data)
	})
}

func (m moment) statusEvent() (string, error) {
	statuses := map[string]mesh.Status{}
	for _, h := range m.hosts() {
		statuses[h.Name] = h.Status
	}
	data, err := json.Marshal(struct {
		At       time.Time              `json:"at"`
		Title    string                 `json:"title"`
		Statuses map[string]mesh.Status `json:"statuses"`
	}{m.snapshot.At.UTC(), title(m), statuses})
	return string(data), err
}
