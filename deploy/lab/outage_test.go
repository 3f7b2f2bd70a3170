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
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

// tenHosts returns a catalog of ten hosts with three checks each, every 10 s.
func tenHosts(t testing.TB) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("defaults: {interval: 10s, timeout: 3s}\nregions:\n")
	for n := range 10 {
		fmt.Fprintf(&b, "  - {name: r%d, city: C, country: NL, latitude: 1, longitude: 1}\n", n)
	}
	b.WriteString("hosts:\n")
	for n := range 10 {
		const checks = "[{kind: ping}, {kind: tcp, port: 25}, {kind: tcp, port: 143}]"
		fmt.Fprintf(&b, "  - {name: NC%d, region: r%d, address: 192.0.2.%d, checks: %s}\n", n, n, n+1, checks)
	}
	c, err := catalogfile.Parse("ten.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fakeNetwork answers every probe after 20 ms, except those to one unreachable address.
type fakeNetwork struct {
	mu          sync.Mutex
	unreachable netip.Addr
}

// setUnreachable sets the unreachable address; the zero Addr for none.
func (n *fakeNetwork) setUnreachable(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unreachable = a
}

// Ping answers after 20 ms, or not before ctx ends.
func (n *fakeNetwork) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	n.mu.Lock()
	lost := n.unreachable == to
	n.mu.Unlock()
	if lost {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	time.Sleep(20 * time.Millisecond)
	return 20 * time.Millisecond, nil
}

// Dial connects to a server that closes the connection.
func (n *fakeNetwork) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	theirs.Close()
	return ours, nil
}

// Resolve fails: the catalogs of these tests have no names.
func (n *fakeNetwork) Resolve(context.Context, nouns.Family, string) ([]netip.Addr, error) {
	return nil, errors.New("no names")
}

// offlineBus answers an agent's question for the catalog, and then stores nothing, as if NATS were unreachable.
type offlineBus struct{ catalog *catalog.Catalog }

func (b offlineBus) Send(string, map[string]string, []byte) func(context.Context) error {
	return func(context.Context) error { return errors.New("offline") }
}
func (b offlineBus) Catalog(context.Context, bus.SealKey) ([]byte, error) {
	return wire.EncodeCatalog(b.catalog)
}
func (b offlineBus) Controls() <-chan []byte            { return nil }
func (b offlineBus) Connected() (time.Time, bool)       { return time.Time{}, false }
func (b offlineBus) ConnectionChanged() <-chan struct{} { return nil }

// clockFrom returns the clock of a machine that has been up for this long.
func clockFrom(uptime time.Duration) spool.Clock {
	began := time.Now()
	return spool.Clock{Boot: "the lab", Uptime: func() time.Duration { return uptime + time.Since(began) }}
}

// workOffline runs a real agent without NATS for this long, in synctest's virtual time, and returns a copy of its spool
// as kill -9 would leave it, with no file closed.
func workOffline(t *testing.T, c *catalog.Catalog, offline time.Duration) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		config := vantage.Config{
			Name: "nc1", Bus: offlineBus{c}, Network: &fakeNetwork{}, Logger: zerolog.Nop(),
			Spool: spool.Config{Dir: dir, Clock: clockFrom(0)},
		}
		go func() { done <- vantage.Run(ctx, config) }()
		time.Sleep(offline)
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

// damageTail does to a spool what a power cut may do: the end of the newest file never reached the disk, and a bit
// before it flipped.
func damageTail(t *testing.T, dir string) {
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

// sequences returns the sequence numbers of the batches in a spool, oldest first, and the number of their observations.
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

// TestHoursWithoutNATS has an agent work for two hours without NATS and kills it; another agent starts on its spool
// when NATS is back. All batches of the two hours must arrive, in order and none twice, although NATS restarts in the
// middle; live batches must not wait for them.
func TestHoursWithoutNATS(t *testing.T) {
	t.Parallel()
	offline := 2 * time.Hour
	if !testenv.LongRequested() {
		offline = 10 * time.Minute
		t.Log("ten minutes instead of two hours without PROBEMESH_LONG=1 or -run")
	}
	c := tenHosts(t)
	killed := workOffline(t, c, offline)
	for _, end := range []string{"kill -9", "power cut"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			if err := os.CopyFS(dir, os.DirFS(killed)); err != nil {
				t.Fatal(err)
			}
			if end == "power cut" {
				damageTail(t, dir)
			}
			testReconnect(t, c, dir, offline)
		})
	}
}

// testReconnect starts an agent on the spool in dir while NATS is reachable again.
func testReconnect(t *testing.T, c *catalog.Catalog, dir string, offline time.Duration) {
	want, observations := sequences(t, dir)
	// A batch every 2 s and 27 checks every 10 s, less the damaged tail.
	leastBatches, leastObservations := int(offline/(2*time.Second))*9/10, 27*int(offline/(10*time.Second))*9/10
	if len(want) < leastBatches || observations < leastObservations {
		t.Fatalf("the spool has only %d batches with %d observations", len(want), observations)
	}
	epoch := epochOf(t, dir)
	collector := &collector{t: t, dir: t.TempDir(), listen: "127.0.0.1:0", catalog: c}
	collector.start()
	defer func() { collector.stop() }()
	network := &fakeNetwork{}
	end := runAgent(t, collector, network, spool.Config{Dir: dir, Clock: clockFrom(offline + time.Second)})
	began := time.Now()
	arrived := func(n int) func() error {
		return func() error {
			if got, _, _ := collector.received(epoch); len(got) < n {
				return fmt.Errorf("%d of %d", len(got), n)
			}
			return nil
		}
	}
	eventually(t, time.Minute, "the first batches of the history", arrived(20))
	network.setUnreachable(netip.MustParseAddr("192.0.2.6"))
	noticed := eventually(t, 30*time.Second, "a miss arrives beside the history", func() error {
		return collector.receivedMiss("nc5")
	})
	network.setUnreachable(netip.Addr{})
	collector.stop()
	collector.start()
	eventually(t, time.Minute+offline/10, "all batches of the history", arrived(len(want)))
	took := time.Since(began)
	end()
	got, live, longest := collector.received(epoch)
	if !slices.Equal(got, want) {
		t.Errorf("%d batches arrived, want the %d of the spool, in order and none twice", len(got), len(want))
	}
	if longest > 10*time.Second { // behind the history it would be minutes
		t.Errorf("a live batch waited for %v", longest)
	}
	t.Logf("%d batches with %d observations arrived in %v, including a restart of NATS", len(got), observations, took)
	t.Logf("%d live batches arrived beside them, after %v at the latest; a miss after %v", live, longest, noticed)
	if left, _ := sequences(t, dir); len(left) > 1 {
		t.Errorf("the spool still has %d batches", len(left))
	}
}

// epochOf returns the epoch of the agent that wrote the spool.
func epochOf(t *testing.T, dir string) uint64 {
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

// runAgent runs an agent that is connected to the collector until the function that it returns is called.
func runAgent(t *testing.T, c *collector, network *fakeNetwork, config spool.Config) (end func()) {
	t.Helper()
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.server.Issue("nc1", public)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := busagent.Dial(t.Context(), busagent.Config{
		Name: "nc1", Endpoint: c.server.Endpoint(), JWT: token, Seed: seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- vantage.Run(ctx, vantage.Config{
			Name: "nc1", Version: "lab", Bus: conn, Network: network, Spool: config, Logger: zerolog.Nop(),
		})
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
}
