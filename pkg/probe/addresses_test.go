package probe_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// answer is the behaviour of an address: after a delay it accepts or fails with err; without either it never answers.
type answer struct {
	after time.Duration
	err   error
	say   func(net.Conn) // of one that accepts
}

var (
	refuses = answer{after: 20 * time.Millisecond, err: syscall.ECONNREFUSED}
	silent  = answer{err: context.DeadlineExceeded}
	away    = answer{err: probe.ErrNoRoute}
	capped  = answer{err: probe.ErrTooMany}
	late    = answer{after: 400 * time.Millisecond, say: func(net.Conn) {}}
	accepts = answer{after: 20 * time.Millisecond, say: func(net.Conn) {}}
	greets  = answer{after: 20 * time.Millisecond, say: func(c net.Conn) { io.WriteString(c, "220 mail\r\n") }}
	rejects = answer{after: 20 * time.Millisecond, say: func(c net.Conn) { io.WriteString(c, "554 no\r\n") }}
	hangs   = answer{after: 20 * time.Millisecond, say: func(c net.Conn) { io.Copy(io.Discard, c) }}
)

// named is a network with one name. It records the addresses that were dialled.
type named struct {
	list    map[mesh.Family][]netip.Addr
	failing map[mesh.Family]error // the resolver
	answers map[netip.Addr]answer

	mu     sync.Mutex
	dialed []netip.Addr
}

func newNamed(answers ...answer) *named {
	n := &named{list: map[mesh.Family][]netip.Addr{}, answers: map[netip.Addr]answer{}}
	at := netip.MustParseAddr("192.0.2.1")
	for _, a := range answers {
		n.list[mesh.IPv4] = append(n.list[mesh.IPv4], at)
		n.answers[at] = a
		at = at.Next()
	}
	return n
}

func (n *named) Resolve(_ context.Context, family mesh.Family, name string) ([]netip.Addr, error) {
	if err := n.failing[family]; err != nil {
		return nil, err
	}
	if len(n.list[family]) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return n.list[family], nil
}

func (n *named) Ping(ctx context.Context, ip netip.Addr) (time.Duration, error) {
	began := time.Now()
	err := n.await(ctx, ip)
	return time.Since(began), err
}

func (n *named) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	ip := netip.MustParseAddrPort(address).Addr()
	if err := n.await(ctx, ip); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	go func() { n.answers[ip].say(theirs); theirs.Close() }()
	return ours, nil
}

