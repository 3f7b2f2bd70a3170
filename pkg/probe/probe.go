// Package probe executes checks: one file a kind, over a Network that is the kernel's or the demo's. Call Once for one attempt
// of one check, and Sentence to say in words what it found. A failed probe is a finding with a reason, never an error.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Network is what probes look through. Its errors are classified by what they wrap: a syscall.Errno, a *net.DNSError, an
// *UnreachableError, ErrNoRoute, a *NotPermittedError, or the context's own error.
type Network interface {
	// Dial connects to a numbered address and port; network is tcp4 or tcp6.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve finds the addresses of a name in one family, or in both for AnyFamily, best first.
	Resolve(ctx context.Context, family mesh.Family, name string) ([]netip.Addr, error)
	// Ping sends one ICMP echo request and returns the round-trip time of its reply.
	Ping(ctx context.Context, address netip.Addr) (time.Duration, error)
}

// Target is one check of one host through one address family.
type Target struct {
	Check    catalog.Check
	Address  string // a number, or a name to resolve in Family
	Family   mesh.Family
	Prefer   netip.Addr         // of a name's addresses the one to try first: what answered last. It may be zero
	Resolved func([]netip.Addr) // called with the addresses of the target before they are tried; may be nil
	Agent    string             // the probing agent; HTTP servers see it in User-Agent, with the rest
	Version  string             // of the program
	Page     string             // URL where people read what this is about; may be empty
	Memory   *Memory            // shared by all probes of the program; nil bounds nothing
}

// Result is what one attempt found.
type Result struct {
	Outcome  mesh.Outcome  // Reachable, Unreachable or Inconclusive; whether an answer was slow is the edge's to say
	Reason   string        // in words, when Outcome is not Reachable
	RTT      time.Duration // to the echo's reply, the connect, the banner's first byte or the response's headers; zero without an answer
	Connect  time.Duration // of the TCP handshake alone; zero for a ping, or when it failed
	Definite bool          // an answer, not a loss: one re-check settles it, retries would not
	Address  netip.Addr    // that answered as asked; zero when none did
	Tried    []Tried       // the addresses that did not, when none did
}

// Once makes one attempt: it tries all addresses of a name within the family, and one that answers as asked is
// enough. ctx bounds the resolving and the ping or connect: when it ends there is a result, "timeout" if it lapsed.
// What is said after the first connect has the check's own Timeout from then on, however soon ctx lapses; cancelling
// ctx ends that too. connected is called once, as soon as a ping was answered or a connection stands.
func Once(ctx context.Context, network Network, target Target, connected func()) Result {
	a := attempt{network: network, target: target, connected: connected, stands: make(chan struct{})}
	defer a.end()
	result := a.once(ctx)
	result.Reason = clean(result.Reason)
	return result
}

// once makes the attempt by the kind of the check.
func (a *attempt) once(ctx context.Context) Result {
	switch o := a.target.Check.Options.(type) {
	case catalog.Ping:
		return a.anyAddress(ctx, a.ping)
	case catalog.TCP:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result { return a.tcp(ctx, ip, o) })
	case catalog.HTTP:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result { return a.http(ctx, ip, o) })
	}
	return inconclusive(fmt.Sprintf("agent too old: it does not know the kind %q", a.target.Check.Kind))
}

// Sentence says in words what a probe found, for a person who asked for one.
func Sentence(target Target, result Result) string {
	what := target.Check.Kind + " " + target.where()
	isName := !isNumber(target.Address)
	if isName && target.Family != mesh.AnyFamily {
		what += " over " + target.Family.Title()
	}
	if !result.Outcome.Good() {
		said := fmt.Sprintf("%s: %s: %s", what, result.Outcome, result.Reason)
		switch {
		case !isName || len(result.Tried) == 0:
			return said
		case len(result.Tried) == 1:
			return said + ", by " + result.Tried[0].Address.String()
		}
		return said + " (" + result.Where() + ")"
	}
	answered := fmt.Sprintf("%s: %s: answered in %s", what, result.Outcome, milliseconds(result.RTT))
	if result.Connect > 0 && result.Connect < result.RTT {
		answered += ", connected in " + milliseconds(result.Connect)
	}
	if isName {
		answered += ", by " + result.Where()
	}
	return answered
}

func isNumber(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}

func (t Target) where() string {
	switch o := t.Check.Options.(type) {
	case catalog.HTTP:
		return o.URL
	case catalog.TCP:
		return net.JoinHostPort(t.Address, strconv.Itoa(o.Port))
	}
	return t.Address
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

// attempt is one execution of a check.
type attempt struct {
	network   Network
	target    Target
	connected func() // called once

	first   sync.Once
	stands  chan struct{}      // closed when the first connection stands, or the first ping was answered
	talk    context.Context    // of what is said after that; set before stands is closed
	endTalk context.CancelFunc // likewise
}

// connection is a TCP connection that stands, and how long it took from the first SYN.
type connection struct {
	net.Conn
	began   time.Time
	connect time.Duration
}

// dial connects to a port of the address. The caller closes the connection.
func (a *attempt) dial(ctx context.Context, ip netip.Addr, port int) (*connection, error) {
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	began := time.Now()
	conn, err := a.network.Dial(ctx, network, netip.AddrPortFrom(ip, uint16(port)).String())
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, began: began, connect: time.Since(began)}
	a.stand(ctx)
	return c, nil
}

// stand notes that a ping was answered or a connection stands. From the first one on runs the time to talk, which the
// further addresses share.
func (a *attempt) stand(ctx context.Context) {
	a.first.Do(func() {
		a.talk, a.endTalk = a.startTalk(ctx)
		close(a.stands)
		a.connected()
	})
}

// startTalk starts the time to speak after the connect: the check's own timeout, which ends early only when ctx is
// cancelled, not when it lapses.
func (a *attempt) startTalk(ctx context.Context) (context.Context, context.CancelFunc) {
	talk, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.target.Check.Timeout)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return talk, func() { stop(); cancel() }
}

// talks reports whether a connection stood, and talk is valid.
func (a *attempt) talks() bool {
	select {
	case <-a.stands:
		return true
	default:
		return false
	}
}

// end cancels the exchanges that are still in progress.
func (a *attempt) end() {
	if a.talks() {
		a.endTalk()
	}
}
