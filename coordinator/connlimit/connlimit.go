// Package connlimit bounds each HTTP client's time, memory and connections. A status page must answer on the day of the
// outage, when everybody connects at once and some connect to starve the others.
package connlimit

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// The bounds.
const (
	// HeaderWait bounds the time for a request's header and the TLS handshake before it: a few hundred bytes on the
	// slowest line.
	HeaderWait = 5 * time.Second
	// ReadWait bounds the time for the whole request. The largest is a form of 4 KB.
	ReadWait = 10 * time.Second
	// WriteWait bounds the time for the whole answer: the page of 30 KB at 4 kbit/s. Event streams set a deadline for
	// each event.
	WriteWait = time.Minute
	// IdleWait bounds the time between two requests on a connection, in which somebody reads the page.
	IdleWait = 2 * time.Minute
	// HeaderMax bounds a request's header in bytes. Browsers send about a thousand, and cookies of other sites on the
	// host a few more.
	HeaderMax = 32 << 10
	// MaxConns bounds the connections at once: two each for four thousand readers. A connection costs about 20 KB.
	MaxConns = 8 << 10
	// unsentMax is how many bytes the kernel buffers for a client that does not read: two pages. Further writes block
	// until WriteWait.
	unsentMax = 64 << 10
)

// Config changes the bounds. A zero field means the constant above.
type Config struct {
	HeaderWait, ReadWait, WriteWait time.Duration
	MaxConns                        int
}

// Listener is a listener with a limit of connections. If the limit is reached, the client with the most connections
// loses one: an idle one, or else its oldest.
type Listener struct {
	net.Listener
	config Config

	mu    sync.Mutex
	slots *ratelimit.Slots[*conn]
}

// conn is an accepted connection.
type conn struct {
	net.Conn
	listener *Listener
	client   netip.Prefix
	idle     bool // between two requests
	closed   bool
}

// New limits the connections of a listener.
func New(l net.Listener, c Config) *Listener {
	c.HeaderWait, c.ReadWait = cmp.Or(c.HeaderWait, HeaderWait), cmp.Or(c.ReadWait, ReadWait)
	c.WriteWait, c.MaxConns = cmp.Or(c.WriteWait, WriteWait), cmp.Or(c.MaxConns, MaxConns)
	return &Listener{Listener: l, config: c, slots: ratelimit.NewSlots[*conn](c.MaxConns, c.MaxConns)}
}

// Configure sets the timeouts and bounds of a server that serves this listener. It needs the server's ConnState to know
// idle connections.
func (l *Listener) Configure(s *http.Server) {
	s.ReadHeaderTimeout, s.ReadTimeout = l.config.HeaderWait, l.config.ReadWait
	s.WriteTimeout, s.IdleTimeout = l.config.WriteWait, IdleWait
	s.MaxHeaderBytes, s.ConnState = HeaderMax, l.trackIdle
}

// Accept returns the next connection that gets a slot, and closes those that do not.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.admit(c); admitted != nil {
			return admitted, nil
		}
		_ = c.Close()
	}
}

// admit gives a connection a slot, or returns nil.
func (l *Listener) admit(raw net.Conn) *conn {
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(unsentMax) // if that fails, the kernel's own bound applies
	}
	c := &conn{Conn: raw, listener: l, client: ratelimit.Client(raw.RemoteAddr().String())}
	l.mu.Lock()
	evicted, ok := l.slots.Acquire(c.client, c, func(c *conn) bool { return c.idle })
	l.mu.Unlock()
	if evicted != nil {
		_ = (*evicted).Close()
	}
	if !ok {
		return nil
	}
	return c
}

// trackIdle records which connections are between two requests.
func (l *Listener) trackIdle(raw net.Conn, s http.ConnState) {
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok { // TLS
		raw = t.NetConn()
	}
	c, ok := raw.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.idle = s == http.StateIdle
}

// Close closes the connection and frees its slot.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	if !c.closed {
		c.closed = true
		c.listener.slots.Release(c.client, c)
	}
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
