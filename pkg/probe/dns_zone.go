package probe

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// othersWait is how long the servers that are not the check's own may take. Their silence is their own checks'
	// business, and the host's answer must not seem to be late for it.
	othersWait = 900 * time.Millisecond
	// othersRepeat is when a query to them is repeated: the edge's retries are for the host.
	othersRepeat = 350 * time.Millisecond
)

// zone asks several servers about one zone.
type zone struct {
	dnsClient
	overTCP, signed bool
}

// reply is what one of the servers answered.
type reply struct {
	server string // as the catalog names it
	dnsAnswer
}

// askServer asks one server without recursion.
func (z zone) askServer(ctx context.Context, server netip.AddrPort, name string, kind uint16) dnsAnswer {
	return z.ask(ctx, server, dnsQuery{name: name, kind: kind, signed: z.signed, overTCP: z.overTCP})
}

// askAll asks the host's server and the others at the same time. Only those of the others that answered are returned.
func (z zone) askAll(ctx context.Context, server netip.AddrPort, others []string, name string, kind uint16) (
	own dnsAnswer, answered []reply,
) {
	// The others have attempts of their own: none of them shows that the host is alive.
	bounded, cancel := context.WithTimeout(ctx, othersWait)
	defer cancel()
	replies := make([]reply, len(others))
	var wait sync.WaitGroup
	for i, other := range others {
		wait.Go(func() { replies[i] = reply{other, z.askOther(bounded, other, server, name, kind)} })
	}
	own = z.askServer(ctx, server, name, kind)
	if own.Msg == nil {
		cancel()
	}
	wait.Wait()
	return own, slices.DeleteFunc(replies, func(r reply) bool { return r.Msg == nil })
}

// askOther asks a server that the check names, twice if it is silent. The host itself is not asked again.
func (z zone) askOther(ctx context.Context, other string, own netip.AddrPort, name string, kind uint16) dnsAnswer {
	server, err := z.find(ctx, other)
	if err != nil || server == own {
		return dnsAnswer{}
	}
	target := z.target
	target.Check.Timeout = othersWait
	for range 2 {
		part := zone{dnsClient{&attempt{
			network: z.network, target: target, connected: func() {}, established: make(chan struct{}),
		}}, z.overTCP, z.signed}
		repeat, cancel := context.WithTimeout(ctx, othersRepeat)
		answer := part.askServer(repeat, server, name, kind)
		cancel()
		part.cancel()
		if answer.Msg != nil {
			return answer
		}
	}
	return dnsAnswer{}
}

// find returns the address of a server, in the probe's own family where it has one.
func (z zone) find(ctx context.Context, text string) (netip.AddrPort, error) {
	host, port, err := address.ParseHostPort(text, catalog.DNSPort)
	if err != nil || host.IP.IsValid() {
		return netip.AddrPortFrom(host.IP.Unmap(), uint16(port)), err
	}
	addresses, err := z.network.Resolve(ctx, z.target.Family, host.Name)
	if isNotFound(err) && z.target.Family != mesh.AnyFamily {
		addresses, err = z.network.Resolve(ctx, mesh.AnyFamily, host.Name)
	}
	if err != nil || len(addresses) == 0 {
		return netip.AddrPort{}, cmp.Or(err, error(ErrNoRoute))
	}
	return netip.AddrPortFrom(addresses[0].Unmap(), uint16(port)), nil
}

// inStep compares the serials of the zone on all its servers.
func (z zone) inStep(ctx context.Context, server netip.AddrPort, o catalog.DNS) Result {
	own, others := z.askAll(ctx, server, o.Servers, o.SOA, dns.TypeSOA)
	if own.Msg == nil {
		return own.failure
	}
	found := Result{Outcome: mesh.Reachable, RTT: own.rtt, Connect: own.connect}
	serial, reason := serialOf(own.Msg, o.SOA)
	if reason != "" {
		return found.fail("answered " + reason)
	}
	if len(others) == 0 {
		found.Outcome, found.Reason = mesh.Inconclusive, "no other server of the zone answered: nothing to compare with"
		return found
	}
	serials, lacking := []serverSerial{{server.Addr().String(), serial}}, ""
	for _, r := range others {
		serial, reason := serialOf(r.Msg, o.SOA)
		if reason != "" {
			lacking = r.server + " answered " + reason
			continue
		}
		serials = append(serials, serverSerial{r.server, serial})
	}
	key := o.SOA + " " + z.target.Check.ID + " " + z.target.Address + " " + server.String()
	if behind := z.target.Serials.compare(key, serials, lacking, o.ToleranceOf(), time.Now()); behind != "" {
		return found.fail("zone not in step: " + behind)
	}
	found.Expiry = signatureEnd(own.Answer, o.SignatureDays, time.Now())
	return found
}

