package probe

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// quotedPacket is the packet that carried the request, as a router would quote its first bytes.
func quotedPacket(e *echoRequest, size int) []byte {
	header := make([]byte, ipv4.HeaderLen)
	header[0], header[3], header[9] = 0x45, byte(ipv4.HeaderLen+len(e.message)), protocolICMP
	copy(header[16:], e.to.AsSlice())
	if e.to.Is6() {
		header = make([]byte, ipv6.HeaderLen)
		header[0], header[5], header[6] = 0x60, byte(len(e.message)), protocolICMPv6
		copy(header[24:], e.to.AsSlice())
	}
	return append(header, e.message[:size]...)
}

func request(t *testing.T, to string) *echoRequest {
	t.Helper()
	e, err := newEchoRequest(netip.MustParseAddr(to))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestErrorsAreAboutExactlyOneRequest(t *testing.T) {
	const whole = icmpHeaderSize + cookieSize
	v4, v6 := request(t, "192.0.2.1"), request(t, "2001:db8::1")
	change := func(packet []byte, at int) []byte { packet[at]++; return packet }
	for _, test := range []struct {
		name   string
		of     *echoRequest
		quoted []byte
		want   bool
	}{
		{"IPv4, quoted whole", v4, quotedPacket(v4, whole), true},
		{"IPv4, padded to 128 bytes (RFC 4884)", v4, append(quotedPacket(v4, whole), make([]byte, 76)...), true},
		{"IPv4, the header alone (RFC 792)", v4, quotedPacket(v4, icmpHeaderSize), true},
		{"IPv4, eight bytes of the cookie", v4, quotedPacket(v4, icmpHeaderSize+cookieQuoted), true},
		{"IPv6, quoted whole", v6, quotedPacket(v6, whole), true},
		{"IPv6, the header alone", v6, quotedPacket(v6, icmpHeaderSize), false},
		{"IPv4, another target", v4, change(quotedPacket(v4, whole), 19), false},
		{"IPv4, another kind of message", v4, change(quotedPacket(v4, whole), ipv4.HeaderLen), false},
		{"IPv4, another checksum in the header alone", v4, change(quotedPacket(v4, icmpHeaderSize), ipv4.HeaderLen+3),
			false},
		{"IPv4, another identifier", v4, change(quotedPacket(v4, whole), ipv4.HeaderLen+5), false},
		{"IPv4, another sequence number", v4, change(quotedPacket(v4, whole), ipv4.HeaderLen+7), false},
		{"IPv4, another cookie", v4, change(quotedPacket(v4, whole), ipv4.HeaderLen+8), false},
		{"IPv6, another sequence number", v6, change(quotedPacket(v6, whole), ipv6.HeaderLen+7), false},
		{"IPv6, another cookie", v6, change(quotedPacket(v6, whole), ipv6.HeaderLen+31), false},
		{"IPv4, cut short", v4, quotedPacket(v4, 4), false},
		{"nothing", v4, nil, false},
	} {
		if _, ok := test.of.unreachable(1, test.quoted); ok != test.want {
			t.Errorf("%s: accepted %v, wanted %v", test.name, ok, test.want)
		}
	}
	if _, ok := v4.unreachable(fragmentation4, quotedPacket(v4, whole)); ok {
		t.Error("an error about a packet's size ended a ping")
	}
}

func TestRepliesAreToExactlyOneRequest(t *testing.T) {
	e := request(t, "192.0.2.1")
	good := icmp.Echo{ID: e.id, Seq: e.seq, Data: e.cookie[:]}
	other := slices.Clone(e.cookie[:])
	other[cookieSize-1]++
	for _, test := range []struct {
		name string
		kind icmp.Type
		from string
		echo icmp.Echo
		want bool
	}{
		{"the reply", ipv4.ICMPTypeEchoReply, "192.0.2.1", good, true},
		{"the request itself", ipv4.ICMPTypeEcho, "192.0.2.1", good, false},
		{"from a stranger", ipv4.ICMPTypeEchoReply, "192.0.2.9", good, false},
		{"another identifier", ipv4.ICMPTypeEchoReply, "192.0.2.1",
			icmp.Echo{ID: e.id ^ 1, Seq: e.seq, Data: e.cookie[:]}, false},
		{"another sequence number", ipv4.ICMPTypeEchoReply, "192.0.2.1",
			icmp.Echo{ID: e.id, Seq: e.seq ^ 1, Data: e.cookie[:]}, false},
		{"another cookie", ipv4.ICMPTypeEchoReply, "192.0.2.1", icmp.Echo{ID: e.id, Seq: e.seq, Data: other}, false},
		{"a short cookie", ipv4.ICMPTypeEchoReply, "192.0.2.1", icmp.Echo{ID: e.id, Seq: e.seq, Data: other[:8]},
			false},
	} {
		if got := e.isReply(test.kind, &test.echo, netip.MustParseAddr(test.from)); got != test.want {
			t.Errorf("%s: accepted %v, wanted %v", test.name, got, test.want)
		}
	}
}