func (n *named) await(ctx context.Context, ip netip.Addr) error {
	n.mu.Lock()
	n.dialed = append(n.dialed, ip)
	a := n.answers[ip]
	n.mu.Unlock()
	if a.err == context.DeadlineExceeded {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-time.After(a.after):
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask probes the name over IPv4, with one second for the connect and three for the exchange.
func ask(t *testing.T, n *named, check catalog.Check, prefer string) probe.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	check.Timeout = 3 * time.Second
	target := probe.Target{Check: check, Address: "mail.example.net", Family: mesh.IPv4, Agent: "test"}
	if prefer != "" {
		target.Prefer = netip.MustParseAddr(prefer)
	}
	connects := 0
	r := probe.Once(ctx, n, target, func() { connects++ })
	if connects > 1 {
		t.Errorf("connected was called %d times", connects)
	}
	return r
}

func TestAllAddressesOfAName(t *testing.T) {
	tcp, banner := catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: 25}},
		catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: 25, Banner: "^220 "}}
	ping := catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}
	for _, test := range []struct {
		name     string
		check    catalog.Check
		answers  []answer
		outcome  mesh.Outcome
		reason   string
		by       string
		definite bool
	}{
		{"the first answers", tcp, []answer{accepts, refuses}, mesh.Reachable, "", "192.0.2.1", false},
		{"the first refuses", tcp, []answer{refuses, accepts}, mesh.Reachable, "", "192.0.2.2", false},
		{"the first is silent", tcp, []answer{silent, accepts}, mesh.Reachable, "", "192.0.2.2", false},
		{"the first is silent to a ping", ping, []answer{silent, accepts}, mesh.Reachable, "", "192.0.2.2", false},
		{"the first is far away and the others silent", tcp, []answer{late, silent, silent}, mesh.Reachable, "",
			"192.0.2.1", false},
		{"all but the last are silent, and that is far away", tcp, []answer{silent, silent, silent, silent, silent,
			silent, silent, late}, mesh.Reachable, "", "192.0.2.8", false},
		{"all refuse", tcp, []answer{refuses, refuses}, mesh.Unreachable, "connection refused", "", true},
		{"one refuses and one is silent", tcp, []answer{refuses, silent}, mesh.Unreachable,
			"connection refused or timeout", "", false},
		{"all are silent", ping, []answer{silent, silent}, mesh.Unreachable, "timeout", "", false},
		{"one has no route and one refuses", tcp, []answer{away, refuses}, mesh.Unreachable, "connection refused", "",
			true},
		{"one has no route and one answers", tcp, []answer{away, accepts}, mesh.Reachable, "", "192.0.2.2", false},
		{"none has a route", tcp, []answer{away, away}, mesh.Inconclusive, "no local route", "", false},
		{"one refuses and one could not be asked", tcp, []answer{refuses, capped}, mesh.Inconclusive,
			"not sent: over this agent's cap", "", false},
		{"the first greets otherwise", banner, []answer{rejects, greets}, mesh.Reachable, "", "192.0.2.2", false},
		{"the first hangs", banner, []answer{hangs, greets}, mesh.Reachable, "", "192.0.2.2", false},
		{"all hang", banner, []answer{hangs, hangs}, mesh.Unreachable, "hung: accepted and said nothing for 3 s", "",
			true},
		{"one refuses and one greets otherwise", banner, []answer{refuses, rejects}, mesh.Unreachable,
			`connection refused or banner "554 no" does not match`, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				got := ask(t, newNamed(test.answers...), test.check, "")
				want(t, got, test.outcome, test.reason)
				if by := got.Address; by.IsValid() != (test.by != "") || test.by != "" && by.String() != test.by {
					t.Errorf("answered by %v, wanted %q", by, test.by)
				}
				if !got.Outcome.Good() && (got.Definite != test.definite || len(got.Tried) != len(test.answers)) {
					t.Errorf("definite %v, tried %v", got.Definite, got.Tried)
				}
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("it took %v, longer than the connect and the talk may", took)
				}
				if got.Outcome.Good() && got.RTT > 500*time.Millisecond {
					t.Errorf("a round-trip time of %v counts the other addresses", got.RTT)
				}
			})
		})
	}
}

func TestTheAddressThatAnsweredLastIsTriedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNamed(silent, silent, accepts)
		want(t, ask(t, n, catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: 25}}, "192.0.2.3"),
			mesh.Reachable, "")
		if third := netip.MustParseAddr("192.0.2.3"); !slices.Equal(n.dialed, []netip.Addr{third}) {
			t.Errorf("dialed %v", n.dialed)
		}
	})
}

func TestAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNamed(slices.Repeat([]answer{refuses}, 40)...)
		want(t, ask(t, n, catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: 25}}, ""), mesh.Unreachable,
			"connection refused")
		if len(n.dialed) != probe.AddressesMax {
			t.Errorf("dialed %d addresses", len(n.dialed))
		}
	})
}

func TestNamesWithoutAnAddressInTheFamily(t *testing.T) {
	six := []netip.Addr{netip.MustParseAddr("2001:db8::1")}
	mute := &net.DNSError{Err: "i/o timeout", IsTimeout: true}
	for _, test := range []struct {
		name    string
		list    map[mesh.Family][]netip.Addr
		failing map[mesh.Family]error
		outcome mesh.Outcome
		reason  string
	}{
		{"IPv6 alone", map[mesh.Family][]netip.Addr{mesh.IPv6: six}, nil, mesh.Inconclusive,
			mesh.ReasonNoAddress(mesh.IPv4)},
		{"no such name", nil, nil, mesh.Unreachable, "name not found"},
		{"a resolver that answers with the other family", map[mesh.Family][]netip.Addr{mesh.IPv4: six,
			mesh.IPv6: six}, nil, mesh.Inconclusive, mesh.ReasonNoAddress(mesh.IPv4)},
		{"silent about IPv4", map[mesh.Family][]netip.Addr{mesh.IPv6: six}, map[mesh.Family]error{mesh.IPv4: mute},
			mesh.Inconclusive, "the resolver is silent"},
		{"silent about IPv6", nil, map[mesh.Family]error{mesh.IPv6: mute}, mesh.Inconclusive, "the resolver is silent"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &named{list: test.list, failing: test.failing}
			got := ask(t, n, catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}, "")
			if got.Outcome != test.outcome || got.Reason != test.reason {
				t.Errorf("%s: found %v %q, wanted %v %q", test.name, got.Outcome, got.Reason, test.outcome, test.reason)
			}
		})
	}
}
