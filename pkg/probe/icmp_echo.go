package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	probing "github.com/prometheus-community/pro-bing"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Ping sends one ICMP echo request and returns the round-trip time of its reply. It uses a raw socket if the machine
// permits that, which also receives the errors of routers, else pro-bing's ICMP datagram socket. If neither is
// permitted, the error is a *NotPermittedError.
func (k Kernel) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	// Before the request: afterwards a missing local route looks like the error of a router.
	if err := k.route(ctx, address); err != nil {
		return 0, err
	}
	conn, err := k.listenEcho(address)
	switch {
	case errors.Is(err, os.ErrPermission):
		return k.pingDatagram(ctx, address)
	case err != nil:
		return 0, fmt.Errorf("open an ICMP socket: %w", err)
	}
	defer conn.Close()
	request, err := newEchoRequest(address)
	if err != nil {
		return 0, err
	}
	sent := time.Now()
	if _, err := conn.WriteTo(request.message, request.destination()); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return 0, &NotPermittedError{"this machine's firewall refuses to send a ping"}
		}
		return 0, fmt.Errorf("send a ping: %w", err)
	}
	err = request.wait(ctx, conn)
	return time.Since(sent), err
}

// pingPermissionHelp is the command that lets this program ping.
func pingPermissionHelp() string {
	if runtime.GOOS != "linux" {
		return "ping needs root here: run as root"
	}
	program, err := os.Executable()
	if err != nil {
		program = "agent"
	}
	return fmt.Sprintf("ping needs ICMP sockets: "+
		"sysctl -w net.ipv4.ping_group_range=\"0 2147483647\" or setcap cap_net_raw+ep %s", program)
}

// pingDatagram pings through an ICMP datagram socket, which needs no privilege if the kernel is configured for it. The
// kernel delivers only replies with the socket's own identifier, and pro-bing accepts only those with its random
// payload. After the reply it may take up to 0.1 s to return; the round-trip time is not affected.
func (k Kernel) pingDatagram(ctx context.Context, address netip.Addr) (time.Duration, error) {
	var sent, received time.Time
	opened := false
	p := probing.New(address.String())
	p.SetIPAddr(&net.IPAddr{IP: address.AsSlice(), Zone: address.Zone()})
	p.SetPrivileged(false)
	p.SetLogger(probing.NoopLogger{})
	p.Count = 1
	if k.Source.IsValid() {
		p.Source = k.Source.String()
	}
	p.OnSetup = func() { opened = true }
	p.OnSend = func(*probing.Packet) { sent = time.Now() }
	p.OnRecv = func(*probing.Packet) { received = time.Now() }
	err := p.RunWithContext(ctx)
	switch {
	case !received.IsZero():
		return received.Sub(sent), nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, os.ErrPermission) && !opened:
		return 0, &NotPermittedError{pingPermissionHelp()}
	case errors.Is(err, os.ErrPermission):
		return 0, &NotPermittedError{"this machine's firewall refuses to send a ping"}
	case err == nil:
		err = errors.New("it ended without an answer")
	}
	return 0, fmt.Errorf("ping: %w", err)
}

// listenEcho opens a raw ICMP socket of the address's family.
func (k Kernel) listenEcho(address netip.Addr) (*icmp.PacketConn, error) {
	network, source := "ip6:ipv6-icmp", "::"
	if address.Is4() {
		network, source = "ip4:icmp", "0.0.0.0"
	}
	if k.Source.IsValid() {
		source = k.Source.String()
	}
	conn, err := icmp.ListenPacket(network, source)
	if err == nil {
		filterICMP(conn, address.Is4())
	}
	return conn, err
}

