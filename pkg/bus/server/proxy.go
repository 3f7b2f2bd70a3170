package server

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bounds of connections that have not authenticated. Anybody can open one, and the server in this process spends about
// 40 KB on each. An agent authenticates within a few round trips.
const (
	// strangerSlots bounds them for addresses at which no agent is known, all together.
	strangerSlots = 512
	// agentSlots bounds them for addresses at which an agent authenticated within knownFor. Strangers cannot use these,
	// so agents reconnect while the port is flooded: all of a thousand at once.
	agentSlots = 1024
	// silenceWait is how long a client may send nothing after it connected. It answers after one round trip.
	silenceWait = 3 * time.Second
	// silenceShort is silenceWait while more than half of the slots are used. A client that is silent for so long also
	// loses its slot first.
	silenceShort = time.Second
	knownFor     = 24 * time.Hour
	knownMax     = connections // addresses
)

// proxy accepts connections on the agents' port and forwards them to the server in this process. The server itself
// would accept any number from anybody, each of which takes memory and a place until it authenticates or times out. It
// cannot be given a listener; but it takes connections within the process, and a PROXY header on them says where they
// come from. So the server listens nowhere, and no other process can send it such a header.
type proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error) // to the server
	log      zerolog.Logger
	tasks    sync.WaitGroup

	mu        sync.Mutex
	closing   bool
	open      map[*proxied]struct{}
	waiting   map[uint64]*proxied // not authenticated, by the server's id
	agents    *ratelimit.Slots[*proxied]
	strangers *ratelimit.Slots[*proxied]
	known     map[netip.Prefix]*knownClient
	refused   int // since the last line in the log
	warned    time.Time
}

// knownClient is an address at which agents authenticated.
type knownClient struct {
	connections int
	last        time.Time
}

func newProxy(l net.Listener, dial func() (net.Conn, error), log zerolog.Logger) *proxy {
	p := &proxy{
		listener: l, dial: dial, log: log, open: map[*proxied]struct{}{}, waiting: map[uint64]*proxied{},
		agents:    ratelimit.NewSlots[*proxied](agentSlots, agentSlots),
		strangers: ratelimit.NewSlots[*proxied](strangerSlots, strangerSlots),
		known:     map[netip.Prefix]*knownClient{},
	}
	p.tasks.Go(p.run)
	return p
}

// acceptPause is the wait after an accept that failed, as for lack of file descriptors.
const acceptPause = 50 * time.Millisecond

// run accepts connections until the listener is closed.
func (p *proxy) run() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn().Err(err).Msg("connection to the agents' port not accepted")
			time.Sleep(acceptPause)
			continue
		}
		if c := p.admit(conn, time.Now()); c != nil {
			p.tasks.Go(func() { defer p.release(c); c.serve(p.dial) })
			continue
		}
		// The client has sent nothing and the socket's buffer is empty: the write does not block.
		_, _ = conn.Write([]byte(busyError))
		_ = conn.Close()
	}
}

// busyError tells a client why its connection is closed. The connection's first line is an INFO otherwise.
const busyError = "-ERR 'too many connections have not authenticated'\r\n"

// admit gives a connection a slot, or returns nil.
func (p *proxy) admit(conn net.Conn, now time.Time) *proxied {
	c := &proxied{Conn: conn, proxy: p, client: ratelimit.Client(conn.RemoteAddr().String()), since: now, silent: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return nil
	}
	capacity := strangerSlots
	if c.slots = p.strangers; p.isKnown(c.client, now) {
		c.slots, capacity = p.agents, agentSlots
	}
	evicted, ok := c.slots.Acquire(c.client, c, func(o *proxied) bool {
		return o.silent && now.Sub(o.since) > silenceShort
	})
	if evicted != nil {
		delete(p.waiting, (*evicted).id)
		(*evicted).slots = nil
		_ = (*evicted).Close()
	}
	if !ok || evicted != nil {
		p.warn(now)
	}
	if !ok {
		return nil
	}
	if c.silence = silenceWait; c.slots.Used() > capacity/2 {
		c.silence = silenceShort
	}
	p.open[c] = struct{}{}
	return c
}

// isKnown reports whether an agent authenticated at the client's address within knownFor.
func (p *proxy) isKnown(client netip.Prefix, now time.Time) bool {
	k := p.known[client]
	if k == nil {
		return false
	}
	if k.connections == 0 && now.Sub(k.last) > knownFor {
		delete(p.known, client)
		return false
	}
	return true
}

// warn logs at most once a minute that connections are refused, or closed for others.
func (p *proxy) warn(now time.Time) {
	p.refused++
	if now.Sub(p.warned) < warnAgain {
		return
	}
	p.log.Warn().Int("closed", p.refused).
		Msg("too many connections to the agents' port do not authenticate; the oldest of those are closed")
	p.warned, p.refused = now, 0
}

// waits records the id that the server gave a connection which has not authenticated.
func (p *proxy) waits(id uint64, c *proxied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.id = id
	if c.slots != nil {
		p.waiting[id] = c
	}
}

// heard records that a client has begun a handshake.
func (p *proxy) heard(c *proxied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.silent = false
}

// hasWaiting reports whether a connection has not authenticated.
func (p *proxy) hasWaiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

// authenticated frees the slot of a connection that the server has authenticated. Later calls do nothing.
func (p *proxy) authenticated(id uint64, asAgent bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.waiting[id]
	if c == nil {
		return
	}
	p.free(c)
	if !asAgent {
		return
	}
	if p.known[c.client] == nil && len(p.known) >= knownMax {
		p.forget(now)
	}
	if p.known[c.client] == nil {
		if len(p.known) >= knownMax {
			return
		}
		p.known[c.client] = &knownClient{}
	}
	c.known = p.known[c.client]
	c.known.connections++
}

// forget removes the addresses at which no agent was for long.
func (p *proxy) forget(now time.Time) {
	for client := range p.known {
		p.isKnown(client, now)
	}
}

// free frees a connection's slot, if it has one.
func (p *proxy) free(c *proxied) {
	delete(p.waiting, c.id)
	if c.slots != nil {
		c.slots.Release(c.client, c)
		c.slots = nil
	}
}

// release ends a connection that was served.
func (p *proxy) release(c *proxied) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free(c)
	delete(p.open, c)
	if c.known != nil {
		c.known.connections--
		c.known.last = time.Now()
	}
}

// stop accepts no further connections.
func (p *proxy) stop() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	_ = p.listener.Close()
}

// wait waits until all connections have ended. The server has closed its ends of them before. A client that does not
// read what it was sent last is cut off.
func (p *proxy) wait() {
	cut := time.AfterFunc(lingerWait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.open {
			_ = c.Close()
		}
	})
	defer cut.Stop()
	p.tasks.Wait()
}
