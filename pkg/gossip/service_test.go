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
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
)

const (
	quick   = 100 * time.Millisecond // between probes
	patient = 30 * time.Second       // for what must happen, on a busy machine
)

var keyA, keyB = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

// crowd is a mesh of agents that gossip, each at an address of its own: host h1 is 127.0.1.1, h2 127.0.2.1 and so on.
type crowd struct {
	t       *testing.T
	port    int
	catalog *catalog.Catalog
	keys    map[string]ed25519.PublicKey // of the admitted agents; nil: all are
	agents  map[string]*gossip.Gossip
}

// text collects what agents log.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

func newCrowd(t *testing.T, n int) *crowd {
	c := &crowd{
		t: t, port: freePort(t), catalog: newCatalog(n), keys: map[string]ed25519.PublicKey{},
		agents: map[string]*gossip.Gossip{},
	}
	for i := 1; i <= n; i++ {
		host := fmt.Sprintf("h%d", i)
		c.keys[host] = privateKey(host).Public().(ed25519.PublicKey)
	}
	return c
}

// privateKey is the enrolment key of a test's host.
func privateKey(host string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte(host), make([]byte, ed25519.SeedSize-len(host))...))
}

func newCatalog(n int) *catalog.Catalog {
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "ams"}}}
	for i := 1; i <= n; i++ {
		c.Hosts = append(c.Hosts, catalog.Host{Name: fmt.Sprintf("H%d", i), Region: "ams", Addresses: []string{address(fmt.Sprintf("h%d", i))}})
	}
	catalog.Seal(c)
	return c
}

func address(host string) string { return "127.0." + strings.TrimPrefix(host, "h") + ".1" }

// freePort is a port that nobody has at any of the addresses.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *crowd) start(host string, log *text, keys ...[]byte) *gossip.Gossip {
	c.t.Helper()
	config := gossip.Config{
		Name: host, Version: "v1-" + host, Listen: fmt.Sprintf("%s:%d", address(host), c.port),
		Key: privateKey(host), Keys: keys, Interval: quick, Logger: zerolog.Nop(),
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

func (c *crowd) startAll(n int, keys ...[]byte) {
	for i := 1; i <= n; i++ {
		c.start(fmt.Sprintf("h%d", i), nil, keys...)
	}
	c.all(gossip.Alive)
}

// sees are the states that one agent holds of others, "h2 alive h3 dead".
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
	for end := time.Now().Add(patient); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// all waits until every agent holds that of every other one.
func (c *crowd) all(state gossip.State) {
	c.t.Helper()
	for host, g := range c.agents {
		until(c.t, fmt.Sprintf("%s sees all %s", host, state), func() bool {
			all := g.Members()
			return len(all) == len(c.agents)-1 && !slices.ContainsFunc(all, func(m gossip.Member) bool { return m.State != state || m.Asked.IsZero() })
		})
	}
}

func TestFiveFindOneAnotherAndOneDies(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 5)
	c.startAll(5, keyA)
	m := c.agents["h1"].Members()[0]
	if m.Name != "h2" || m.Region != "ams" || m.Version != "v1-h2" || m.Address.Addr() != netip.MustParseAddr("127.0.2.1") || m.RTT <= 0 {
		t.Errorf("h1 knows %+v", m)
	}
	c.agents["h5"].Kill()
	for _, host := range []string{"h1", "h2", "h3", "h4"} {
		until(t, host+" sees that h5 died", func() bool { return strings.Contains(sees(c.agents[host]), "h5 dead") })
	}
	c.agents["h4"].Close()
	for _, host := range []string{"h1", "h2", "h3"} {
		until(t, host+" sees that h4 left", func() bool { return strings.Contains(sees(c.agents[host]), "h4 left h5 dead") })
	}
	until(t, "the living are not taken for dead", func() bool { return strings.HasPrefix(sees(c.agents["h1"]), "h2 alive h3 alive") })
	c.start("h5", nil, keyA)
	until(t, "h5 is back", func() bool { return strings.Contains(sees(c.agents["h1"]), "h5 alive") })
}

func TestAHostProvesThatItIsAlive(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3)
	c.startAll(3, keyA)
	before := time.Now()
	if err := c.agents["h1"].Prove(t.Context(), "h2"); err != nil {
		t.Fatal(err)
	}
	if p := proofOf(c.agents["h1"], "h2"); p.Proved.Before(before) {
		t.Errorf("the proof is of %v, asked at %v", p.Proved, before)
	}
	until(t, "the patrol has a proof of everybody", func() bool {
		return proofOf(c.agents["h2"], "h1").Proved.After(before) && proofOf(c.agents["h2"], "h3").Proved.After(before)
	})
	c.agents["h2"].Kill()
	asked := time.Now()
	if err := c.agents["h1"].Prove(t.Context(), "h2"); err == nil {
		t.Error("a host that is gone proves that it is alive")
	}
	if p := proofOf(c.agents["h1"], "h2"); p.Unanswered.Before(asked) || p.Proved.After(asked) {
		t.Errorf("%+v", p)
	}
	if err := c.agents["h1"].Prove(t.Context(), "stranger"); err == nil {
		t.Error("a stranger was asked")
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

func TestAWrongKeyIsRefused(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3)
	c.startAll(2, keyA)
	var log text
	other := c.start("h3", &log, keyB)
	for range 20 { // what h3 says for a while is not heard
		time.Sleep(quick)
		if sees(other) != "" || sees(c.agents["h1"]) != "h2 alive" {
			t.Fatalf("h3 sees %q, h1 sees %q", sees(other), sees(c.agents["h1"]))
		}
	}
	if strings.Contains(log.String(), string(keyB)) || strings.Contains(log.String(), "AgICAg") || strings.Contains(log.String(), "020202") {
		t.Error("the log holds the key")
	}
}

