package vantage_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/vantage"
	probebus "github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

// bus is NATS in memory, as an agent uses it.
type bus struct {
	mu       sync.Mutex
	catalog  *catalog.Catalog
	keys     map[string]ed25519.PublicKey // of the admitted agents
	secrets  map[string]secret.Text       // nil: none are sent
	hostile  bool                         // secrets are sealed to another key
	refuses  int                          // requests for the catalog that get no answer from now on
	since    time.Time                    // zero while there is no connection
	changed  chan struct{}
	controls chan []byte
	batches  []*mesh.Batch
}

func newBus(c *catalog.Catalog) *bus {
	return &bus{catalog: c, since: time.Now(), changed: make(chan struct{}, 1), controls: make(chan []byte, 8)}
}

func (b *bus) Send(_ string, headers map[string]string, data []byte) func(context.Context) error {
	err := errors.New("not connected")
	if _, ok := b.Connected(); ok {
		err = b.store(headers, data)
	}
	return func(context.Context) error { return err }
}

func (b *bus) store(headers map[string]string, data []byte) error {
	age, link, err := wire.ParseHeaders(func(key string) string { return headers[key] })
	if err != nil {
		return err
	}
	batch, err := wire.DecodeBatch(data, age, link, time.Now())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches = append(b.batches, batch)
	return nil
}

func (b *bus) Catalog(_ context.Context, key probebus.SealKey) ([]byte, error) {
	if _, ok := b.Connected(); !ok {
		return nil, errors.New("not connected")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuses > 0 {
		b.refuses--
		return nil, errors.New("no answer")
	}
	answer, err := wire.EncodeAnswer(wire.Answer{Catalog: b.catalog, Keys: b.keys})
	if err != nil {
		return nil, err
	}
	return b.sealTo(answer, key)
}

func (b *bus) Controls() <-chan []byte            { return b.controls }
func (b *bus) ConnectionChanged() <-chan struct{} { return b.changed }

func (b *bus) Connected() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, !b.since.IsZero()
}

func (b *bus) connect(since time.Time) {
	b.mu.Lock()
	b.since = since
	b.mu.Unlock()
	b.changed <- struct{}{}
}

// published returns the batches published since the last call, and their observations.
func (b *bus) published() (batches []*mesh.Batch, obs []mesh.Observation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, batch := range b.batches {
		obs = append(obs, batch.Observations...)
	}
	batches, b.batches = b.batches, nil
	return batches, obs
}

// network answers pings after 50 ms, except those to addresses that are away.
type network struct {
	mu   sync.Mutex
	away map[netip.Addr]bool
	sent map[netip.Addr]int
}

// count returns how many probes were sent to an address since the last call.
func (n *network) count(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	to := netip.MustParseAddr(address)
	defer delete(n.sent, to)
	return n.sent[to]
}

func (n *network) set(address string, away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[netip.MustParseAddr(address)] = away
}

func (n *network) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	n.mu.Lock()
	away := n.away[to]
	if n.sent == nil {
		n.sent = map[netip.Addr]int{}
	}
	n.sent[to]++
	n.mu.Unlock()
	if away {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	time.Sleep(50 * time.Millisecond)
	return 50 * time.Millisecond, nil
}

func (n *network) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not in this test")
}

func (n *network) Resolve(context.Context, mesh.Family, string) ([]netip.Addr, error) {
	return nil, errors.New("not in this test")
}

const file = `
regions:
  - {name: ams, city: Amsterdam, country: NL, latitude: 1, longitude: 1, anchors: [192.0.2.8, 192.0.2.9]}
  - {name: lon, city: London, country: GB, latitude: 1, longitude: 1}
hosts:
  - {name: AMS1, region: ams, address: 192.0.2.1}
  - {name: AMS2, region: ams, address: 192.0.2.2}
  - {name: LON1, region: lon, address: 192.0.2.3}
`

// start runs the agent of AMS1 in a synctest bubble, and ends it after the story.
func start(t *testing.T, story func(b *bus, n *network)) {
	startWith(t, func(*vantage.Config) {}, story)
}

