// Package doctor examines an agent and its machine: what the agent needs to join, to publish and to probe. Examine
// reports one finding for each, with a remedy for each fault; Finding.PreventsJoin says which faults keep an agent
// from joining.
package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// Level says how bad a finding is.
type Level string

// The levels of a finding.
const (
	OK    Level = "ok"
	Note  Level = "note" // worth knowing; the agent works all the same
	Fault Level = "fault"
)

// The subjects of findings.
const (
	State      = "state"
	Token      = "token"
	Resolution = "names"
	RouteIPv4  = "IPv4"
	RouteIPv6  = "IPv6"
	Port       = "port"
	Pin        = "pin"
	Clock      = "clock"
	Access     = "access"
	Ping       = "ping"
	Gossip     = "gossip"
	Disk       = "disk"
)

// Finding is what one examination found.
type Finding struct {
	Subject string
	Level   Level
	Text    string
	Remedy  string // how to fix it: set for a fault, and for a note where there is one
}

// Config describes the agent to examine, before or after it joins.
type Config struct {
	Directory string   // of its state
	Token     string   // to join with; empty: examine the identity
	Identity  error    // why the identity cannot be loaded, where there is one
	Joined    bool     // there is an identity, and Servers and CA are its own
	Joining   bool     // it is about to join: a resolver that joining does not need is not examined
	Running   bool     // an agent runs on the directory and uses its ports
	Servers   []string // URLs of the bus
	CA        []byte   // PEM
	Name      string   // of the identity
	JWT, Seed string   // its credentials
	Gossip    string   // address and port to gossip at; empty: none
	// ClockOffset is added to this machine's clock. Only tests set it.
	ClockOffset time.Duration
	Resolver    *net.Resolver // nil: the machine's
}

const (
	dialWait      = 5 * time.Second // as long as an agent waits for a connection
	resolveWait   = 3 * time.Second // a resolver that takes longer makes probes inconclusive
	handshakeWait = 5 * time.Second // for the handshake, and for the coordinator's time
	pingWait      = time.Second     // for this machine to answer its own ping
)

// examiner collects what later examinations build on.
type examiner struct {
	config    Config
	network   probe.Kernel
	pin       [32]byte
	known     bool                    // there are servers and a pin to examine
	addresses []netip.Addr            // of the servers
	found     map[string][]netip.Addr // the same by the servers' hosts
	open      []string                // URLs with numbers, where a server's port is open
	chain     []*x509.Certificate
}

// PreventsJoin reports whether a finding keeps an agent from joining. All other faults can be fixed after it joined.
func (f Finding) PreventsJoin() bool {
	return f.Level == Fault && (f.Subject == Token || f.Subject == Port || f.Subject == Pin)
}

// Examine examines the agent and its machine, and reports each finding as it comes, in a fixed order.
func Examine(ctx context.Context, c Config, report func(Finding)) {
	e := &examiner{config: c, found: map[string][]netip.Addr{}}
	if e.config.Resolver == nil {
		e.config.Resolver = net.DefaultResolver
	}
	// The order matters: names resolves the addresses that the routes and the port need, and port finds where
	// certificate, clock and access can connect.
	for _, examine := range []func(context.Context) Finding{
		e.identity, e.state, e.disk, e.names, e.ipv4, e.ipv6, e.port, e.certificate, e.clock, e.access, e.ping, e.gossip,
	} {
		if f := examine(ctx); f.Subject != "" {
			report(f)
		}
	}
}

func ok(subject, words string) Finding { return Finding{Subject: subject, Level: OK, Text: words} }

func note(subject, words, remedy string) Finding {
	return Finding{Subject: subject, Level: Note, Text: words, Remedy: remedy}
}

func fault(subject, words, remedy string) Finding {
	return Finding{Subject: subject, Level: Fault, Text: words, Remedy: remedy}
}

// skipped returns the finding for what could not be examined.
func (e *examiner) skipped(subject, why string) Finding {
	return note(subject, "not examined: "+why, "")
}

var families = map[mesh.Family]struct{ subject, network, elsewhere, show string }{
	// The addresses elsewhere are for documentation (RFC 5737, RFC 3849). Looking up the route to one sends nothing.
	mesh.IPv4: {RouteIPv4, "udp4", "192.0.2.1", "ip -4 route show default"},
	mesh.IPv6: {RouteIPv6, "udp6", "2001:db8::1", "ip -6 route show default"},
}
