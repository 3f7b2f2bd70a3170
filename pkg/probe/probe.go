// Package probe executes checks over a Network, which is the kernel's or the demo's simulated one. Each kind of check
// has a file of its own, such as ping.go, http.go and dns.go. Call Once for one attempt of one check, and Describe for
// its result as a sentence. A failed probe is a Result with a reason, never an error.
package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/secret"
)

// Network sends probes. Its errors are classified by what they wrap: a syscall.Errno, a *net.DNSError, an
// *UnreachableError, ErrNoRoute, a *NotPermittedError, or the context's own error. Its methods are called concurrently.
type Network interface {
	// Dial connects to an IP address and port; network is tcp4, tcp6, udp4 or udp6.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve returns the addresses of a name in one family, or in both for AnyFamily, in the order to try them.
	Resolve(ctx context.Context, family mesh.Family, name string) ([]netip.Addr, error)
	// Ping sends one ICMP echo request and returns the round-trip time of its reply.
	Ping(ctx context.Context, address netip.Addr) (time.Duration, error)
}

// Target is one check of one host through one address family.
type Target struct {
	Check    catalog.Check
	Address  string // an IP address, or a name to resolve in Family
	Family   mesh.Family
	Prefer   netip.Addr             // the address of a name to try first, since it answered last; may be zero
	Resolved func([]netip.Addr)     // called with the target's addresses before they are tried; may be nil
	Secrets  map[string]secret.Text // the values of the check's references, by name; only read
	Memory   *Memory                // shared by all probes of the program; nil is unlimited
	Serials  *Serials               // shared by all probes of the program; nil grants no time to copy a zone

	// HTTP servers see these in the User-Agent.
	Agent   string // name of the probing agent
	Version string // of the program
	Page    string // URL that explains the probes to a server's operator; may be empty
}

// Result is the finding of one attempt.
type Result struct {
	Outcome mesh.Outcome // Reachable, Unreachable or Inconclusive; the edge decides whether an answer was slow
	Reason  string       // in words, unless Outcome is Reachable
	// RTT is the time to the echo reply, the established connection, the banner's first byte or the response's headers;
	// zero without an answer.
	RTT      time.Duration
	Connect  time.Duration // of the TCP handshake alone; zero for a ping, or if it failed
	Phases   mesh.Phases   // of an HTTP request; zero of other kinds
	Definite bool          // a wrong answer, not a lost packet: one re-check settles it, retries would not
	Address  netip.Addr    // the address that answered as required; zero if none did
	Tried    []Tried       // if none did, all addresses that were tried
	Expiry   *mesh.Expiry  // what a good answer depends on and ends within the days that the check gives; may be nil
}

// listPhases lists the phases that the request had.
func listPhases(p mesh.Phases) string {
	text := "connected in " + milliseconds(p.Connect)
	if p.TLS > 0 {
		text += ", TLS in " + milliseconds(p.TLS)
	}
	return text + ", first byte after " + milliseconds(p.FirstByte) + ", body in " + milliseconds(p.Body)
}

// Once makes one attempt: it tries all addresses of a name within the family, and one that answers as required is
// enough. ctx bounds the name resolution and the ping or connect: if its deadline passes, the result's reason is
// "timeout". From the first connect on, the exchange has the check's own Timeout, even if ctx's deadline passes sooner;
// cancelling ctx ends the exchange too. connected is called once, as soon as a ping is answered or a connection is
// established.
func Once(ctx context.Context, network Network, target Target, connected func()) Result {
	a := attempt{network: network, target: target, connected: connected, established: make(chan struct{})}
	defer a.cancel()
	result := a.once(ctx)
	result.Reason = clean(result.Reason)
	return result
}

// once makes the attempt that the check's kind requires.
func (a *attempt) once(ctx context.Context) Result {
	// Only the exchange uses the resolved options. Reasons are made from the check, which has the references.
	options, err := a.target.Check.Resolve(a.target.Secrets)
	if err != nil {
		return inconclusive(err.Error())
	}
	switch o := options.(type) {
	case catalog.Ping:
		return a.anyAddress(ctx, a.ping)
	case catalog.TCP:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result { return a.tcp(ctx, ip, o) })
	case catalog.SMTP:
		return a.anyMail(ctx, o.MailSession, smtp{o})
	case catalog.IMAP:
		return a.anyMail(ctx, o.MailSession, imap{o})
	case catalog.POP3:
		return a.anyMail(ctx, o.MailSession, pop3{})
	case catalog.DNS:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result { return dnsClient{a}.check(ctx, ip, o) })
	case catalog.SIP:
		s := sip{a, o, rand.Text()}
		return a.anyAddress(ctx, s.check)
	case catalog.TLS:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result { return a.tls(ctx, ip, o) })
	case catalog.HTTP:
		return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result {
			return httpClient{attempt: a, options: o}.check(ctx, ip)
		})
	}
	return inconclusive(fmt.Sprintf("agent too old: it does not know the kind %q", a.target.Check.Kind))
}

