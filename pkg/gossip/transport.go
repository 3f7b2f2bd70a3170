package gossip

import (
	"context"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Bounds of what a stranger may cost, before it shows a key: memberlist itself would read 20 MB from each of any number of
// connections.
const (
	streamsMax  = 16               // incoming, at once: a member exchanges its state about once a minute
	streamMax   = 10 * time.Second // for one of them to be done
	streamBytes = 64 << 10         // of one stream, and ...
	memberBytes = 1 << 10          // ... for each host of the catalog
	dialMax     = 3 * time.Second
)

// transport is memberlist's own over UDP and TCP, with bounds on what comes in and an end to everything when it is shut down.
type transport struct {
	*memberlist.NetTransport
	logger    *log.Logger
	ctx       context.Context
	cancel    context.CancelFunc
	bytes     int64 // of one stream
	open      atomic.Int32
	streams   chan net.Conn
	forwarder sync.WaitGroup

	mu    sync.Mutex
	conns map[*stream]bool
}

func openTransport(ctx context.Context, bind string, port, hosts int, logger *log.Logger) (*transport, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{bind}, BindPort: port, Logger: logger})
	if err != nil {
		return nil, err
	}
	t := &transport{
		NetTransport: inner, logger: logger, bytes: streamBytes + memberBytes*int64(hosts), streams: make(chan net.Conn), conns: map[*stream]bool{},
	}
	// Leaving takes the network, so that it ends by Shutdown and not with the context.
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.forwarder.Go(t.forward)
	return t, nil
}

// forward lets in as many streams as are allowed.
func (t *transport) forward() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case conn := <-t.NetTransport.StreamCh():
			if t.open.Add(1) > streamsMax {
				t.open.Add(-1)
				_ = conn.Close()
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(streamMax))
			s := t.keep(conn, func() { t.open.Add(-1) })
			select {
			case t.streams <- s:
			case <-t.ctx.Done():
				_ = s.Close()
			}
		}
	}
}

// StreamCh are the connections that come in.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout and DialAddressTimeout connect to a member.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, min(timeout, dialMax))
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return t.keep(conn, func() {}), nil
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown ends the listeners and every connection.
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
	err := t.NetTransport.Shutdown()
	t.forwarder.Wait()
	return err
}

// keep bounds a connection and remembers it until it is closed.
func (t *transport) keep(conn net.Conn, closed func()) *stream {
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

// stream is a connection from which only so many bytes are read.
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