// serialOf returns the zone's serial in an answer, or why there is none.
func serialOf(m *dns.Msg, zone string) (serial uint32, reason string) {
	if m.Rcode != dns.RcodeSuccess {
		return 0, rcodeName(m.Rcode)
	}
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok && strings.EqualFold(soa.Hdr.Name, dns.Fqdn(zone)) && m.Authoritative {
			return soa.Serial, ""
		}
	}
	return 0, "without authority for the zone"
}

// delegation compares the zone's name servers as the host and the zone above name them.
func (z zone) delegation(ctx context.Context, server netip.AddrPort, o catalog.DNS) Result {
	own, parents := z.askAll(ctx, server, o.Parent, o.Delegation, dns.TypeNS)
	if own.Msg == nil {
		return own.failure
	}
	found := Result{Outcome: mesh.Reachable, RTT: own.rtt, Connect: own.connect}
	ours := nameServers(own.Answer, o.Delegation)
	switch {
	case own.Rcode != dns.RcodeSuccess:
		return found.fail("answered " + rcodeName(own.Rcode))
	case !own.Authoritative || len(ours) == 0:
		return found.fail("answered without authority for the zone")
	}
	for _, p := range parents {
		theirs := nameServers(slices.Concat(p.Answer, p.Ns), o.Delegation)
		switch {
		case p.Rcode == dns.RcodeNameError || p.Rcode == dns.RcodeSuccess && len(theirs) == 0:
			return found.fail(fmt.Sprintf("answered for a zone that %s does not delegate", bounded(p.server)))
		case p.Rcode != dns.RcodeSuccess:
			continue // that server has a fault of its own
		case !slices.Equal(ours, theirs):
			return found.fail(fmt.Sprintf("answered the name servers %s, and the zone above has %s",
				listed(ours), listed(theirs)))
		}
		return z.glue(server, p.Extra, ours, o, found)
	}
	found.Outcome, found.Reason = mesh.Inconclusive, "no server of the zone above answered: nothing to compare with"
	return found
}

// glueMax bounds the addresses that are compared: as many names as a zone of 512 bytes has.
const glueMax = 13

// glue compares the addresses that the zone above gives for name servers inside the zone with the zone's own.
func (z zone) glue(server netip.AddrPort, extra []dns.RR, names []string, o catalog.DNS, found Result) Result {
	for _, name := range names[:min(len(names), glueMax)] {
		if !dns.IsSubDomain(dns.Fqdn(o.Delegation), dns.Fqdn(name)) {
			continue
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			above := namedValues(extra, name, kind)
			if len(above) == 0 {
				continue
			}
			answer := z.askServer(z.exchangeCtx, server, name, kind)
			if answer.Msg == nil {
				continue // the host answered before: one lost datagram is no fault
			}
			if own := namedValues(answer.Answer, name, kind); !slices.Equal(own, above) {
				return found.fail(fmt.Sprintf("answered %s for %s, and the zone above has %s", listed(own), quote(name),
					listed(above)))
			}
		}
	}
	return found
}

// nameServers returns the name servers of the zone among the records, sorted.
func nameServers(records []dns.RR, zone string) []string {
	return namedValues(records, zone, dns.TypeNS)
}

// namedValues returns the values of a name's records of one type, sorted and each once.
func namedValues(records []dns.RR, name string, kind uint16) []string {
	of := slices.DeleteFunc(slices.Clone(records), func(rr dns.RR) bool {
		return !strings.EqualFold(rr.Header().Name, dns.Fqdn(name))
	})
	out := valuesOf(of, kind)
	slices.Sort(out)
	return slices.Compact(out)
}
