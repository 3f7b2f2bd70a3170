package probe

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	protocolICMP   = 1  // RFC 792
	protocolICMPv6 = 58 // RFC 4443
	errorMax       = 1500
)

// hearRouters listens for routers that cannot deliver the echo requests of this id to address, and ends the ping with an
// *UnreachableError when one says so. Where a raw socket is not permitted nothing is heard. The returned function stops
// listening and waits until that is done.
func hearRouters(address netip.Addr, id int, end context.CancelCauseFunc) (stop func()) {
	conn, err := listenErrors(address)
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, errorMax)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if said, ok := parseUnreachable(buffer[:n], address, id); ok {
				end(&UnreachableError{What: said, Router: addrOf(from)})
				return
			}
		}
	}()
	return func() { conn.Close(); <-done }
}

// listenErrors opens a raw socket that hears "destination unreachable", and none of the other ICMP messages to this machine.
func listenErrors(address netip.Addr) (*icmp.PacketConn, error) {
	if address.Is4() {
		conn, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		if err != nil {
			return nil, err
		}
		var only ipv4.ICMPFilter
		only.SetAll(true)
		only.Accept(ipv4.ICMPTypeDestinationUnreachable)
		return conn, conn.IPv4PacketConn().SetICMPFilter(&only)
	}
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeDestinationUnreachable)
	return conn, conn.IPv6PacketConn().SetICMPFilter(&only)
}

// unreachableWords are the codes of destination unreachable: RFC 792 and RFC 1812 for IPv4, RFC 4443 for IPv6.
var (
	unreachableWords4 = map[int]string{0: "network unreachable", 1: "host unreachable", 3: "port unreachable",
		6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited"}
	unreachableWords6 = map[int]string{0: "no route", 1: "administratively prohibited", 3: "address unreachable",
		4: "port unreachable", 5: "source address refused", 6: "route rejected"}
)

// parseUnreachable says what a router reports, where the message is about an echo request with this id to the address.
func parseUnreachable(data []byte, address netip.Addr, id int) (said string, ok bool) {
	protocol, words := protocolICMPv6, unreachableWords6
	if address.Is4() {
		protocol, words = protocolICMP, unreachableWords4
	}
	m, err := icmp.ParseMessage(protocol, data)
	if err != nil {
		return "", false
	}
	body, isUnreachable := m.Body.(*icmp.DstUnreach)
	if !isUnreachable || !about(body.Data, address, id) {
		return "", false
	}
	if said, ok = words[m.Code]; !ok {
		said = "destination unreachable"
	}
	return said, true
}

// about reports whether the quoted packet is our echo request.
func about(quoted []byte, address netip.Addr, id int) bool {
	to, echo, ok := quotedEcho(quoted, address.Is4())
	return ok && to == address && len(echo) >= 6 && int(binary.BigEndian.Uint16(echo[4:6])) == id&0xffff
}

// quotedEcho takes the destination and the ICMP part out of a quoted packet.
func quotedEcho(quoted []byte, v4 bool) (to netip.Addr, echo []byte, ok bool) {
	if v4 {
		h, err := ipv4.ParseHeader(quoted)
		if err != nil || h.Protocol != protocolICMP || len(quoted) < h.Len {
			return to, nil, false
		}
		to, ok = netip.AddrFromSlice(h.Dst.To4())
		return to, quoted[h.Len:], ok
	}
	h, err := ipv6.ParseHeader(quoted)
	if err != nil || h.NextHeader != protocolICMPv6 {
		return to, nil, false
	}
	to, ok = netip.AddrFromSlice(h.Dst.To16())
	return to, quoted[ipv6.HeaderLen:], ok
}

func addrOf(a net.Addr) netip.Addr {
	if ip, ok := a.(*net.IPAddr); ok {
		address, _ := netip.AddrFromSlice(ip.IP)
		return address.Unmap()
	}
	return netip.Addr{}
}
