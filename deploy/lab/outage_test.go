package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	natsd "github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

// tenHosts is a catalog of ten hosts with three checks each, at 10 s.
func tenHosts(t testing.TB) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("defaults: {interval: 10s, timeout: 3s}\nregions:\n")
	for n := range 10 {
		fmt.Fprintf(&b, "  - {name: r%d, city: C, country: NL, latitude: 1, longitude: 1}\n", n)
	}
	b.WriteString("hosts:\n")
	for n := range 10 {
		fmt.Fprintf(&b, "  - {name: NC%d, region: r%d, address: 192.0.2.%d, checks: [{kind: ping}, {kind: tcp, port: 25}, {kind: tcp, port: 143}]}\n", n, n, n+1)
	}
	c, err := catalog.Parse("ten.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wellNetwork reaches everything in 20 ms, except the addresses that are away.
type wellNetwork struct {
	mu   sync.Mutex
	away netip.Addr
}

func (n *wellNetwork) take(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = a
}

func (n *wellNetwork) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	n.mu.Lock()
	away := n.away == to
	n.mu.Unlock()
	if away {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	time.Sleep(20 * time.Millisecond)
	return 20 * time.Millisecond, nil
}

func (n *wellNetwork) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	theirs.Close()
	return ours, nil
}

func (n *wellNetwork) Resolve(context.Context, nouns.Family, string) ([]netip.Addr, error) {
	return nil, errors.New("no names")
}

// noBus is NATS that is away from an agent that has its catalog.
type noBus struct{ catalog *catalog.Catalog }

func (b noBus) Send(string, map[string]string, []byte) func(context.Context) error {
	return func(context.Context) error { return errors.New("away") }
}
func (b noBus) Catalog(context.Context) ([]byte, error) { return wire.EncodeCatalog(b.catalog) }
func (b noBus) Controls() <-chan []byte                 { return nil }
func (b noBus) Connected() (time.Time, bool)            { return time.Time{}, false }
func (b noBus) ConnectionChanged() <-chan struct{}      { return nil }

// clockFrom is a machine that was up for so long when this was called.
func clockFrom(uptime time.Duration) spool.Clock {
	began := time.Now()
	return spool.Clock{Boot: "the lab", Uptime: func() time.Duration { return uptime + time.Since(began) }}
}

// gather has a real agent work without NATS for so long, in a bubble of time that passes at once, and returns its spool as a kill
// -9 leaves it: nothing was closed.
func gather(t *testing.T, c *catalog.Catalog, away time.Duration) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		config := vantage.Config{
			Name: "nc1", Bus: noBus{c}, Network: &wellNetwork{}, Logger: zerolog.Nop(), Spool: spool.Config{Dir: dir, Clock: clockFrom(0)},
		}
		go func() { done <- vantage.Run(ctx, config) }()
		time.Sleep(away)
		if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return image
}

// cutTail makes a power cut of a kill: the end of the newest file never reached the disk, and a bit before it flipped.
func cutTail(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	slices.Sort(files)
	last := files[len(files)-1]
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(last, data[:len(data)-min(3001, len(data)/4)], 0o600); err != nil {
		t.Fatal(err)
	}
}

// sequences reads which batches stand in a spool, oldest first, and how many observations they have.
func sequences(t *testing.T, dir string) (out []uint64, observations int) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(spool.Config{Dir: copied})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	records, err := s.Read(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		b, err := wire.DecodeBatch(r.Payload, 0, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		out, observations = append(out, b.Sequence), observations+len(b.Observations)
	}
	return out, observations
}

// coast is a real server with a coordinator's connection that answers for the catalog and hears everything.
type coast struct {
	t       *testing.T
	dir     string
	listen  string
	catalog *catalog.Catalog
	server  *natsd.Server
	stop    func()

	mu    sync.Mutex
	heard []*nouns.Batch
	late  []time.Duration // each batch's, from its opening to the stream
	from  uint64
}

func (c *coast) start() {
	c.t.Helper()
	s, err := natsd.Start(c.t.Context(), natsd.Config{Dir: c.dir, Listen: c.listen, Advertise: "127.0.0.1", Logger: zerolog.Nop()})
	if err != nil {
		c.t.Fatal(err)
	}
	config, err := s.CoordinatorConfig()
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(c.t.Context(), config)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	data, err := wire.EncodeCatalog(c.catalog)
	if err != nil {
		c.t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = conn.AnswerCatalog(ctx, make(chan struct{}), func(string) []byte { return data }) })
	tasks.Go(func() { _ = conn.Follow(ctx, bus.Start{Sequence: c.from + 1}, c.hear) })
	c.server, c.listen = s, strings.TrimPrefix(s.Servers()[0], "tls://")
	c.stop = func() {
		cancel()
		tasks.Wait()
		conn.Close()
		s.Close()
	}
}

