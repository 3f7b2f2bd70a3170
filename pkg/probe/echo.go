package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	probing "github.com/prometheus-community/pro-bing"
)

// Ping sends one echo request: through a raw socket where the machine permits that, which also hears what routers say, else
// through an ICMP datagram socket, else the error is a *NotPermittedError. After the reply it may take up to 0.1 s to return,
// since pro-bing looks for its end between reads; the round-trip time is not touched by that.
func (k Kernel) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	// Asked first, because pro-bing tries without end to send where the routing table prohibits it.
	if err := k.route(ctx, address); err != nil {
		return 0, err
	}
	rtt, err := k.echo(ctx, address, true)
	if errors.Is(err, errNoSocket) && errors.Is(err, os.ErrPermission) {
		rtt, err = k.echo(ctx, address, false)
	}
	switch {
	case !errors.Is(err, os.ErrPermission):
		return rtt, err
	case errors.Is(err, errNoSocket):
		return 0, &NotPermittedError{permitPing()}
	}
	return 0, &NotPermittedError{"this machine's firewall refuses to send a ping"}
}

// errNoSocket marks a ping that failed before it had a socket.
var errNoSocket = errors.New("no ICMP socket")

// permitPing is the command that lets this program ping.
func permitPing() string {
	if runtime.GOOS != "linux" {
		return "ping needs root here: run as root"
	}
	program, err := os.Executable()
	if err != nil {
		program = "agent"
	}
	return fmt.Sprintf("ping needs ICMP sockets: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\" or setcap cap_net_raw+ep %s",
		program)
}

// echo sends one echo request and waits for its reply, for a router's word, or for ctx.
func (k Kernel) echo(ctx context.Context, address netip.Addr, privileged bool) (time.Duration, error) {
	var sent, received time.Time
	var opened bool
	p := k.pinger(address, privileged)
	p.OnSetup = func() { opened = true }
	p.OnSend = func(*probing.Packet) { sent = time.Now() }
	p.OnRecv = func(*probing.Packet) { received = time.Now() }

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if privileged {
		defer hearRouters(address, p.ID(), cancel)()
	}
	err := p.RunWithContext(ctx)
	switch {
	case !received.IsZero():
		return received.Sub(sent), nil
	case err != nil && !opened:
		return 0, fmt.Errorf("%w: %w", errNoSocket, err)
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err == nil:
		err = errors.New("the ping ended without an answer")
	}
	return 0, err
}

func (k Kernel) pinger(address netip.Addr, privileged bool) *probing.Pinger {
	p := probing.New(address.String())
	p.SetIPAddr(&net.IPAddr{IP: address.AsSlice(), Zone: address.Zone()})
	p.SetPrivileged(privileged)
	p.SetLogger(probing.NoopLogger{})
	p.Count = 1
	if k.Source.IsValid() {
		p.Source = k.Source.String()
	}
	return p
}