// filterICMP limits a raw socket to replies and "destination unreachable" messages, since each raw socket otherwise
// receives a copy of all ICMP traffic. Its errors are ignored: some systems have no such filter, and every message is
// checked again after it was received.
func filterICMP(conn *icmp.PacketConn, v4 bool) {
	if v4 {
		var only ipv4.ICMPFilter
		only.SetAll(true)
		only.Accept(ipv4.ICMPTypeEchoReply)
		only.Accept(ipv4.ICMPTypeDestinationUnreachable)
		_ = conn.IPv4PacketConn().SetICMPFilter(&only)
		return
	}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeEchoReply)
	only.Accept(ipv6.ICMPTypeDestinationUnreachable)
	_ = conn.IPv6PacketConn().SetICMPFilter(&only)
}

const (
	cookieSize   = 24   // bytes of an echo request's payload
	cookieQuoted = 8    // bytes of it that an ICMP error must quote: 64 bits, too many to guess
	messageMax   = 1500 // bytes read of an ICMP message: an Ethernet frame
)

// echoRequest is one echo request. Identifier, sequence number and payload are random, so that nobody who cannot see
// the request can forge a reply to it or an error about it.
type echoRequest struct {
	to      netip.Addr
	id, seq int
	cookie  [cookieSize]byte
	message []byte
}

func newEchoRequest(to netip.Addr) (*echoRequest, error) {
	var numbers [4]byte
	e := &echoRequest{to: to}
	for _, random := range [][]byte{numbers[:], e.cookie[:]} {
		if _, err := rand.Read(random); err != nil {
			return nil, fmt.Errorf("draw an echo request: %w", err)
		}
	}
	e.id, e.seq = int(numbers[0])<<8|int(numbers[1]), int(numbers[2])<<8|int(numbers[3])
	m := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: e.id, Seq: e.seq, Data: e.cookie[:]}}
	if to.Is4() {
		m.Type = ipv4.ICMPTypeEcho
	}
	var err error
	e.message, err = m.Marshal(nil) // the kernel adds the checksum of ICMPv6
	return e, err
}

// destination returns the target in the form that a raw socket requires.
func (e *echoRequest) destination() net.Addr {
	return &net.IPAddr{IP: e.to.AsSlice(), Zone: e.to.Zone()}
}

// wait reads from conn until the reply arrives and returns nil, until an ICMP error about the request arrives and
// returns an *UnreachableError, or until ctx is done. Everything else that the socket receives is ignored.
func (e *echoRequest) wait(ctx context.Context, conn *icmp.PacketConn) error {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	buffer := make([]byte, messageMax)
	for {
		n, from, err := conn.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("receive a ping's reply: %w", err)
		}
		switch m := parseICMP(buffer[:n], e.to.Is4()); body := m.Body.(type) {
		case *icmp.Echo:
			if e.isReply(m.Type, body, addrOf(from)) {
				return nil
			}
		case *icmp.DstUnreach:
			if what, ok := e.unreachable(m.Code, body.Data); ok {
				return &UnreachableError{What: what, Router: addrOf(from)}
			}
		}
	}
}

// parseICMP parses a message. One that cannot be parsed has no body, and wait ignores it.
func parseICMP(data []byte, v4 bool) icmp.Message {
	protocol := protocolICMPv6
	if v4 {
		protocol = protocolICMP
	}
	m, err := icmp.ParseMessage(protocol, data)
	if err != nil {
		return icmp.Message{}
	}
	return *m
}

// isReply reports whether a message from this address is the target's reply to exactly this request.
func (e *echoRequest) isReply(kind icmp.Type, reply *icmp.Echo, from netip.Addr) bool {
	isReply := kind == ipv4.ICMPTypeEchoReply || kind == ipv6.ICMPTypeEchoReply
	return isReply && from.WithZone("") == e.to.WithZone("") && reply.ID == e.id && reply.Seq == e.seq &&
		string(reply.Data) == string(e.cookie[:])
}

func addrOf(a net.Addr) netip.Addr {
	if ip, ok := a.(*net.IPAddr); ok {
		address, _ := netip.AddrFromSlice(ip.IP)
		return address.Unmap()
	}
	return netip.Addr{}
}
