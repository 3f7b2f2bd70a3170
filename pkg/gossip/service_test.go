package gossip_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/testenv"
)

const (
	interval = 100 * time.Millisecond // between probes
	waitMax  = 2 * time.Minute        // for what must happen, on a busy machine
)

var keyA, keyB = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

// testMesh is a mesh of agents that gossip, each at its own address: host h1 is 127.0.1.1, h2 127.0.2.1 and so on.
type testMesh struct {
	t       *testing.T
	port    int
	catalog *catalog.Catalog
	keys    map[string]ed25519.PublicKey // of the admitted agents; nil: all are
	agents  map[string]*gossip.Gossip
}

func newTestMesh(t *testing.T, n int) *testMesh {
	c := &testMesh{
		t: t, port: testenv.FreePort(t), catalog: newCatalog(n), keys: map[string]ed25519.PublicKey{},
		agents: map[string]*gossip.Gossip{},
	}
	for i := 1; i <= n; i++ {
		host := fmt.Sprintf("h%d", i)
		c.keys[host] = privateKey(host).Public().(ed25519.PublicKey)
	}
	return c
}

// privateKey returns the enrolment key of a test's host.
func privateKey(host string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte(host), make([]byte, ed25519.SeedSize-len(host))...))
}

func newCatalog(n int) *catalog.Catalog {
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "ams"}}}
	for i := 1; i <= n; i++ {
		c.Hosts = append(
			c.Hosts,
			catalog.Host{
				Name:      fmt.Sprintf("H%d", i),
				Region:    "ams",
				Addresses: []string{address(fmt.Sprintf("h%d", i))},
			},
		)
	}
	catalog.Seal(c)
	return c
}

func address(host string) string { return "127.0." + strings.TrimPrefix(host, "h") + ".1" }

func (c *testMesh) start(host string, log *testenv.Log, keys ...[]byte) *gossip.Gossip {
	c.t.Helper()
	config := gossip.Config{
		Name: host, Version: "v1-" + host, Listen: fmt.Sprintf("%s:%d", address(host), c.port),
		Key: privateKey(host), Keys: keys, Interval: interval, Logger: zerolog.Nop(),
	}
	if log != nil {
		config.Logger = zerolog.New(log)
	}
	g, err := gossip.Start(c.t.Context(), config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(g.Close)
	g.SetCatalog(c.catalog, c.keys)
	c.agents[host] = g
	return g
}

func (c *testMesh) startAll(n int, keys ...[]byte) {
	for i := 1; i <= n; i++ {
		c.start(fmt.Sprintf("h%d", i), nil, keys...)
	}
	c.all(gossip.Alive)
}

// sees returns the other members' states as one agent knows them: "h2 alive h3 dead".
func sees(g *gossip.Gossip) string {
	var out []string
	for _, m := range g.Members() {
		out = append(out, m.Name+" "+string(m.State))
	}
	return strings.Join(out, " ")
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitMax); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// all waits until every agent knows every other one in the state.
func (c *testMesh) all(state gossip.State) {
	c.t.Helper()
	for host, g := range c.agents {
		until(c.t, fmt.Sprintf("%s sees all %s", host, state), func() bool {
			all := g.Members()
			return len(all) == len(c.agents)-1 &&
				!slices.ContainsFunc(all, func(m gossip.Member) bool { return m.State != state || m.Asked.IsZero() })
		})
	}
}

// neverSees checks for some intervals that no agent of the mesh knows the host. What they know of each other is not
// checked: on a busy machine one may be reported dead for a moment.
func (c *testMesh) neverSees(host string) {
	c.t.Helper()
	for range 20 {
		time.Sleep(interval)
		for of, g := range c.agents {
			if got := sees(g); strings.Contains(got, host) {
				c.t.Fatalf("%s sees %s", of, got)
			}
		}
	}
}

func TestMembersJoinDieAndLeave(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 5)
	c.startAll(5, keyA)
	m := c.agents["h1"].Members()[0]
	if m.Name != "h2" || m.Region != "ams" || m.Version != "v1-h2" ||
		m.Address.Addr() != netip.MustParseAddr("127.0.2.1") ||
		m.RTT <= 0 {
		t.Errorf("h1 knows %+v", m)
	}
	c.agents["h5"].Kill()
	for _, host := range []string{"h1", "h2", "h3", "h4"} {
		until(t, host+" sees that h5 died", func() bool { return strings.Contains(sees(c.agents[host]), "h5 dead") })
	}
	until(t, "h4 sees those to which it says that it leaves", func() bool {
		return strings.HasPrefix(sees(c.agents["h4"]), "h1 alive h2 alive h3 alive")
	})
	c.agents["h4"].Close()
	for _, host := range []string{"h1", "h2", "h3"} {
		until(
			t,
			host+" sees that h4 left",
			func() bool { return strings.Contains(sees(c.agents[host]), "h4 left h5 dead") },
		)
	}
	until(
		t,
		"members that are alive are not reported dead",
		func() bool { return strings.HasPrefix(sees(c.agents["h1"]), "h2 alive h3 alive") },
	)
	c.start("h5", nil, keyA)
	until(t, "h5 is back", func() bool { return strings.Contains(sees(c.agents["h1"]), "h5 alive") })
}

