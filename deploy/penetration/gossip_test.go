package penetration_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agentidentity "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

const (
	meshSize = 8
	forger   = "h7" // has the gossip key, as all agents do
	victim   = "h8" // dies
	patience = 2 * time.Minute
	interval = 200 * time.Millisecond // of an agent's probes
	// The forger guesses sequence numbers of probes, so many of them in each of so many packets: an agent on a slow
	// machine has sent thousands of probes before the victim dies.
	sequences, guesses = 250, 16
)

// TestAForgerCannotKeepADeadHostUp runs a coordinator and eight agents in eight regions, with simulated pings. One
// agent forges gossip about a host that died: its membership and its acknowledgements. After the forger is revoked,
// nothing that it sends is accepted.
func TestAForgerCannotKeepADeadHostUp(t *testing.T) {
	m := newGossipMesh(t)
	await(t, "the victim is up", func() bool { return m.verdict(victim) == mesh.Up })
	await(t, "every agent has a proof of the victim", func() bool {
		return !slices.ContainsFunc(m.honest(), func(a *gossipAgent) bool { return a.proof(victim).Proved.IsZero() })
	})
	key := m.agents[forger].renewer.Identity().Gossip[0]
	m.agents[victim].stop()
	m.pings.die(address(victim))
	died := time.Now()
	stop := m.forge(key)
	defer stop()
	m.checkForgeryHasNoEffect(died)

	if _, err := m.enroller.Revoke(t.Context(), forger); err != nil {
		t.Fatal(err)
	}
	m.checkForgerIsExcluded(key)
	if v := m.verdict(victim); v != mesh.Down {
		t.Errorf("the dead host is %s", v)
	}
}

