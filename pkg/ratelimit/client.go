// Package ratelimit divides connections and request rates among clients, so that none starves the rest. While there is
// room nobody is refused: many people may share one address.
package ratelimit

import (
	"net"
	"net/netip"
)

// clientBits6 is how much of an IPv6 address makes a client. A customer gets a whole /64, and may use any address in
// it.
const clientBits6 = 64

// Client returns the client at an address with or without a port: an IPv4 address, or an IPv6 /64. For text that is no
// address it returns the zero Prefix, which is a client like any other.
func Client(address string) netip.Prefix {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = clientBits6
	}
	return netip.PrefixFrom(ip, bits).Masked()
}
