// Package doctor examines an agent and the machine it stands on: what it needs to join, to be heard and to look, one finding
// each, with a remedy for each fault. Examine tells the findings as they come; Refuses says which of them keep an agent out.
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
	OK     Level = "ok"
	Remark Level = "remark" // worth knowing; the agent works without it
	Fault  Level = "fault"
)

// What is examined.
const (
	State      = "state"
	Token      = "token"
	Resolution = "names"
	RouteIPv4  = "IPv4"
	RouteIPv6  = "IPv6"
	Port       = "port"
	Pin        = "pin"
	Clock      = "clock"
	Ping       = "ping"
	Gossip     = "gossip"
	Disk       = "disk"
)

// Finding is what one examination found.
type Finding struct {
	Subject string
	Level   Level
	Words   string
	Remedy  string // of a fault, and of a remark where there is one
}

// Patient is an agent, before it joins or after.
type Patient struct {
	Directory string   // of its state
	Token     string   // that it is to join with; empty after it joined
	Identity  error    // why there is no identity, or nil
	Joined    bool     // there is an identity: Servers and CA are its own
	Joining   bool     // it is about to join, and does not wait for a resolver that joining does not need
	Running   bool     // an agent runs on the directory, so what it holds is not free
	Servers   []string // URLs of the bus
	CA        []byte   // PEM
	Gossip    string   // address and port to gossip on
	// ClockOffset is added to this machine's clock. Only tests set it.
	ClockOffset time.Duration
	Resolver    *net.Resolver // nil: the machine's
}

const (
	dialWait    = 5 * time.Second // as long as an agent waits for a connection
	resolveWait = 3 * time.Second // a resolver that takes longer makes looks inconclusive
	greetWait   = 5 * time.Second // for the handshake, and for the coordinator's time
	pingWait    = time.Second     // of this machine itself
)

// examiner gathers what later examinations build on.
type examiner struct {
	Patient
	network   probe.Kernel
	pin       [32]byte
	known     bool                    // there are servers and a pin to examine
	addresses []netip.Addr            // of the servers
	found     map[string][]netip.Addr // the same by the servers' hosts
	open      []string                // URLs with numbers, where a server's port is open
	chain     []*x509.Certificate
}

// Refuses reports whether a finding keeps an agent from joining. It can join without the rest, and mend it later.
func (f Finding) Refuses() bool {
	return f.Level == Fault && (f.Subject == Token || f.Subject == Port || f.Subject == Pin)
}

// Examine tells what it finds, in order.
func Examine(ctx context.Context, p Patient, say func(Finding)) {
	e := &examiner{Patient: p, found: map[string][]netip.Addr{}}
	if e.Resolver == nil {
		e.Resolver = net.DefaultResolver
	}
	for _, examine := range []func(context.Context) Finding{
		e.identity, e.state, e.disk, e.names, e.ipv4, e.ipv6, e.port, e.certificate, e.clock, e.ping, e.gossip,
	} {
		if f := examine(ctx); f.Subject != "" {
			say(f)
		}
	}
}

func ok(subject, words string) Finding { return Finding{Subject: subject, Level: OK, Words: words} }

func remark(subject, words, remedy string) Finding {
	return Finding{Subject: subject, Level: Remark, Words: words, Remedy: remedy}
}

func fault(subject, words, remedy string) Finding {
	return Finding{Subject: subject, Level: Fault, Words: words, Remedy: remedy}
}

// skipped is a finding that nothing could be found.
func (e *examiner) skipped(subject, why string) Finding {
	return remark(subject, "not examined: "+why, "")
}

var families = map[mesh.Family]struct{ subject, network, elsewhere, show string }{
	// The addresses elsewhere are for documentation (RFC 5737, RFC 3849): asking for the route to one sends nothing.
	mesh.IPv4: {RouteIPv4, "udp4", "192.0.2.1", "ip -4 route show default"},
	mesh.IPv6: {RouteIPv6, "udp6", "2001:db8::1", "ip -6 route show default"},
}