func TestHostProvesThatItIsAlive(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(3, keyA)
	before := time.Now()
	// A proof must come within a second, which a busy machine may take.
	until(t, "h2 proves that it is alive", func() bool { return c.agents["h1"].Prove(t.Context(), "h2") == nil })
	if p := proofOf(c.agents["h1"], "h2"); p.Proved.Before(before) {
		t.Errorf("the proof is of %v, asked at %v", p.Proved, before)
	}
	until(t, "every host is asked for a proof in turn", func() bool {
		return proofOf(c.agents["h2"], "h1").Proved.After(before) && proofOf(c.agents["h2"], "h3").Proved.After(before)
	})
	c.agents["h2"].Kill()
	asked := time.Now()
	if err := c.agents["h1"].Prove(t.Context(), "h2"); err == nil {
		t.Error("a host that is gone proves that it is alive")
	}
	if p := proofOf(c.agents["h1"], "h2"); p.Unanswered.Before(asked) || p.Unanswered.Before(p.Proved) {
		t.Errorf("%+v", p)
	}
	if err := c.agents["h1"].Prove(t.Context(), "unknown"); err == nil {
		t.Error("a host that is not in the catalog was asked")
	}
}

func proofOf(g *gossip.Gossip, host string) gossip.Proof {
	for _, p := range g.Proofs() {
		if p.Host == host {
			return p
		}
	}
	return gossip.Proof{}
}

func TestPortInUseIsAWarning(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 2)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.1.1:%d", c.port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log testenv.Log
	g := c.start("h1", &log, keyA)
	until(t, "a warning", func() bool {
		return strings.Contains(log.String(), `"level":"warn"`) && strings.Contains(log.String(), "in use")
	})
	if err := g.Prove(t.Context(), "h2"); !errors.Is(err, gossip.ErrNotRunning) || len(g.Members()) != 0 {
		t.Errorf("%v, and sees %s", err, sees(g))
	}
	l.Close()
	g.SetCatalog(newCatalog(2), c.keys) // or a minute later
	c.start("h2", nil, keyA)
	c.all(gossip.Alive)
}

func TestUnknownHostsAreRejected(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 2)
	c.startAll(2, keyA)
	// h3 has the gossip key, and is in its own catalog alone.
	intruder := newTestMesh(t, 3)
	intruder.port, intruder.t = c.port, t
	g := intruder.start("h3", nil, keyA)
	c.neverSees("h3")
	c.all(gossip.Alive)
	c.agents["h1"].SetCatalog(intruder.catalog, intruder.keys)
	c.agents["h2"].SetCatalog(intruder.catalog, intruder.keys)
	until(
		t,
		"h3 is admitted once the catalog has it",
		func() bool { return sees(g) == "h1 alive h2 alive" && sees(c.agents["h1"]) == "h2 alive h3 alive" },
	)
	c.agents["h1"].SetCatalog(c.catalog, c.keys)
	if got := sees(c.agents["h1"]); !strings.HasPrefix(got, "h2 ") || strings.Contains(got, "h3") {
		t.Errorf("h3 is no longer in the catalog, and h1 sees %s", got)
	}
}

func TestMemberAtAnotherAddressIsRejected(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(2, keyA)
	liar := newTestMesh(t, 3)
	liar.port = c.port
	liar.catalog.Hosts[2].Addresses = []string{"127.0.77.1"}
	catalog.Seal(liar.catalog)
	g := liar.start("h3", nil, keyA)
	c.neverSees("h3")
	c.all(gossip.Alive)
	g.Close()
}

func TestGarbageIsHarmless(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(3, keyA)
	to := fmt.Sprintf("127.0.1.1:%d", c.port)
	// From an admitted agent's address: packets from any other are dropped unread.
	from := &net.UDPAddr{IP: net.ParseIP("127.0.2.1")}
	udp, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	random := rand.New(rand.NewPCG(7, 31))
	for range 3000 {
		b := make([]byte, 1+random.IntN(1400))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		b[0] = byte(random.IntN(16)) // as one of memberlist's own kinds
		_, _ = udp.Write(b)
	}
	var conns []net.Conn
	for range 100 { // more connections than are accepted, each announcing a large message
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.2.1")}}
		conn, err := d.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(append([]byte{10, 0x01, 0x00, 0x00, 0x00}, make([]byte, 1000)...))
		conns = append(conns, conn)
	}
	c.all(gossip.Alive)
	before := time.Now()
	until(t, "h1 still answers", func() bool {
		return c.agents["h2"].Prove(t.Context(), "h1") == nil && c.agents["h1"].Prove(t.Context(), "h2") == nil
	})
	until(t, "h1 still acknowledges", func() bool { return c.agents["h1"].Members()[0].Asked.After(before) })
	// The flood may delay acknowledgements until others report h1 dead; it then refutes that.
	until(t, "no member is dead", func() bool {
		return !strings.Contains(sees(c.agents["h1"])+sees(c.agents["h2"])+sees(c.agents["h3"]), "dead")
	})
	for _, conn := range conns {
		conn.Close()
	}
}

func TestInvalidListenAddress(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"7946": "not an address", ":x": "not a port", ":70000": "not a port", "here:7946": "not an address",
	} {
		if _, err := gossip.Start(t.Context(), gossip.Config{Name: "h1", Listen: listen}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", listen, err)
		}
	}
}
