package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// names resolves the servers' names. Where there are none it examines whether the resolver answers: without one,
// checks of hosts with names are inconclusive.
func (e *examiner) names(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	var named, missing []string
	for _, server := range e.config.Servers {
		host, _, err := bus.HostPort(server)
		if err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			e.find(host, ip)
			continue
		}
		named = append(named, host)
		found, err := e.config.Resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %s", host, dnsReason(err)))
		}
		e.find(host, found...)
	}
	switch {
	case len(missing) > 0 && len(e.addresses) == 0:
		return fault(Resolution, "the coordinator is not found: "+strings.Join(missing, "; "),
			"correct the name in DNS, or the resolver in /etc/resolv.conf here; or advertise an IP address with "+
				"`coordinator serve --advertise ADDRESS` and invite again")
	case len(missing) > 0:
		return note(Resolution, "not every coordinator is found: "+strings.Join(missing, "; "),
			"correct the name in DNS")
	case len(named) > 0:
		return ok(Resolution, fmt.Sprintf("%s is %s", strings.Join(named, ", "), list(e.addresses)))
	case e.config.Joining:
		return Finding{}
	}
	return e.resolver(ctx)
}

func (e *examiner) find(host string, addresses ...netip.Addr) {
	for _, ip := range addresses {
		e.addresses = append(e.addresses, ip.Unmap())
		e.found[host] = append(e.found[host], ip.Unmap())
	}
}

// resolver looks up the name servers of the root, which every resolver can answer; "no such name" is an answer too.
func (e *examiner) resolver(ctx context.Context) Finding {
	_, err := e.config.Resolver.LookupNS(ctx, ".")
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) && dns.IsNotFound {
		return ok(Resolution, "the resolver answers")
	}
	return note(Resolution, "the resolver fails: "+dnsReason(err)+"; checks of names will be inconclusive from here",
		"check that this machine reaches the resolver in /etc/resolv.conf on port 53")
}

func dnsReason(err error) string {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return err.Error()
	case dns.IsNotFound:
		return "there is no such name"
	case dns.IsTimeout:
		return "no answer within " + resolveWait.String()
	}
	return dns.Err
}

func (e *examiner) ipv4(ctx context.Context) Finding { return e.route(ctx, mesh.IPv4) }
func (e *examiner) ipv6(ctx context.Context) Finding { return e.route(ctx, mesh.IPv6) }

// route looks up the kernel's routes to the servers' addresses of one family, and its default route. Connecting a UDP
// socket sends nothing.
func (e *examiner) route(ctx context.Context, family mesh.Family) Finding {
	f := families[family]
	elsewhere := routed(ctx, f.network, f.elsewhere)
	var without []netip.Addr
	with := 0
	for _, ip := range e.addresses {
		if ip.Is4() != (family == mesh.IPv4) {
			with++ // an address of the other family, which may do
			continue
		}
		if err := routed(ctx, f.network, ip.String()); err != nil {
			without = append(without, ip)
			continue
		}
		with++
	}
	switch {
	case len(without) > 0 && with == 0:
		return fault(f.subject, "no route to the coordinator at "+list(without),
			"give this machine a default route; list routes with: "+f.show)
	case len(without) > 0:
		return note(f.subject, "no route to the coordinator at "+list(without)+"; the agent uses its other addresses",
			"list routes with: "+f.show)
	case elsewhere != nil:
		return note(f.subject, "no default route; checks over "+f.subject+" will be inconclusive from here",
			"list routes with: "+f.show)
	}
	return ok(f.subject, "there is a route")
}

func routed(ctx context.Context, network, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, "9"))
	if err != nil {
		return err
	}
	return conn.Close()
}

// port connects to the servers. One that accepts is enough.
func (e *examiner) port(ctx context.Context) Finding {
	if len(e.config.Servers) == 0 {
		return e.skipped(Port, "there is no coordinator to try: join, or name a token")
	}
	var shut []string
	for _, server := range e.config.Servers {
		address, err := e.connect(ctx, server)
		if err != nil {
			shut = append(shut, strings.TrimPrefix(server, "tls://")+" "+dialReason(err))
			continue
		}
		e.open = append(e.open, "tls://"+address)
	}
	const remedy = "permit TCP to that port in the firewalls on both sides, and check that `coordinator serve` runs " +
		"and listens there (--nats-listen)"
	switch {
	case len(e.open) == 0:
		return fault(Port, strings.Join(shut, "; "), remedy)
	case len(shut) > 0:
		return note(Port, "one coordinator is enough, but "+strings.Join(shut, "; "), remedy)
	}
	return ok(Port, "connected to "+strings.ReplaceAll(strings.Join(e.open, ", "), "tls://", ""))
}

// connect tries the addresses of a server in turn, and returns the one that accepted the connection.
func (e *examiner) connect(ctx context.Context, server string) (address string, err error) {
	host, port, err := bus.HostPort(server)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	err = errNoAddress
	for _, ip := range e.found[host] {
		var conn net.Conn
		address = net.JoinHostPort(ip.String(), port)
		if conn, err = e.network.Dial(ctx, "tcp", address); err == nil {
			return address, conn.Close()
		}
	}
	return "", err
}

var errNoAddress = errors.New("its name is not found")

func dialReason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses the connection: nothing listens there, or a firewall rejects it"
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer within " + dialWait.String() + ": a firewall drops it, or the address is wrong"
	case errors.Is(err, probe.ErrNoRoute):
		return "has no route from here"
	}
	return "cannot be reached: " + err.Error()
}

// ping sends one ping to this machine itself, which needs the same permission as any other.
func (e *examiner) ping(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	var err error
	for _, address := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if _, err = e.network.Ping(ctx, address); err == nil {
			return ok(Ping, "this program may ping")
		}
		var not *probe.NotPermittedError
		if errors.As(err, &not) {
			what, remedy, _ := strings.Cut(not.What, ": ")
			return fault(Ping, "not permitted: "+what, remedy)
		}
	}
	return note(Ping, "this machine does not answer its own ping: "+err.Error(),
		"check whether its firewall drops ICMP on the loopback interface")
}

// gossip tries to listen on the gossip port. A mesh works without gossip.
func (e *examiner) gossip(ctx context.Context) Finding {
	if e.config.Gossip == "" {
		return Finding{}
	}
	err := listen(ctx, e.config.Gossip)
	switch {
	case err == nil:
		return ok(Gossip, e.config.Gossip+" is free")
	case e.config.Running && errors.Is(err, syscall.EADDRINUSE):
		return ok(Gossip, e.config.Gossip+" is in use by the agent that runs here")
	}
	return note(Gossip, fmt.Sprintf("%s: %s; the agent works without gossip", e.config.Gossip, err),
		"list listening programs with: ss -lntup; or choose another port with --gossip-listen")
}

func listen(ctx context.Context, address string) error {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer l.Close()
	p, err := c.ListenPacket(ctx, "udp", address)
	if err != nil {
		return errors.Unwrap(err)
	}
	return p.Close()
}

func list(addresses []netip.Addr) string {
	words := make([]string, len(addresses))
	for i, a := range addresses {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
