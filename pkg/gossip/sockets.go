package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// packetMax is the size of the largest packet that is read. memberlist sends at most 1,400 bytes, a proof has 192.
	packetMax = 8 << 10
	// receiveBuffer is asked of the kernel for packets that were not read yet. It grants what its own limit allows.
	receiveBuffer = 2 << 20
	acceptRetry   = 100 * time.Millisecond // after an error such as too many open files
)

// sockets are the UDP and the TCP socket of one port. memberlist's own transport allocates 64 KB for each packet before
// anything looks at its source, so that a few thousand packets a second from any address keep the garbage collector
// busy while the kernel drops the packets of the others.
type sockets struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

// openSockets listens on the port; port 0 is any that is free.
func openSockets(bind string, port int) (sockets, error) {
	ip := net.ParseIP(bind)
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
	if err != nil {
		return sockets{}, fmt.Errorf("failed to start TCP listener: %w", err)
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: tcp.Addr().(*net.TCPAddr).Port})
	if err != nil {
		_ = tcp.Close()
		return sockets{}, fmt.Errorf("failed to start UDP listener: %w", err)
	}
	_ = udp.SetReadBuffer(receiveBuffer) // if that fails, the kernel's own size applies
	return sockets{udp, tcp}, nil
}

func (s sockets) port() int { return s.tcp.Addr().(*net.TCPAddr).Port }

func (s sockets) close() error { return errors.Join(s.tcp.Close(), s.udp.Close()) }

// FinalAdvertiseAddr returns the address that the configuration sets; it is never empty.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	at, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("advertise %q: %w", ip, err)
	}
	return at.Unmap().AsSlice(), port, nil
}

// WriteTo and WriteToAddress send one packet. The address has an IP, as all that this package contacts.
func (t *transport) WriteTo(packet []byte, to string) (time.Time, error) {
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return time.Time{}, err
	}
	return time.Now(), t.send(packet, at)
}

func (t *transport) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	return t.WriteTo(packet, to.Addr)
}
