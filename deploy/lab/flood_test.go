package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/coordinator/quotaguard"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	natsd "github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quota"
)

// The scale of the flood. The attack has its true speed, 130 kB messages at 3.5 MB/s, which is below what the bus
// refuses by itself and would fill a stream of 2 GiB in ten minutes. The stream and an agent's budget are a hundredth
// of those of a mesh of ten hosts, so that the stream fills in eleven seconds; and `explain` must reach back to the
// minute before the flood instead of two days.
const (
	floodRate   = 3_500_000
	floodBudget = 8 << 20
	floodStream = 38 << 20
)

// flooded is a coordinator with eight real agents that probe every 2 s, on this machine's loopback.
type flooded struct {
	core    *node.Core
	t       *testing.T
	server  *natsd.Server
	bus     *buscoordinator.Conn
	network *fakeNetwork
	seeds   map[string][2]string // JWT and seed, by agent
}

const floodAgents = 8

// floodCatalog returns a catalog of one host in each of eight regions, with a ping every 2 s.
func floodCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("defaults: {interval: 2s, timeout: 1s}\nregions:\n")
	for n := range floodAgents {
		fmt.Fprintf(&b, "  - {name: r%d}\n", n)
	}
	b.WriteString("hosts:\n")
	for n := range floodAgents {
		fmt.Fprintf(&b, "  - {name: NC%d, region: r%d, address: 192.0.2.%d, checks: [{kind: ping}]}\n", n, n, n+1)
	}
	c, err := catalogfile.Parse("flood.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startFlooded starts the coordinator and its agents, with or without the quotas of what agents publish.
func startFlooded(t *testing.T, accounting bool) *flooded {
	t.Helper()
	dir := t.TempDir()
	s, err := natsd.Start(t.Context(), natsd.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(s.Close)
	way, err := s.CoordinatorConfig()
	must(t, err)
	conn, err := buscoordinator.Dial(t.Context(), way)
	must(t, err)
	t.Cleanup(conn.Close)
	must(t, conn.Lead(t.Context()))
	must(t, conn.ResizeObservations(t.Context(), floodStream))
	book, v, err := engine.OpenLedger(t.Context(), conn, filepath.Join(dir, "view.db"))
	must(t, err)
	t.Cleanup(func() { _ = v.Close() })
	core, err := node.OpenCore(t.Context(), node.CoreConfig{
		Bus: conn, Ledger: book, View: v, Catalog: floodCatalog(t), Streams: conn.Streams, Logger: zerolog.Nop(),
	})
	must(t, err)
	f := &flooded{core: core, t: t, server: s, bus: conn, network: &fakeNetwork{}, seeds: map[string][2]string{}}
	f.background(core.Run)
	if accounting {
		plan := func(c *catalog.Catalog) quota.Plan {
			p := quota.Plan{Agents: map[string]quota.Volume{}, Unlisted: floodBudget, Size: floodStream}
			for i := range c.Hosts {
				p.Agents[c.Hosts[i].Key()] = quota.Volume{Expected: floodBudget / 10, Budget: floodBudget}
			}
			return p
		}
		a := quotaguard.New(quotaguard.Config{
			Bus: conn, Issuer: s, Members: core.Members, Catalogs: v.CatalogsSince, Plan: plan,
			Warn: core.Warnings.Warn, Logger: zerolog.Nop(),
		})
		f.background(a.Run)
	}
	eventually(t, 30*time.Second, "the coordinator is ready", func() error {
		if !core.Engine.Ready() {
			return errors.New("not ready")
		}
		return nil
	})
	for n := range floodAgents {
		f.join(fmt.Sprintf("nc%d", n))
	}
	return f
}

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// background runs a function until the test ends.
func (f *flooded) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := run(ctx); err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(func() { cancel(); tasks.Wait() })
}

// join enrols an agent and runs it until the test ends.
func (f *flooded) join(name string) {
	f.t.Helper()
	public, seed, err := bus.NewKey()
	must(f.t, err)
	token, err := f.server.Issue(name, public)
	must(f.t, err)
	must(f.t, f.core.Members.Enrolled(f.t.Context(), name, public))
	f.seeds[name] = [2]string{token, seed}
	conn, err := busagent.Dial(f.t.Context(), busagent.Config{
		Name: name, Endpoint: f.server.Endpoint(), JWT: token, Seed: seed, Logger: zerolog.Nop(),
	})
	must(f.t, err)
	f.t.Cleanup(conn.Close)
	f.background(func(ctx context.Context) error {
		return vantage.Run(ctx, vantage.Config{
			Name: name, Version: "lab", Bus: conn, Network: f.network, Logger: zerolog.Nop(),
		})
	})
}

// state returns the judge's state of NC1 at a moment, or now if the time is zero.
func (f *flooded) state(at time.Time) (nouns.HostState, error) {
	_, s := f.core.Engine.Current()
	if !at.IsZero() {
		var err error
		if _, s, err = f.core.Replayer.At(f.t.Context(), at); err != nil {
			return nouns.HostState{}, err
		}
	}
	for _, h := range s.Hosts {
		if h.Name == "NC1" {
			return h, nil
		}
	}
	return nouns.HostState{}, errors.New("no NC1")
}

// await waits until NC1 has the status.
func (f *flooded) await(status nouns.Status) {
	f.t.Helper()
	eventually(f.t, 30*time.Second, string(status), func() error {
		h, err := f.state(time.Time{})
		if err == nil && h.Status != status {
			err = fmt.Errorf("NC1 is %s", h.Status)
		}
		return err
	})
}

// flood publishes as the agent for this long, at floodRate. It connects again whenever it is disconnected.
func (f *flooded) flood(name string, long time.Duration) (published int) {
	f.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(f.server.CA())
	for began := time.Now(); time.Since(began) < long; time.Sleep(20 * time.Millisecond) {
		conn, err := nats.Connect(f.server.Servers()[0],
			nats.Secure(&tls.Config{RootCAs: pool, ServerName: bus.ServerName}),
			nats.UserJWTAndSeed(f.seeds[name][0], f.seeds[name][1]), nats.NoReconnect(),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // silences the default handler
		if err != nil {
			continue
		}
		_ = conn.Flush()
		data := make([]byte, min(conn.MaxPayload(), 250_000)-100)
		for conn.IsConnected() && time.Since(began) < long {
			_ = conn.Publish(bus.SubjectObservations+name, data)
			published += len(data)
			time.Sleep(time.Duration(len(data)) * time.Second / floodRate)
		}
		conn.Close()
	}
	return published
}

// votesOn lists each region's vote on a host's first check.
func votesOn(h nouns.HostState) string {
	var out []string
	for _, v := range h.Checks[0].Votes {
		out = append(out, fmt.Sprintf("%s %s", v.Region, v.Vote))
	}
	return strings.Join(out, ", ")
}

// TestExplainReachesBackBehindAFlood has a host go down and recover; then one agent publishes as fast as it can for
// twenty seconds. The votes from before the flood must still be there to explain, the flooding agent's own among them.
func TestExplainReachesBackBehindAFlood(t *testing.T) {
	t.Parallel()
	f := startFlooded(t, true)
	at, want := f.outage()
	published := f.flood("nc7", 20*time.Second)
	info, err := f.bus.Streams(t.Context())
	must(t, err)
	t.Logf("nc7 published %d MB; OBS has %d messages and %d MB of %d, from %d to %d",
		published>>20, info[0].Messages, info[0].Bytes>>20, floodStream>>20, info[0].First, info[0].Last)
	got, err := f.state(at)
	must(t, err)
	if votesOn(got) != votesOn(want) || got.Status != want.Status {
		t.Errorf("explain shows %s: %s\nwant %s: %s", got.Status, votesOn(got), want.Status, votesOn(want))
	}
	if info[0].First != 1 {
		t.Errorf("the stream begins at message %d: evidence was discarded", info[0].First)
	}
	problems := strings.Join(f.core.Health.Problems(), "\n")
	if !strings.Contains(problems, "agent NC7 may not publish until") {
		t.Error("problems shown to operators:", problems)
	}
	f.network.setUnreachable(netip.MustParseAddr("192.0.2.2")) // seven agents still see what fails
	f.await(nouns.MajorOutage)
}

// TestWithoutAccountingAFloodErasesTheEvidence shows that the test above fails without quotas.
func TestWithoutAccountingAFloodErasesTheEvidence(t *testing.T) {
	t.Parallel()
	f := startFlooded(t, false)
	at, _ := f.outage()
	published, err := 0, error(nil)
	for end := time.Now().Add(3 * time.Minute); err == nil && time.Now().Before(end); { // a busy machine is slower
		published += f.flood("nc7", 20*time.Second)
		_, err = f.state(at)
	}
	t.Logf("nc7 published %d MB; explain: %v", published>>20, err)
	if err == nil {
		t.Error("the evidence is still there, so the test of the flood proves nothing")
	}
}

// outage has NC1 go down and recover. It returns a moment at which it was down, and the judge's state at that moment.
func (f *flooded) outage() (at time.Time, then nouns.HostState) {
	f.t.Helper()
	f.await(nouns.Operational)
	f.network.setUnreachable(netip.MustParseAddr("192.0.2.2"))
	f.await(nouns.MajorOutage)
	time.Sleep(5 * time.Second)
	then, err := f.state(time.Time{})
	must(f.t, err)
	at = time.Now()
	time.Sleep(time.Second)
	f.network.setUnreachable(netip.Addr{})
	f.await(nouns.Operational)
	return at, then
}
