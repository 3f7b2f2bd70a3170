package probe

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	protocolICMP   = 1  // RFC 792
	protocolICMPv6 = 58 // RFC 4443

	icmpHeaderSize = 8 // type, code, checksum, identifier, sequence number
	fragmentation4 = 4 // the code of an IPv4 error about a packet's size, which does not end a ping
)

// unreachableWords are the codes of destination unreachable: RFC 792 and RFC 1812 for IPv4, RFC 4443 for IPv6.
var (
	unreachableWords4 = map[int]string{0: "network unreachable", 1: "host unreachable", 3: "port unreachable",
		6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited"}
	unreachableWords6 = map[int]string{0: "no route", 1: "administratively prohibited", 3: "address unreachable",
		4: "port unreachable", 5: "source address refused", 6: "route rejected"}
)

// unreachable says what an ICMP error of this code means, where the packet that it quotes is exactly this request.
func (e *echoRequest) unreachable(code int, quoted []byte) (what string, ok bool) {
	words := unreachableWords6
	if e.to.Is4() {
		words = unreachableWords4
		if code == fragmentation4 {
			return "", false
		}
	}
	if !e.isQuoted(quoted) {
		return "", false
	}
	if what, ok = words[code]; !ok {
		what = "destination unreachable"
	}
	return what, true
}

// isQuoted reports whether a packet quoted by an ICMP error is this request: its target, identifier, sequence number,
// and the cookie as far as it is quoted. An IPv4 router need quote only the ICMP header (RFC 792); the checksum in
// it, which covers the cookie, stands for the cookie then. A NAT on the way may rewrite the checksum: such an error
// is ignored and the ping times out, which is as bad.
func (e *echoRequest) isQuoted(quoted []byte) bool {
	to, echo, ok := quotedEcho(quoted, e.to.Is4())
	if !ok || to != e.to.WithZone("") || len(echo) < icmpHeaderSize || echo[0] != e.message[0] || echo[1] != 0 {
		return false
	}
	if int(binary.BigEndian.Uint16(echo[4:])) != e.id || int(binary.BigEndian.Uint16(echo[6:])) != e.seq {
		return false
	}
	cookie := echo[icmpHeaderSize:]
	cookie = cookie[:min(len(cookie), cookieSize)]
	if len(cookie) < cookieQuoted {
		return e.to.Is4() && bytes.Equal(echo[2:4], e.message[2:4])
	}
	return bytes.HasPrefix(e.cookie[:], cookie)
}

// quotedEcho returns the destination and the ICMP part of a quoted packet, where it is an ICMP one.
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
