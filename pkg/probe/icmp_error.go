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
	fragmentation4 = 4 // the code of "fragmentation needed" in IPv4, which does not end a ping
)

// The codes of "destination unreachable": RFC 792 and RFC 1812 for IPv4, RFC 4443 for IPv6.
var (
	unreachableCodes4 = map[int]string{
		0: "network unreachable", 1: "host unreachable", 3: "port unreachable", 6: "network unknown",
		7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited",
	}
	unreachableCodes6 = map[int]string{
		0: "no route", 1: "administratively prohibited", 3: "address unreachable", 4: "port unreachable",
		5: "source address refused", 6: "route rejected",
	}
)

// unreachable returns the meaning of an ICMP error of this code. ok is false if the error is not about this request.
func (e *echoRequest) unreachable(code int, quoted []byte) (what string, ok bool) {
	codes := unreachableCodes6
	if e.to.Is4() {
		codes = unreachableCodes4
		if code == fragmentation4 {
			return "", false
		}
	}
	if !e.isQuoted(quoted) {
		return "", false
	}
	if what, ok = codes[code]; !ok {
		what = "destination unreachable"
	}
	return what, true
}

// isQuoted reports whether a packet quoted by an ICMP error is this request: same target, identifier and sequence
// number, and same cookie as far as it is quoted. An IPv4 router may quote the ICMP header alone (RFC 792); then the
// checksum in it, which covers the cookie, is compared instead. A NAT may rewrite that checksum: such an error is
// ignored and the ping times out, which has the same outcome.
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

// quotedEcho returns the destination and the ICMP message of a quoted packet. ok is false if it is not an ICMP packet.
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