func TestKeysRotateWhileNobodyIsLost(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 4)
	c.startAll(4, keyA)
	lost := func(after string) {
		t.Helper()
		start := time.Now()
		for end := start.Add(20 * quick); time.Now().Before(end); time.Sleep(quick / 2) {
			for host, g := range c.agents {
				if s := sees(g); strings.Contains(s, "dead") || strings.Contains(s, "left") {
					t.Fatalf("after %s %s sees %s", after, host, s)
				}
			}
		}
		for host, g := range c.agents { // everybody still acknowledges everybody
			until(t, host+" accepts all after "+after, func() bool {
				return !slices.ContainsFunc(g.Members(), func(m gossip.Member) bool { return m.State != gossip.Alive || m.Asked.Before(start) })
			})
		}
	}
	for _, ring := range [][][]byte{{keyA, keyB}, {keyB, keyA}, {keyB}} {
		for _, host := range []string{"h1", "h2", "h3", "h4"} {
			if err := c.agents[host].SetKeys(ring); err != nil {
				t.Fatal(err)
			}
			lost(fmt.Sprintf("%d keys at %s", len(ring), host))
		}
	}
	old := newCrowd(t, 5)
	old.port = c.port
	for _, g := range c.agents {
		g.SetCatalog(old.catalog, old.keys)
	}
	late := old.start("h5", nil, keyA)
	for range 10 {
		time.Sleep(quick)
		if sees(late) != "" {
			t.Fatalf("who has the old key alone sees %s", sees(late))
		}
	}
	if err := late.SetKeys([][]byte{keyB}); err != nil {
		t.Fatal(err)
	}
	until(t, "h5 joins by the new key", func() bool { return sees(late) == "h1 alive h2 alive h3 alive h4 alive" })
	if err := late.SetKeys([][]byte{[]byte("short")}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a key of five bytes: %v", err)
	}
}

func TestABusyPortOnlyWarns(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.1.1:%d", c.port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log text
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

func TestStrangersAreNotBelieved(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2)
	c.startAll(2, keyA)
	// One has the key and a catalog of its own in which it stands; one says that it is at another's address.
	intruder := newCrowd(t, 3)
	intruder.port, intruder.t = c.port, t
	g := intruder.start("h3", nil, keyA)
	time.Sleep(20 * quick)
	for host, of := range map[string]string{"h1": "h2 alive", "h2": "h1 alive"} {
		if got := sees(c.agents[host]); got != of {
			t.Errorf("%s sees %s", host, got)
		}
	}
	c.agents["h1"].SetCatalog(intruder.catalog, intruder.keys)
	c.agents["h2"].SetCatalog(intruder.catalog, intruder.keys)
	until(t, "h3 is let in once the catalog names it", func() bool { return sees(g) == "h1 alive h2 alive" && sees(c.agents["h1"]) == "h2 alive h3 alive" })
	c.agents["h1"].SetCatalog(c.catalog, c.keys)
	if got := sees(c.agents["h1"]); got != "h2 alive" {
		t.Errorf("h3 is in the catalog no more, and h1 sees %s", got)
	}
}

func TestNobodyElsesAddressIsTaken(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3)
	c.startAll(2, keyA)
	liar := newCrowd(t, 3)
	liar.port = c.port
	liar.catalog.Hosts[2].Addresses = []string{"127.0.77.1"}
	catalog.Seal(liar.catalog)
	g := liar.start("h3", nil, keyA)
	time.Sleep(20 * quick)
	if got := sees(c.agents["h1"]); got != "h2 alive" {
		t.Errorf("h1 sees %s", got)
	}
	g.Close()
}

func TestGarbageDoesNoHarm(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3)
	c.startAll(3, keyA)
	to := fmt.Sprintf("127.0.1.1:%d", c.port)
	// From an admitted agent's address, since what comes from any other is dropped unread.
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
	var held []net.Conn
	for range 100 { // more connections than are let in, with the length of a flood announced
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.2.1")}}
		conn, err := d.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(append([]byte{10, 0x01, 0x00, 0x00, 0x00}, make([]byte, 1000)...))
		held = append(held, conn)
	}
	c.all(gossip.Alive)
	before := time.Now()
	until(t, "h1 still answers", func() bool {
		return c.agents["h2"].Prove(t.Context(), "h1") == nil && c.agents["h1"].Prove(t.Context(), "h2") == nil
	})
	until(t, "h1 still acknowledges", func() bool { return c.agents["h1"].Members()[0].Asked.After(before) })
	// At this pace a flood may delay an answer past the patience of the others; whoever lives says so, and is believed.
	until(t, "nobody is held dead", func() bool {
		return !strings.Contains(sees(c.agents["h1"])+sees(c.agents["h2"])+sees(c.agents["h3"]), "dead")
	})
	for _, conn := range held {
		conn.Close()
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{"7946": "not an address", ":x": "not a port", ":70000": "not a port", "here:7946": "not an address"} {
		if _, err := gossip.Start(t.Context(), gossip.Config{Name: "h1", Listen: listen}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestWithoutAKeyThereIsNoGossip(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2)
	g := c.start("h1", nil)
	if err := g.Prove(t.Context(), "h2"); !errors.Is(err, gossip.ErrNotRunning) {
		t.Error(err)
	}
	if err := g.SetKeys([][]byte{keyA}); err != nil {
		t.Fatal(err)
	}
	c.start("h2", nil, keyA)
	c.all(gossip.Alive)
}