func startWith(t *testing.T, with func(*vantage.Config), story func(b *bus, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		c, err := catalogfile.Parse("test.yaml", []byte(file), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		b, n := newBus(c), &network{away: map[netip.Addr]bool{}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		config := vantage.Config{Name: "ams1", Version: "test", Bus: b, Network: n, Logger: zerolog.Nop()}
		with(&config)
		go func() { done <- vantage.Run(ctx, config) }()
		story(b, n)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHealthy(t *testing.T) {
	start(t, func(b *bus, _ *network) {
		time.Sleep(time.Minute)
		batches, obs := b.published()
		if len(batches) < 29 || len(obs) < 11 || len(obs) > 13 {
			t.Errorf("%d batches with %d observations in a minute", len(batches), len(obs))
		}
		for _, o := range obs {
			if o.Outcome != mesh.Reachable || o.RTT != 50*time.Millisecond {
				t.Errorf("obs %+v", o)
			}
		}
	})
}

func TestHostFailsAndRecovers(t *testing.T) {
	start(t, func(b *bus, n *network) {
		time.Sleep(30 * time.Second)
		n.set("192.0.2.3", true)
		b.published()
		time.Sleep(12 * time.Second)
		batches, obs := b.published()
		var lon []mesh.Observation
		for _, o := range obs {
			if o.Host == "lon1" && !o.Outcome.Good() {
				lon = append(lon, o)
			}
		}
		if len(lon) < 2 || lon[0].Stage != mesh.Missed || lon[1].Stage != mesh.Settled || lon[1].Reason != "timeout" {
			t.Fatalf("obs %+v", lon)
		}
		for _, batch := range batches {
			for _, o := range batch.Observations {
				if late := batch.Began.Sub(o.Ended()); !o.Outcome.Good() && late > 50*time.Millisecond {
					t.Errorf("a failure waited for %v", late)
				}
			}
		}
		n.set("192.0.2.3", false)
		time.Sleep(12 * time.Second)
		if _, obs := b.published(); obs[len(obs)-1].Outcome != mesh.Reachable {
			t.Errorf("obs %+v", obs)
		}
	})
}

func TestAnchors(t *testing.T) {
	failed := func(b *bus) (obs bool) {
		batches, _ := b.published()
		return batches[len(batches)-1].AnchorsFail
	}
	start(t, func(b *bus, n *network) {
		time.Sleep(30 * time.Second)
		n.set("192.0.2.8", true)
		time.Sleep(20 * time.Second)
		if failed(b) {
			t.Error("one of two anchors is away, and AnchorsFail is set")
		}
		n.set("192.0.2.9", true)
		n.set("192.0.2.2", true)
		n.set("192.0.2.3", true)
		time.Sleep(7 * time.Second) // less than their interval: a miss elsewhere starts looks at the anchors
		if !failed(b) {
			t.Error("both anchors are away, and AnchorsFail is not set")
		}
		n.set("192.0.2.9", false)
		time.Sleep(12 * time.Second)
		if failed(b) {
			t.Error("an anchor is back, and AnchorsFail is still set")
		}
	})
}

func TestLookNow(t *testing.T) {
	start(t, func(b *bus, _ *network) {
		time.Sleep(15 * time.Second)
		b.published()
		for _, host := range []string{"lon1", "ams2"} {
			data, err := wire.EncodeControl(wire.Control{Round: &mesh.RoundRequest{Round: 99, Host: host}})
			if err != nil {
				t.Fatal(err)
			}
			b.controls <- data
		}
		time.Sleep(100 * time.Millisecond)
		_, obs := b.published()
		answers := 0
		for _, o := range obs {
			if o.Round == 99 {
				answers++
				if o.Host != "lon1" {
					t.Errorf("an agent of the host's own region answered: %+v", o)
				}
			}
		}
		if answers != 1 {
			t.Errorf("%d answers: %+v", answers, obs)
		}
	})
}

func TestOutageOfNATSLosesNothingThatFits(t *testing.T) {
	start(t, func(b *bus, n *network) {
		time.Sleep(30 * time.Second)
		b.published()
		b.connect(time.Time{})
		n.set("192.0.2.3", true)
		time.Sleep(2 * time.Minute)
		b.connect(time.Now())
		time.Sleep(time.Second)
		batches, obs := b.published()
		bad := 0
		for _, batch := range batches {
			for _, o := range batch.Observations {
				if o.Outcome == mesh.Unreachable && o.Stage == mesh.Settled && batch.Replayed(o) {
					bad++
				}
			}
		}
		if bad < 11 || len(obs) < 22 {
			t.Errorf("%d of about 12 failures arrived, and %d observations", bad, len(obs))
		}
	})
}