func (c *coast) hear(m bus.Message) error {
	age, link, err := wire.ParseHeaders(m.Header)
	if err != nil {
		return err
	}
	b, err := wire.DecodeBatch(m.Data, age, link, m.Time)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = m.Sequence
	c.heard, c.late = append(c.heard, b), append(c.late, age)
	return nil
}

// of are the sequences heard of one life of the agent, in the stream's order, and those of all others with the worst delay of a
// batch that was no history.
func (c *coast) of(life uint64) (history []uint64, live int, worst time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.heard {
		switch {
		case b.Epoch == life:
			history = append(history, b.Sequence)
		case !b.History():
			live, worst = live+1, max(worst, c.late[i])
		}
	}
	return history, live, worst
}

// missed reports whether a miss of the host was heard as news.
func (c *coast) missed(host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.heard {
		for _, o := range b.Observations {
			if o.Host == host && o.Outcome == nouns.Unreachable && !b.Replayed(o) {
				return nil
			}
		}
	}
	return errors.New("not heard of")
}

// TestHoursWithoutNATS: an agent works for two hours without NATS, as many records as that are on its disk, it is killed, and
// another one starts on what it left when NATS is back. Everything arrives after, in order, none twice; news do not wait; and NATS
// goes away once more in the middle of it.
func TestHoursWithoutNATS(t *testing.T) {
	t.Parallel()
	away := 2 * time.Hour
	if !testenv.LongAsked() {
		away = 10 * time.Minute
		t.Log("ten minutes instead of two hours without PROBEMESH_LONG=1 or -run")
	}
	c := tenHosts(t)
	killed := gather(t, c, away)
	for _, end := range []string{"kill -9", "power cut"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			if err := os.CopyFS(dir, os.DirFS(killed)); err != nil {
				t.Fatal(err)
			}
			if end == "power cut" {
				cutTail(t, dir)
			}
			comeBack(t, c, dir, away)
		})
	}
}

func comeBack(t *testing.T, c *catalog.Catalog, dir string, away time.Duration) {
	want, observations := sequences(t, dir)
	if least := int(away/(2*time.Second)) * 9 / 10; len(want) < least || observations < 27*int(away/(10*time.Second))*9/10 {
		t.Fatalf("only %d batches with %d observations gathered", len(want), observations)
	}
	life := lifeOf(t, dir)
	shore := &coast{t: t, dir: t.TempDir(), listen: "127.0.0.1:0", catalog: c}
	shore.start()
	defer func() { shore.stop() }()
	network := &wellNetwork{}
	end := work(t, shore, network, spool.Config{Dir: dir, Clock: clockFrom(away + time.Second)})
	began := time.Now()
	arrived := func(n int) func() error {
		return func() error {
			if got, _, _ := shore.of(life); len(got) < n {
				return fmt.Errorf("%d of %d", len(got), n)
			}
			return nil
		}
	}
	eventually(t, 30*time.Second, "the first of the history", arrived(20))
	network.take(netip.MustParseAddr("192.0.2.6"))
	news := eventually(t, 15*time.Second, "a miss is heard of beside the history", func() error { return shore.missed("nc5") })
	network.take(netip.Addr{})
	shore.stop()
	shore.start()
	eventually(t, time.Minute+away/10, "all of the history", arrived(len(want)))
	took := time.Since(began)
	end()
	got, live, worst := shore.of(life)
	if !slices.Equal(got, want) {
		t.Errorf("arrived are %d batches and not the %d that were on the disk, in order, none twice", len(got), len(want))
	}
	if worst > 5*time.Second {
		t.Errorf("news came %v late", worst)
	}
	t.Logf("%d batches with %d observations arrived in %v, NATS' own restart included; beside them %d batches of news, which left %v after they were opened at the latest; a host that went away was heard of %v after",
		len(got), observations, took.Round(time.Second), live, worst.Round(time.Millisecond), news.Round(time.Millisecond))
	if left, _ := sequences(t, dir); len(left) > 1 {
		t.Errorf("%d batches are left on the disk", len(left))
	}
}

// lifeOf is the epoch of the agent that left the spool.
func lifeOf(t *testing.T, dir string) uint64 {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(spool.Config{Dir: copied})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	records, err := s.Read(0, 1)
	if err != nil || len(records) == 0 {
		t.Fatal(records, err)
	}
	b, err := wire.DecodeBatch(records[0].Payload, 0, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b.Epoch
}

// work runs an agent on the bus until the function that it returns is called.
func work(t *testing.T, shore *coast, network *wellNetwork, config spool.Config) (end func()) {
	t.Helper()
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := shore.server.Issue("nc1", public)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := busagent.Dial(t.Context(), busagent.Config{
		Name: "nc1", Endpoint: shore.server.Endpoint(), JWT: token, Seed: seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- vantage.Run(ctx, vantage.Config{Name: "nc1", Version: "lab", Bus: conn, Network: network, Spool: config, Logger: zerolog.Nop()})
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
}
