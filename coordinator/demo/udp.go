package demo

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// datagramConn is a UDP socket over a path: each datagram arrives after the path's delay, or not at all.
type datagramConn struct {
	net.Conn // the real socket, at the path's end
	path     path
}

// dialDatagrams opens a socket whose datagrams cross the path.
func (p path) dialDatagrams(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return datagramConn{conn, p}, nil
}

// isLost reports whether a datagram that leaves now is lost.
func (p path) isLost() bool {
	cut, loss := p.condition()
	return cut || rand.Float64() < loss
}

// Write sends a datagram. It does not wait for its arrival.
func (c datagramConn) Write(b []byte) (int, error) {
	if !c.path.isLost() {
		data := append([]byte(nil), b...)
		time.AfterFunc(c.path.delay(), func() { _, _ = c.Conn.Write(data) }) // fails if the socket is closed by then
	}
	return len(b), nil
}

// Read returns the next datagram that is not lost on the way back.
func (c datagramConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err == nil && c.path.isLost() {
			continue
		}
		time.Sleep(c.path.delay()) // of an ICMP error too; a path has at most 150 ms
		return n, err
	}
}
