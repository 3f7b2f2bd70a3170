package web

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

const (
	// perSecond is the request rate of one client: of its programs and of its people, counted apart.
	perSecond = 50
	// programBurst is one second of requests: each answer to a program is rendered for it alone.
	programBurst = perSecond
	// peopleBurst is for an office of a thousand behind one address. When something fails, all of them open the page at
	// once, and each asks for the page and for its events. The page is rendered once for all of them.
	peopleBurst = 2000
	// clientsMax bounds the memory of the limits: about 100 bytes for each client that asked lately.
	clientsMax = 10000
)

// EventsPath is where pages get their events. Requests to it count as those of people.
const EventsPath = "/api/v1/events"

// requestLimits bounds the request rate of each client. It is safe for concurrent use, and takes no lock for a client
// that it knows.
type requestLimits struct {
	people, programs *rates
}

func newRequestLimits() *requestLimits {
	return &requestLimits{people: newRates(perSecond, peopleBurst), programs: newRates(perSecond, programBurst)}
}

// limit refuses requests of clients that exceed their rate.
func (l *requestLimits) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.allow(r) {
			w.Header().Set("Retry-After", "1")
			WriteError(w, r, zerolog.Nop(), Errorf(http.StatusTooManyRequests,
				"too many requests: a client may send %d a second", perSecond))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *requestLimits) allow(r *http.Request) bool {
	rates := l.people
	if byProgram(r) {
		rates = l.programs
	}
	return rates.allow(clientOf(r))
}

// byProgram reports whether a request is one that no page makes.
func byProgram(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != EventsPath
}

// clientOf returns the client that a request counts for. Behind a proxy on this machine that is the last address in
// X-Forwarded-For, which the proxy itself wrote. From elsewhere the header is ignored: any client can send it.
func clientOf(r *http.Request) netip.Prefix {
	peer := ratelimit.Client(r.RemoteAddr)
	if !peer.Addr().IsLoopback() {
		return peer
	}
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 {
		return peer
	}
	forwarded := lines[len(lines)-1]
	last := strings.TrimSpace(forwarded[strings.LastIndex(forwarded, ",")+1:])
	if client := ratelimit.Client(last); client.IsValid() {
		return client
	}
	return peer
}
