// Package connlimit is what stands between the network and a site over HTTP: everything that one who comes may take of time, memory
// and connections is bounded. A status page must answer on the day of the outage, when everybody comes at once and some come to
// keep the others out.
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
	// HeaderWait is for the head of a request, and for the handshake of TLS before it: a few hundred bytes, over the slowest line.
	HeaderWait = 5 * time.Second
	// ReadWait is for all of a request. Nothing here takes more than a form of 4 KB.
	ReadWait = 10 * time.Second
	// WriteWait is for all of an answer: the page of 30 KB over a line of 4 kbit/s. Streams of events have a wait for each event.
	WriteWait = time.Minute
	// IdleWait is how long a connection may wait for its next request: while somebody reads the page and clicks.
	IdleWait = 2 * time.Minute
	// HeaderMax bounds the head of a request in bytes: browsers send about one thousand, cookies of others at most a few.
	HeaderMax = 32 << 10
	// Most is how many connections there may be at once: two for each of four thousand readers, and each takes some 20 KB.
	Most = 8 << 10
	// unsentMax is what the kernel keeps, in bytes, for a reader that does not read: two pages. What is more blocks the writer,
	// whose waits are bounded.
	unsentMax = 64 << 10
)

// Config changes the bounds; what is zero is as above.
type Config struct {
	HeaderWait, ReadWait, WriteWait time.Duration
	Most                            int
}

// Door is a listener that lets in so many at once. Where all places are taken, the client that holds the most of them loses one
// that waits for its next request, or its oldest.
type Door struct {
	net.Listener
	config Config

	mu     sync.Mutex
	places *ratelimit.Places[*guest]
}

// guest is a connection that was let in.
type guest struct {
	net.Conn
	door   *Door
	client netip.Prefix
	idle   bool // it waits for its next request
	left   bool
}

// New is a door before a listener.
func New(l net.Listener, c Config) *Door {
	c.HeaderWait, c.ReadWait, c.WriteWait = cmp.Or(c.HeaderWait, HeaderWait), cmp.Or(c.ReadWait, ReadWait), cmp.Or(c.WriteWait, WriteWait)
	c.Most = cmp.Or(c.Most, Most)
	return &Door{Listener: l, config: c, places: ratelimit.New[*guest](c.Most, c.Most)}
}

// Bound has a server keep to the bounds.
func (d *Door) Bound(s *http.Server) {
	s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = d.config.HeaderWait, d.config.ReadWait, d.config.WriteWait, IdleWait
	s.MaxHeaderBytes, s.ConnState = HeaderMax, d.state
}

// Accept waits for the next one that is let in. Who is not is hung up on.
func (d *Door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := d.admit(c); g != nil {
			return g, nil
		}
		_ = c.Close()
	}
}

// admit gives a connection a place, or nil.
func (d *Door) admit(c net.Conn) *guest {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(unsentMax) // where it cannot be set the kernel has a bound of its own
	}
	g := &guest{Conn: c, door: d, client: ratelimit.Client(c.RemoteAddr().String())}
	d.mu.Lock()
	gone, ok := d.places.Take(g.client, g, func(g *guest) bool { return g.idle })
	d.mu.Unlock()
	if gone != nil {
		_ = (*gone).Close()
	}
	if !ok {
		return nil
	}
	return g
}

// state notes which connections wait for their next request.
func (d *Door) state(c net.Conn, s http.ConnState) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	g, ok := c.(*guest)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.idle = s == http.StateIdle
}

// Close gives the place back.
func (g *guest) Close() error {
	g.door.mu.Lock()
	if !g.left {
		g.left = true
		g.door.places.Leave(g.client, g)
	}
	g.door.mu.Unlock()
	return g.Conn.Close()
}
