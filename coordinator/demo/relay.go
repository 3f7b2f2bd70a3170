package demo

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// relayed is a connection over a path: what is said on it arrives after the path's delay, later where segments are lost, and
// not while the path is cut.
type relayed struct {
	net.Conn // the near end
	far      net.Conn
	cancel   context.CancelFunc
}

// relay puts a path between the caller and a connection.
func (p path) relay(far net.Conn) net.Conn {
	near, inside := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	p.carry(ctx, inside, far, cancel)
	p.carry(ctx, far, inside, cancel)
	return &relayed{near, far, cancel}
}

// Close ends both ends at once.
func (r *relayed) Close() error {
	r.cancel()
	_ = r.far.Close()
	return r.Conn.Close()
}

func (r *relayed) LocalAddr() net.Addr  { return r.far.LocalAddr() }
func (r *relayed) RemoteAddr() net.Addr { return r.far.RemoteAddr() }

// segment is some bytes on their way.
type segment struct {
	data []byte
	due  time.Time
}

const (
	segmentMax = 16 << 10
	window     = 256 // segments on their way
)

// carry moves what src says to dst. When src ends, so does dst, after everything before has arrived.
func (p path) carry(ctx context.Context, src, dst net.Conn, cancel context.CancelFunc) {
	onTheWay := make(chan segment, window)
	p.wan.relays.Go(func() {
		defer close(onTheWay)
		for {
			data := make([]byte, segmentMax)
			n, err := src.Read(data)
			if n > 0 {
				select {
				case onTheWay <- segment{data[:n], time.Now().Add(p.delay())}:
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
		for s := range onTheWay {
			if p.arrive(ctx, s) != nil {
				return
			}
			if _, err := dst.Write(s.data); err != nil {
				return
			}
		}
		_ = sleep(ctx, p.delay())
	})
	context.AfterFunc(ctx, func() {
		_ = src.Close()
		_ = dst.Close()
	})
}

// arrive waits until the segment is there.
func (p path) arrive(ctx context.Context, s segment) error {
	if err := sleep(ctx, time.Until(s.due)); err != nil {
		return err
	}
	for {
		cut, loss := p.broken()
		switch {
		case cut:
			if err := sleep(ctx, poll); err != nil {
				return err
			}
			continue
		case rand.Float64() < loss:
			if err := sleep(ctx, retransmit); err != nil {
				return err
			}
			continue
		}
		return nil
	}
}
