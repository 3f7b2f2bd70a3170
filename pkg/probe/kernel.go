package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Kernel is the machine's own network. Its zero value is ready.
type Kernel struct {
	Source netip.Addr // the local address to look from; the zero Addr lets the kernel choose
}

// Dial connects by the kernel's TCP. An error for want of a local route wraps ErrNoRoute.
func (k Kernel) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // no probe lasts so long, and each option is a system call
	if k.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(k.Source, 0))
	}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil || !routeless(err) {
		return conn, err
	}
	// A router's answer and the want of a route of our own come as the same error: only the latter is also in our table.
	if ap, parseErr := netip.ParseAddrPort(address); parseErr == nil {
		if routeErr := k.route(ctx, ap.Addr()); errors.Is(routeErr, ErrNoRoute) {
			return nil, routeErr
		}
	}
	return nil, err
}

func routeless(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EINVAL, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// route asks the kernel's routing table for the way to an address. Connecting a UDP socket does that and sends nothing.
func (k Kernel) route(ctx context.Context, address netip.Addr) error {
	d := net.Dialer{}
	if k.Source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(k.Source, 0))
	}
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(address, 9).String())
	switch {
	case err == nil:
		return conn.Close()
	case routeless(err):
		return fmt.Errorf("%w: %w", ErrNoRoute, err)
	}
	return err
}

// Resolve asks the machine's resolver.
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
	if errors.As(err, &none) { // the hosts file has the name in the other family alone
		err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, err
}
