package server

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// fromAddress is a connection of a client at an address.
type fromAddress struct {
	net.Conn
	address *net.TCPAddr
	closed  bool
}

func (f *fromAddress) RemoteAddr() net.Addr { return f.address }
func (f *fromAddress) Close() error         { f.closed = true; return nil }

// idleProxy is a proxy that accepts nothing, to which connections are given.
type idleProxy struct {
	*proxy
	t   *testing.T
	now time.Time
	ids uint64
}

func newIdleProxy(t *testing.T) *idleProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &idleProxy{proxy: newProxy(l, nil, zerolog.Nop()), t: t, now: time.Now()}
	_ = l.Close()
	p.tasks.Wait()
	return p
}

// connect has a client connect, and reports whether it gets a slot.
func (p *idleProxy) connect(from string) (*proxied, bool) {
	c := p.admit(&fromAddress{address: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}, p.now)
	if c == nil {
		return nil, false
	}
	p.ids++
	p.waits(p.ids, c)
	return c, true
}

// fill has clients at a number of addresses connect n times altogether, and returns how many got a slot.
func (p *idleProxy) fill(addresses, n int) (admitted int) {
	for i := range n {
		if _, ok := p.connect(fmt.Sprintf("198.51.100.%d:%d", i%addresses, 1024+i)); ok {
			admitted++
		}
	}
	return admitted
}

func TestStrangersShareTheirSlots(t *testing.T) {
	p := newIdleProxy(t)
	if n := p.fill(1, 9000); n != strangerSlots {
		t.Errorf("one address has %d connections, want %d", n, strangerSlots)
	}
	for i := range 100 {
		if _, ok := p.connect(fmt.Sprintf("203.0.113.%d:1024", i)); !ok {
			t.Fatalf("address %d gets no slot while another has hundreds", i)
		}
	}
	if used := p.strangers.Used(); used != strangerSlots {
		t.Errorf("%d slots used", used)
	}
}

// A client that is silent does not keep its slot from others at the same address, such as an agent behind the same NAT.
func TestASilentClientMakesRoom(t *testing.T) {
	p := newIdleProxy(t)
	first, _ := p.connect("198.51.100.0:1")
	p.heard(first)
	second, _ := p.connect("198.51.100.0:2")
	p.fill(1, strangerSlots)
	p.now = p.now.Add(silenceShort + time.Millisecond)
	if _, ok := p.connect("198.51.100.0:3"); !ok {
		t.Fatal("no slot")
	}
	if first.Conn.(*fromAddress).closed || !second.Conn.(*fromAddress).closed {
		t.Error("the wrong connection was closed")
	}
	if second.slots != nil || p.waiting[second.id] != nil {
		t.Error("the closed connection has its slot still")
	}
}

func TestSilenceIsShorterUnderPressure(t *testing.T) {
	p := newIdleProxy(t)
	if c, _ := p.connect("203.0.113.1:1"); c.silence != silenceWait {
		t.Errorf("wait %s", c.silence)
	}
	p.fill(100, strangerSlots/2)
	if c, _ := p.connect("203.0.113.1:2"); c.silence != silenceShort {
		t.Errorf("wait %s under pressure", c.silence)
	}
}

func TestAgentsHaveSlotsOfTheirOwn(t *testing.T) {
	p := newIdleProxy(t)
	agent, _ := p.connect("192.0.2.1:1")
	p.authenticated(agent.id, true, p.now)
	p.authenticated(agent.id, true, p.now) // a later turn
	joining, _ := p.connect("192.0.2.2:1")
	p.authenticated(joining.id, false, p.now)
	if used := p.strangers.Used(); used != 0 {
		t.Fatalf("%d slots used by connections that have authenticated", used)
	}
	p.fill(250, 9000)
	p.fill(250, 9000)
	if c, ok := p.connect("192.0.2.1:2"); !ok || c.slots != p.agents {
		t.Error("an agent that connects again has no slot of its own")
	}
	if c, ok := p.connect("192.0.2.2:2"); ok && c.slots == p.agents {
		t.Error("an address that only joined counts as an agent's")
	}
	for range 2 {
		p.release(agent) // later calls do not count
		agent.known = nil
	}
	if !p.isKnown(agent.client, time.Now()) || p.isKnown(agent.client, time.Now().Add(knownFor+time.Minute)) {
		t.Error("an agent's address is forgotten too early or too late")
	}
}

func TestKnownAddressesAreBounded(t *testing.T) {
	p := newIdleProxy(t)
	for i := range knownMax + 10 {
		c, ok := p.connect(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
		if !ok {
			t.Fatal("no slot")
		}
		p.authenticated(c.id, true, p.now)
		p.release(c)
	}
	if len(p.known) != knownMax {
		t.Errorf("%d addresses known, want %d", len(p.known), knownMax)
	}
	p.forget(time.Now().Add(knownFor + time.Minute))
	if len(p.known) != 0 {
		t.Errorf("%d addresses known after a day", len(p.known))
	}
}

// The server sees each client at its own address, on which the limits of joining clients rest.
func TestTheServerSeesTheClientsAddress(t *testing.T) {
	s := startProxied(t, "[::]:0")
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Issue("nc036", public)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"127.0.0.9", "::1"} {
		endpoint := s.Endpoint()
		_, port, _ := net.SplitHostPort(s.proxy.listener.Addr().String())
		endpoint.Servers = []string{"tls://" + net.JoinHostPort(at, port)}
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(at)}}
		a, err := busagent.Dial(t.Context(), busagent.Config{
			Name: "nc036", Endpoint: endpoint, JWT: token, Seed: seed, Dial: dialer.DialContext, Logger: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		until(t, "the agent at "+at+" is connected", func() bool {
			all, err := newPolicer(s).connections(s.trust.public["agents"], false)
			if err != nil {
				return false // no agent has connected yet
			}
			for _, c := range all {
				if c.IP == at && c.Port != 0 {
					return true
				}
			}
			return false
		})
	}
	until(t, "both have freed their slots, and their addresses are known", func() bool {
		s.proxy.mu.Lock()
		defer s.proxy.mu.Unlock()
		return s.proxy.strangers.Used() == 0 && s.proxy.known[ratelimit.Client("127.0.0.9")] != nil &&
			s.proxy.known[ratelimit.Client("::1")] != nil
	})
}

func startProxied(t testing.TB, listen string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: listen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within a minute: %s", what)
		}
	}
}