// checkForgeryHasNoEffect checks that the dead host is down and stays so, although its forged acknowledgements arrive.
func (m *gossipMesh) checkForgeryHasNoEffect(died time.Time) {
	t := m.t
	await(t, "the victim is down", func() bool { return m.verdict(victim) == mesh.Down })
	await(t, "the forgery works: every agent's gossip has an acknowledgement of the dead host", func() bool {
		return !slices.ContainsFunc(m.honest(), func(a *gossipAgent) bool { return a.acknowledged(victim).Before(died) })
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if v := m.verdict(victim); v != mesh.Down {
			t.Fatalf("the forger made the dead host %s", v)
		}
	}
	for _, a := range m.honest() {
		if p := a.proof(victim); p.Proved.After(died) {
			t.Errorf("%s has a proof of the dead host: %+v", a.name, p)
		}
	}
}

// checkForgerIsExcluded checks that all agents but the revoked one get another gossip key, and gossip by it alone.
func (m *gossipMesh) checkForgerIsExcluded(key []byte) {
	t := m.t
	await(t, "every other agent has one new key", func() bool {
		return !slices.ContainsFunc(m.honest(), func(a *gossipAgent) bool {
			keys := a.renewer.Identity().Gossip
			return len(keys) != 1 || string(keys[0]) == string(key)
		})
	})
	if keys := m.agents[forger].renewer.Identity().Gossip; len(keys) != 1 || string(keys[0]) != string(key) {
		t.Error("the revoked agent has the new key")
	}
	await(t, "the forger is not a member", func() bool {
		return !slices.ContainsFunc(m.honest(), func(a *gossipAgent) bool { return a.knows(forger) })
	})
	await(t, "for five seconds nobody accepts packets of the forger", func() bool {
		since := time.Now()
		time.Sleep(5 * time.Second)
		return !slices.ContainsFunc(m.honest(), func(a *gossipAgent) bool { return a.acknowledged(victim).After(since) })
	})
	for _, a := range m.honest() {
		for _, b := range m.honest() {
			await(t, a.name+" has a proof of "+b.name, func() bool {
				return a == b ||
					a.gossip.Prove(t.Context(), b.name) == nil
			})
		}
	}
}

// await polls for as long as a slow machine may take.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// address returns a host's loopback address.
func address(host string) netip.Addr {
	return netip.MustParseAddr("127.0.98." + strings.TrimPrefix(host, "h"))
}

// gossipMesh is a coordinator and its agents in this process.
type gossipMesh struct {
	t        *testing.T
	core     *node.Core
	enroller *enroller.Enroller
	pings    *pings
	port     int // of gossip
	agents   map[string]*gossipAgent
}

func newGossipMesh(t *testing.T) *gossipMesh {
	t.Helper()
	dir := t.TempDir()
	natsd, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(dir, "bus"), Listen: "127.0.0.1:0",
		Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(natsd.Close)
	config, err := natsd.CoordinatorConfig()
	must(t, err)
	conn, err := buscoordinator.Dial(t.Context(), config)
	must(t, err)
	t.Cleanup(conn.Close)
	must(t, conn.Lead(t.Context()))
	book, v, err := engine.OpenLedger(t.Context(), conn, filepath.Join(dir, "view.db"))
	must(t, err)
	t.Cleanup(func() { _ = v.Close() })
	m := &gossipMesh{t: t, pings: &pings{dead: map[netip.Addr]bool{}}, agents: map[string]*gossipAgent{}}
	m.core, err = node.OpenCore(t.Context(), node.CoreConfig{
		Bus: conn, Ledger: book, View: v, Catalog: gossipCatalog(t), Streams: conn.Streams, Logger: zerolog.Nop(),
	})
	must(t, err)
	m.enroller = enroller.New(enroller.Config{Bus: conn, Issuer: natsd, Members: m.core.Members, Logger: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	ready := make(chan struct{})
	tasks.Go(func() { _ = m.core.Run(ctx) })
	tasks.Go(func() { _ = m.enroller.Run(ctx, ready) })
	t.Cleanup(func() { cancel(); tasks.Wait() })
	<-ready
	m.port = testenv.FreePort(t)
	for i := range meshSize {
		m.join(fmt.Sprintf("h%d", i+1))
	}
	return m
}

func gossipCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("defaults: {interval: 2s, timeout: 1s}\nregions:\n")
	for i := range meshSize {
		fmt.Fprintf(&b, "  - {name: r%d, city: C, country: NL, latitude: 1, longitude: 1}\n", i+1)
	}
	b.WriteString("hosts:\n")
	for i := range meshSize {
		host := fmt.Sprintf("h%d", i+1)
		fmt.Fprintf(&b, "  - {name: %s, region: r%d, address: %s, checks: [{kind: ping}]}\n", strings.ToUpper(host), i+1,
			address(host))
	}
	c, err := catalogfile.Parse("mesh.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	must(t, err)
	return c
}

func (m *gossipMesh) verdict(host string) mesh.Verdict {
	_, s := m.core.Engine.Current()
	for _, h := range s.Hosts {
		if mesh.Key(h.Name) == host {
			return h.Checks[0].Verdict
		}
	}
	return ""
}

func (m *gossipMesh) honest() (out []*gossipAgent) {
	for _, a := range m.agents {
		if a.name != forger && a.name != victim {
			out = append(out, a)
		}
	}
	return out
}

// gossipAgent is an agent as `agent run` starts it, with simulated pings.
type gossipAgent struct {
	name    string
	gossip  *gossip.Gossip
	renewer *agentidentity.Renewer
	stop    func()
}

func (m *gossipMesh) join(host string) {
	m.t.Helper()
	dir := m.t.TempDir()
	token, err := m.enroller.Invite(m.t.Context(), host)
	must(m.t, err)
	id, err := agentidentity.Join(m.t.Context(), token, dir, nil)
	must(m.t, err)
	key, err := bus.SigningKey(id.Seed)
	must(m.t, err)
	a := &gossipAgent{name: host}
	a.gossip, err = gossip.Start(m.t.Context(), gossip.Config{
		Name: host, Listen: netip.AddrPortFrom(address(host), uint16(m.port)).String(), Key: key, Keys: id.Gossip,
		Interval: interval, Logger: zerolog.Nop(),
	})
	must(m.t, err)
	a.renewer = agentidentity.NewRenewer(agentidentity.RenewerConfig{
		Dir: dir, Identity: id, Gossip: func(keys [][]byte) { _ = a.gossip.SetKeys(keys) }, Logger: zerolog.Nop(),
	})
	conn, err := busagent.Dial(m.t.Context(), busagent.Config{
		Name: host, Endpoint: id.Endpoint(), JWT: id.JWT, JWTFunc: a.renewer.JWT, Seed: id.Seed, Logger: zerolog.Nop(),
	})
	must(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { a.renewer.Run(ctx, conn) })
	tasks.Go(func() {
		_ = vantage.Run(ctx, vantage.Config{
			Name: host, Bus: conn, Network: m.pings, Gossip: a.gossip, Renew: a.renewer.Renew, Logger: zerolog.Nop(),
		})
	})
	a.stop = sync.OnceFunc(func() { cancel(); tasks.Wait(); conn.Close(); a.gossip.Close() })
	m.t.Cleanup(a.stop)
	m.agents[host] = a
}

func (a *gossipAgent) proof(host string) gossip.Proof {
	for _, p := range a.gossip.Proofs() {
		if p.Host == host {
			return p
		}
	}
	return gossip.Proof{}
}

// acknowledged returns the time of memberlist's latest acknowledgement of the host.
func (a *gossipAgent) acknowledged(host string) time.Time {
	for _, m := range a.gossip.Members() {
		if m.Name == host {
			return m.Asked
		}
	}
	return time.Time{}
}

func (a *gossipAgent) knows(host string) bool {
	return slices.ContainsFunc(a.gossip.Members(), func(m gossip.Member) bool { return m.Name == host })
}

// forge sends every honest agent, from the forger's own address, messages that the victim is alive and acknowledgements
// of probes.
func (m *gossipMesh) forge(key []byte) (stop func()) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: address(forger).AsSlice()})
	must(m.t, err)
	acks := make([][]byte, guesses) // sealed once: a packet that is repeated is as good
	for n := range acks {
		acks[n] = sealed(key, forgedAcks(uint32(n*sequences)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, a := range m.honest() {
		tasks.Go(func() {
			to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(address(a.name), uint16(m.port)))
			for round := uint32(0); ctx.Err() == nil; round++ {
				if round%10 == 0 {
					_, _ = conn.WriteTo(sealed(key, forgedAlive(1000+round, address(victim), uint16(m.port))), to)
				}
				// The sequence numbers of probes count from 1.
				for _, ack := range acks {
					_, _ = conn.WriteTo(ack, to)
				}
				time.Sleep(interval)
			}
		})
	}
	return func() { cancel(); tasks.Wait(); conn.Close() }
}

// sealed returns an encrypted packet of memberlist: the version of the encryption, a nonce, AES-GCM.
func sealed(key, message []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	packet := append([]byte{1}, make([]byte, gcm.NonceSize())...)
	_, _ = rand.Read(packet[1:])
	return gcm.Seal(packet, packet[1:], message, nil)
}

// forgedAck and forgedAlive return messages of memberlist, in msgpack.
func forgedAck(sequence uint32) []byte {
	return append(append([]byte{2, 0x81}, packed("SeqNo")...), 0xce, byte(sequence>>24), byte(sequence>>16),
		byte(sequence>>8), byte(sequence))
}

// forgedAcks returns acknowledgements of many probes in one compound message.
func forgedAcks(from uint32) []byte {
	out, parts := []byte{7, sequences}, []byte{}
	for n := range uint32(sequences) {
		ack := forgedAck(from + n)
		out, parts = append(out, 0, byte(len(ack))), append(parts, ack...)
	}
	return append(out, parts...)
}

func forgedAlive(incarnation uint32, at netip.Addr, port uint16) []byte {
	out := append([]byte{4, 0x85}, packed("Incarnation")...)
	out = append(out, 0xce, byte(incarnation>>24), byte(incarnation>>16), byte(incarnation>>8), byte(incarnation))
	out = append(append(out, packed("Node")...), packed(victim)...)
	out = append(append(out, packed("Addr")...), packed(string(at.AsSlice()))...)
	out = append(append(out, packed("Port")...), 0xcd, byte(port>>8), byte(port))
	return append(append(out, packed("Vsn")...), packed("\x01\x05\x02\x00\x00\x00")...)
}

// packed returns a short string in msgpack.
func packed(s string) []byte { return append([]byte{0xa0 | byte(len(s))}, s...) }

// pings is a network in which every host answers pings until it dies.
type pings struct {
	mu   sync.Mutex
	dead map[netip.Addr]bool
}

func (p *pings) die(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead[a] = true
}

func (p *pings) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	p.mu.Lock()
	dead := p.dead[to]
	p.mu.Unlock()
	if dead {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return 20 * time.Millisecond, nil
}

func (p *pings) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no services")
}

func (p *pings) Resolve(context.Context, mesh.Family, string) ([]netip.Addr, error) {
	return nil, errors.New("no names")
}
