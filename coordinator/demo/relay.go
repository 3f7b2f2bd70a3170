package demo

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// relayedConn is a TCP connection over a path: its data arrives after the path's delay, later if segments are lost, and
// not at all while the path is cut.
type relayedConn struct {
	net.Conn // the caller's end
	far      net.Conn
	cancel   context.CancelFunc
}

// relay puts the path between the caller and an open connection.
func (p path) relay(far net.Conn) net.Conn {
	near, inside := net.Pipe()
	ctx, cancel := context.WithCancel(p.wan.open)
	p.forward(ctx, inside, far, cancel)
	p.forward(ctx, far, inside, cancel)
	return &relayedConn{near, far, cancel}
}

// Close closes both ends at once.
func (r *relayedConn) Close() error {
	r.cancel()
	_ = r.far.Close()
	return r.Conn.Close()
}

// LocalAddr is that of the real connection: a pipe has none.
func (r *relayedConn) LocalAddr() net.Addr { return r.far.LocalAddr() }

// RemoteAddr is that of the real connection.
func (r *relayedConn) RemoteAddr() net.Addr { return r.far.RemoteAddr() }

// segment is data in flight.
type segment struct {
	data []byte
	due  time.Time // when it arrives, unless it is lost
}

const (
	segmentMax = 16 << 10 // bytes
	window     = 256      // segments in flight: 4 MiB, so that no real connection is slowed down
)

// forward copies data from src to dst over the path. When src ends, dst is closed after all data before that has
// arrived.
//
// Two goroutines are needed: one that only read after it had written would add the delays of all segments up. The
// network's relays wait for both.
func (p path) forward(ctx context.Context, src, dst net.Conn, cancel context.CancelFunc) {
	inFlight := make(chan segment, window)
	p.wan.relays.Go(func() {
		defer close(inFlight)
		for {
			data := make([]byte, segmentMax)
			n, err := src.Read(data)
			if n > 0 {
				select {
				case inFlight <- segment{data[:n], time.Now().Add(p.delay())}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	p.wan.relays.Go(func() {
		defer cancel()
		defer dst.Close()
		for s := range inFlight {
			if p.awaitArrival(ctx, s) != nil {
				return
			}
			if _, err := dst.Write(s.data); err != nil {
				return
			}
		}
		_ = sleep(ctx, p.delay()) // the end of the stream crosses the path too
	})
	context.AfterFunc(ctx, func() { // unblocks Read and Write
		_ = src.Close()
		_ = dst.Close()
	})
}

// awaitArrival waits until the segment arrives: after its delay, one retransmission for each time it is lost, and not
// before a cut path is mended.
func (p path) awaitArrival(ctx context.Context, s segment) error {
	if err := sleep(ctx, time.Until(s.due)); err != nil {
		return err
	}
	for {
		cut, loss := p.condition()
		switch {
		case cut:
			if err := sleep(ctx, cutPoll); err != nil {
				return err
			}
		case rand.Float64() < loss:
			if err := sleep(ctx, retransmit); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