// Describe returns a probe's target and result as one sentence, for the person who ran the probe by hand.
func Describe(target Target, result Result) string {
	what := target.Check.Kind + " " + target.where()
	isName := !isNumber(target.Address)
	if isName && target.Family != mesh.AnyFamily {
		what += " over " + target.Family.Title()
	}
	if !result.Outcome.Good() {
		failure := fmt.Sprintf("%s: %s: %s", what, result.Outcome, result.Reason)
		switch {
		case !isName || len(result.Tried) == 0:
			return failure
		case len(result.Tried) == 1:
			return failure + ", by " + result.Tried[0].Address.String()
		}
		return failure + " (" + result.AddressSummary() + ")"
	}
	answered := fmt.Sprintf("%s: %s: answered in %s", what, result.Outcome, milliseconds(result.RTT))
	if result.Reason != "" {
		answered += ", " + result.Reason
	}
	if result.Phases != (mesh.Phases{}) {
		answered += ", " + listPhases(result.Phases)
	} else if result.Connect > 0 && result.Connect < result.RTT {
		answered += ", connected in " + milliseconds(result.Connect)
	}
	if isName {
		answered += ", by " + result.AddressSummary()
	}
	return answered
}

func isNumber(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}

// withoutQuery returns a URL as people may see it: a query often contains a key.
func withoutQuery(text string) string {
	if before, _, found := strings.Cut(text, "?"); found {
		return before + "?…"
	}
	return text
}

// hasSecrets reports whether an answer of the server could repeat a secret that the probe sent or expects.
func (t Target) hasSecrets() bool { return len(t.Check.Secrets) > 0 }

func (t Target) where() string {
	switch o := t.Check.Options.(type) {
	case catalog.HTTP:
		return withoutQuery(o.URL)
	case catalog.Ping:
		return t.Address
	}
	return net.JoinHostPort(t.Address, t.Check.PortText())
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

// attempt is one execution of a check.
type attempt struct {
	network   Network
	target    Target
	connected func() // called once

	first          sync.Once
	established    chan struct{}      // closed when the first connection stands, or the first ping was answered
	exchangeCtx    context.Context    // of what follows; set before established is closed
	cancelExchange context.CancelFunc // likewise
}

// connection is an established TCP connection.
type connection struct {
	net.Conn
	began   time.Time     // when the first SYN was sent
	connect time.Duration // of the TCP handshake
}

// dial connects to a port of the address. The caller closes the connection.
func (a *attempt) dial(ctx context.Context, ip netip.Addr, port int) (*connection, error) {
	began := time.Now()
	conn, err := a.network.Dial(ctx, networkOf("tcp", ip), netip.AddrPortFrom(ip, uint16(port)).String())
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, began: began, connect: time.Since(began)}
	a.markConnected(ctx)
	return c, nil
}

// markConnected records that a ping was answered or a connection established. The first call starts the time of the
// exchange, which later connections to other addresses share.
func (a *attempt) markConnected(ctx context.Context) {
	a.first.Do(func() {
		a.exchangeCtx, a.cancelExchange = a.exchangeContext(ctx)
		close(a.established)
		a.connected()
	})
}

// exchangeContext returns a context for what follows the connect. It lasts for the check's own timeout and ends early
// only if ctx is cancelled, not if ctx's deadline passes: that deadline is for the connect, and a server that accepts
// just before it must still have its whole time to answer.
func (a *attempt) exchangeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	exchange, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.target.Check.Timeout)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return exchange, func() { stop(); cancel() }
}

// isConnected reports whether a connection was established, and so whether exchangeCtx is valid.
func (a *attempt) isConnected() bool {
	select {
	case <-a.established:
		return true
	default:
		return false
	}
}

// cancel ends the exchanges that are still in progress.
func (a *attempt) cancel() {
	if a.isConnected() {
		a.cancelExchange()
	}
}
