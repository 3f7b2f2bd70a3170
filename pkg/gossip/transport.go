package gossip

import (
	"context"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// Bounds on what anybody can make this agent spend before it presents a key. memberlist itself would read 20 MB from
// each of any number of connections.
const (
	streamsMax  = 16               // incoming at once: a member exchanges its state about once a minute
	streamMax   = 10 * time.Second // until one of them must be done
	streamBytes = 64 << 10         // of one stream, and in addition
	memberBytes = 1 << 10          // for each host of the catalog
	dialMax     = 3 * time.Second
)

// transport is memberlist's own over UDP and TCP, with three changes: it drops what does not come from an accepted
// address, it passes packets of the proof protocol to the prover before memberlist sees them, and it bounds what
// comes in and closes every connection when it is shut down.
type transport struct {
	*memberlist.NetTransport
	config    transportConfig
	ctx       context.Context
	cancel    context.CancelFunc
	bytes     int64 // of one stream
	open      atomic.Int32
	streams   chan net.Conn
	packets   chan *memberlist.Packet
	ended     chan struct{} // closed when NetTransport delivers nothing more
	end       func()        // closes ended
	forwarder sync.WaitGroup
	dropped   *rate.Limiter // of log lines about dropped packets

	mu    sync.Mutex
	conns map[*stream]bool
}

type transportConfig struct {
	bind    string
	source  netip.Addr // of outgoing connections; zero: the kernel chooses
	port    int
	hosts   int // of the catalog
	accepts func(from netip.Addr) bool
	proofs  func(now time.Time, packet []byte, from netip.AddrPort, send sendFunc) error
	log     zerolog.Logger
	library *log.Logger // for memberlist
}

func openTransport(ctx context.Context, c transportConfig) (*transport, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{c.bind}, BindPort: c.port, Logger: c.library,
	})
	if err != nil {
		return nil, err
	}
	t := &transport{
		NetTransport: inner, config: c, bytes: streamBytes + memberBytes*int64(c.hosts),
		streams: make(chan net.Conn), packets: make(chan *memberlist.Packet), ended: make(chan struct{}),
		dropped: rate.NewLimiter(rate.Every(dropEvery), 1), conns: map[*stream]bool{},
	}
	t.end = sync.OnceFunc(func() { close(t.ended) })
	// Not ctx itself: leaving still needs the network, so the transport ends by Shutdown alone.
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.forwarder.Go(t.forwardStreams)
	t.forwarder.Go(t.forwardPackets)
	return t, nil
}

// dropEvery is the least time between two log lines about dropped packets.
const dropEvery = time.Minute

// drops reports whether packets from the address are dropped.
func (t *transport) drops(from netip.Addr) bool {
	if t.config.accepts(from) {
		return false
	}
	if t.dropped.Allow() {
		t.config.log.Warn().Stringer("from", from).Msg("gossip dropped: no admitted agent has this address")
	}
	return true
}

// forwardPackets passes memberlist its packets, and the prover its own.
func (t *transport) forwardPackets() {
	for {
		select {
		case <-t.ended:
			return
		case p := <-t.NetTransport.PacketCh():
			from := sourceOf(p.From)
			if t.drops(from.Addr()) {
				continue
			}
			if isProofPacket(p.Buf) {
				if err := t.config.proofs(p.Timestamp, p.Buf, from, t.send); err != nil {
					t.config.log.Debug().Err(err).Stringer("from", from).Msg("proof packet dropped")
				}
				continue
			}
			select {
			case t.packets <- p:
			case <-t.ctx.Done():
			}
		}
	}
}

// sourceOf returns the address of a UDP or TCP peer; zero for any other.
func sourceOf(a net.Addr) netip.AddrPort {
	var at netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		at = a.AddrPort()
	case *net.TCPAddr:
		at = a.AddrPort()
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// send sends one packet of the proof protocol.
func (t *transport) send(packet []byte, to netip.AddrPort) error {
	_, err := t.WriteTo(packet, to.String())
	return err
}

// PacketCh delivers packets to memberlist.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// forwardStreams passes incoming streams to memberlist, at most streamsMax at once.
func (t *transport) forwardStreams() {
	for {
		select {
		case <-t.ended:
			return
		case conn := <-t.NetTransport.StreamCh():
			if t.drops(sourceOf(conn.RemoteAddr()).Addr()) {
				_ = conn.Close()
				continue
			}
			if t.open.Add(1) > streamsMax {
				t.open.Add(-1)
				_ = conn.Close()
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(streamMax))
			s := t.track(conn, func() { t.open.Add(-1) })
			select {
			case t.streams <- s:
			case <-t.ctx.Done():
				_ = s.Close()
			}
		}
	}
}

// StreamCh delivers incoming streams to memberlist.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout and DialAddressTimeout connect to a member.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, min(timeout, dialMax))
	defer cancel()
	var d net.Dialer
	if t.config.source.IsValid() { // the others accept only this host's address
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.config.source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return t.track(conn, func() {}), nil
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown closes the listeners and every connection.
func (t *transport) Shutdown() error {
	t.cancel()
	t.mu.Lock()
	open := make([]*stream, 0, len(t.conns))
	for s := range t.conns {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	err := t.NetTransport.Shutdown() // it waits until the forwarders have received what came in, so they end after it
	t.end()
	t.forwarder.Wait()
	return err
}

// track bounds a connection and remembers it until it is closed, for Shutdown.
func (t *transport) track(conn net.Conn, closed func()) *stream {
	s := &stream{Conn: conn, left: t.bytes}
	s.end = sync.OnceValue(func() error {
		t.mu.Lock()
		delete(t.conns, s)
		t.mu.Unlock()
		closed()
		return conn.Close()
	})
	t.mu.Lock()
	t.conns[s] = true
	t.mu.Unlock()
	return s
}

// stream is a connection from which at most left bytes are read.
type stream struct {
	net.Conn
	left int64
	end  func() error
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.Conn.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

func (s *stream) Close() error { return s.end() }
