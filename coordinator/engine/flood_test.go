package engine_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// sixRegions is a catalog of six regions, so that five are enough for a verdict.
func sixRegions(t *testing.T) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("regions: [{name: r1}, {name: r2}, {name: r3}, {name: r4}, {name: r5}, {name: r6}]\nhosts:\n")
	for i := range 6 {
		fmt.Fprintf(&b, "  - {name: NC%d, region: r%d, address: 192.0.2.%d}\n", i+1, i+1, i+1)
	}
	c, err := catalogfile.Parse("test.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// member is an agent that observes NC1 every 200 ms.
type member struct {
	name        string
	token, seed string
	sent        uint64
}

func (c *coordinator) enroll(t *testing.T, name string) *member {
	t.Helper()
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.server.Issue(name, public)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.core.Members.Enrolled(t.Context(), name, public); err != nil {
		t.Fatal(err)
	}
	return &member{name: name, token: token, seed: seed}
}

// vote publishes until ctx ends. Every batch that it counts as sent was acknowledged.
func (m *member) vote(ctx context.Context, t *testing.T, c *coordinator, revision string, sees func() mesh.Outcome) {
	a, err := busagent.Dial(t.Context(), busagent.Config{
		Name: m.name, Endpoint: c.server.Endpoint(), JWT: m.token, Seed: m.seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer a.Close()
	bounded, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); ctx.Err() == nil; <-ticker.C {
		at := time.Now()
		b := &mesh.Batch{Agent: m.name, Epoch: 1, Sequence: m.sent + 1, Revision: revision, Began: at}
		b.Observations = []mesh.Observation{
			{Host: "nc1", Check: "ping", Family: mesh.IPv4, Began: at, Outcome: sees(), Reason: "timeout", Sent: 1},
		}
		data, err := wire.EncodeBatch(b)
		if err != nil {
			t.Error(err)
			return
		}
		headers := func() map[string]string { return wire.EncodeHeaders(time.Since(at), time.Since(began)+time.Second) }
		if err := a.Publish(bounded, fmt.Sprint(m.name, "-", m.sent+1), headers, data); err != nil {
			t.Errorf("%s: %v", m.name, err)
			return
		}
		m.sent++
	}
}

// flooded counts what became of a flood.
type flooded struct {
	published, disconnected, refused atomic.Int64
}

// flood publishes as much as it can, and reconnects whenever it is disconnected, until ctx ends. It names another agent
// as its user.
func (m *member) flood(
	ctx context.Context, t *testing.T, c *coordinator, victim *member, revision string, count *flooded,
) {
	public, err := bus.PublicKey(victim.seed)
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		conn, err := nats.Connect(c.server.Servers()[0], nats.Secure(c.trusted(t)),
			nats.UserJWTAndSeed(m.token, m.seed), nats.NoReconnect(),
			nats.Name(victim.name), func(o *nats.Options) error { o.User = public; return nil },
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			count.refused.Add(1)
			time.Sleep(20 * time.Millisecond) // its attempts cost this machine as much as the server's answers
			continue
		}
		for i := 0; ctx.Err() == nil && conn.IsConnected(); i++ {
			data := fmt.Appendf(nil, `{"v":1,"a":%q,"e":"7","n":%d,"c":%q,"o":[`+
				`{"h":"nc1","k":"ping","f":4,"t":0,"s":"+"},{"h":"x","k":"y","t":0,"s":"-"}]}`, m.name, i, revision)
			msg := &nats.Msg{Subject: bus.SubjectObservations + m.name, Header: nats.Header{}, Data: data}
			for k, v := range wire.EncodeHeaders(0, time.Hour) {
				msg.Header.Set(k, v)
			}
			if conn.PublishMsg(msg) != nil {
				break
			}
			count.published.Add(1)
		}
		if ctx.Err() == nil {
			count.disconnected.Add(1)
		}
		conn.Close()
	}
}

// One agent floods the bus and reports a host up that is down. The others are not affected: each of their batches is
// stored once, and their verdict is reached.
func TestAFloodingAgentIsCutOffAndAffectsNoOther(t *testing.T) {
	c := start(t, t.TempDir())
	next := sixRegions(t)
	if _, err := c.core.Catalogs.Apply(t.Context(), next, "test", true); err != nil {
		t.Fatal(err)
	}
	hostile, others := c.enroll(t, "nc6"), []*member{}
	for _, name := range []string{"nc2", "nc3", "nc4", "nc5"} {
		others = append(others, c.enroll(t, name))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	var outcome atomic.Value
	outcome.Store(mesh.Reachable)
	sees := func() mesh.Outcome { return outcome.Load().(mesh.Outcome) }
	for _, m := range others {
		tasks.Go(func() { m.vote(ctx, t, c, next.Revision, sees) })
	}
	eventually(t, "operational", func() bool { return c.status() == mesh.Operational })
	flooding, stop := context.WithCancel(ctx)
	var count flooded
	tasks.Go(func() { hostile.flood(flooding, t, c, others[0], next.Revision, &count) })
	eventually(t, "the flooding agent is excluded",
		func() bool { return strings.Contains(c.abstains("NC6"), "excluded: ") })
	outcome.Store(mesh.Unreachable)
	eventually(t, "down", func() bool { return c.status() == mesh.MajorOutage })
	for _, name := range []string{"NC2", "NC3", "NC4", "NC5"} {
		if why := c.abstains(name); why != "" {
			t.Errorf("%s does not vote: %s", name, why)
		}
	}
	// It may be excluded before the server disconnects it.
	eventually(t, "the flooding agent is disconnected and cannot reconnect at once", func() bool {
		return count.disconnected.Load() > 0 && count.refused.Load() > 0
	})
	stop()
	cancel()
	tasks.Wait()
	stored := c.count(t)
	t.Logf("published %d batches, of which %d are stored; disconnected %d times, refused %d times",
		count.published.Load(), stored["nc6"], count.disconnected.Load(), count.refused.Load())
	for _, m := range others {
		if n := stored[m.name]; n != int(m.sent) {
			t.Errorf("%s sent %d batches and %d are stored", m.name, m.sent, n)
		}
	}
}

func (c *coordinator) trusted(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.server.CA()) {
		t.Fatal("the CA is no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: bus.ServerName}
}

// abstains returns why a vantage has no vote, as operators see it.
func (c *coordinator) abstains(name string) string {
	_, s := c.core.Engine.Current()
	i := slices.IndexFunc(s.Vantages, func(v mesh.VantageState) bool { return v.Name == name })
	if i < 0 {
		return "no vantage"
	}
	return s.Vantages[i].Abstains
}

// count returns how many batches of each agent are stored.
func (c *coordinator) count(t *testing.T) map[string]int {
	t.Helper()
	end := errors.New("end")
	out, last := map[string]int{}, c.last(t)
	err := c.bus.Follow(t.Context(), bus.Start{Sequence: 1}, func(m bus.Message) error {
		out[m.Agent]++
		if m.Sequence >= last {
			return end
		}
		return nil
	})
	if !errors.Is(err, end) {
		t.Fatal(err)
	}
	return out
}

func (c *coordinator) last(t *testing.T) uint64 {
	t.Helper()
	streams, err := c.bus.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return streams[0].Last
}
