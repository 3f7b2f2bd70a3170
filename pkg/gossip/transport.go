package gossip

import (
	"bytes"
	"context"
	"errors"
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
	packetsMax  = 256              // that wait for memberlist; further ones are dropped, and proofs are not delayed
	streamsMax  = 16               // incoming at once: a member exchanges its state about once a minute
	streamMax   = 10 * time.Second // until one of them must be done
	streamBytes = 64 << 10         // of one stream, and in addition
	memberBytes = 1 << 10          // for each host of the catalog
	dialMax     = 3 * time.Second
)

// transport is memberlist's network over UDP and TCP. It drops what does not come from an accepted address, it passes
// packets of the proof protocol to the prover before memberlist sees them, and it bounds what comes in and closes
// every connection when it is shut down.
type transport struct {
	sockets
	config    transportConfig
	ctx       context.Context
	cancel    context.CancelFunc
	bytes     int64 // of one stream
	open      atomic.Int32
	streams   chan net.Conn
	packets   chan *memberlist.Packet
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
	opened, err := openSockets(c.bind, c.port)
	if err != nil {
		return nil, err
	}
	t := &transport{
		sockets: opened, config: c, bytes: streamBytes + memberBytes*int64(c.hosts),
		streams: make(chan net.Conn), packets: make(chan *memberlist.Packet, packetsMax),
		dropped: rate.NewLimiter(rate.Every(dropEvery), 1), conns: map[*stream]bool{},
	}
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

// forwardPackets reads packets, and passes memberlist its own and the prover its own. One from an address that is not
// accepted costs no more than the read.
func (t *transport) forwardPackets() {
	buffer := make([]byte, packetMax)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		// On some systems the error is the answer to an earlier packet that was sent to a closed port.
		if err != nil || n == 0 || n == len(buffer) || t.drops(from.Addr()) {
			continue
		}
		packet := bytes.Clone(buffer[:n])
		if isProofPacket(packet) {
			if err := t.config.proofs(now, packet, from, t.send); err != nil {
				t.config.log.Debug().Err(err).Stringer("from", from).Msg("proof packet dropped")
			}
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: packet, From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
		default:
		}
	}
}

// send sends one packet.
func (t *transport) send(packet []byte, to netip.AddrPort) error {
	_, err := t.udp.WriteToUDPAddrPort(packet, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	return err
}

// PacketCh delivers packets to memberlist.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// forwardStreams passes incoming streams to memberlist, at most streamsMax at once.
func (t *transport) forwardStreams() {
	for {
		conn, err := t.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptRetry)
			continue
		case t.drops(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()):
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
	err := t.close()
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
