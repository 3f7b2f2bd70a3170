package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Kernel is the machine's own network. Its zero value is ready.
type Kernel struct {
	Source netip.Addr // the local address to probe from; the zero Addr lets the kernel choose
}

// Dial opens a TCP connection, or a UDP socket that receives from the address alone. If this machine has no route to
// the address, the error wraps ErrNoRoute.
func (k Kernel) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // no probe lasts so long, and each option is a system call
	if k.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(k.Source, 0))
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(k.Source, 0))
		}
	}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil || !isRouteError(err) {
		return conn, err
	}
	// A router's ICMP error and a missing local route are reported as the same errno. Only the latter fails again when
	// the routing table alone is asked.
	if ap, parseErr := netip.ParseAddrPort(address); parseErr == nil {
		if routeErr := k.route(ctx, ap.Addr()); errors.Is(routeErr, ErrNoRoute) {
			return nil, routeErr
		}
	}
	return nil, err
}

// isRouteError reports whether the kernel may have returned err because it has no route: which errno it uses depends
// on the family and on the kind of route that is missing.
func isRouteError(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EINVAL, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// route returns an error that wraps ErrNoRoute if the kernel's routing table has no route to the address. It connects
// a UDP socket, which looks the route up and sends nothing; port 9 is the discard service.
func (k Kernel) route(ctx context.Context, address netip.Addr) error {
	d := net.Dialer{}
	if k.Source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(k.Source, 0))
	}
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(address, 9).String())
	switch {
	case err == nil:
		return conn.Close()
	case isRouteError(err):
		return fmt.Errorf("%w: %w", ErrNoRoute, err)
	}
	return err
}

// Resolve looks a name up with the machine's resolver.
func (k Kernel) Resolve(ctx context.Context, family mesh.Family, name string) ([]netip.Addr, error) {
	network := "ip"
	switch family {
	case mesh.IPv4:
		network = "ip4"
	case mesh.IPv6:
		network = "ip6"
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
	var none *net.AddrError
	if errors.As(err, &none) { // the hosts file has the name in the other family only
		err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, err
}
