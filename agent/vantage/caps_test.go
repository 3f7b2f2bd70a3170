package vantage_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

func ask(t *testing.T, b *bus, host string, round uint64) {
	t.Helper()
	data, err := wire.EncodeControl(wire.Control{Round: &mesh.RoundRequest{Round: round, Host: host}})
	if err != nil {
		t.Fatal(err)
	}
	b.controls <- data
}

// manyChecks gives LON1 twenty checks.
func manyChecks(c *vantage.Config) {
	lon := &c.Bus.(*bus).catalog.Hosts[2]
	for i := range 19 {
		check := lon.Checks[0]
		check.ID, check.Name = "", fmt.Sprint("ping ", i)
		lon.Checks = append(lon.Checks, check)
	}
}

// A stolen coordinator that requests probes without end gets no more than the cap.
func TestStormOfRequestsIsCapped(t *testing.T) {
	startWith(t, manyChecks, func(b *bus, n *network) {
		time.Sleep(15 * time.Second)
		b.published()
		n.count("192.0.2.3")
		const seconds, perSecond = 60, 50
		for i := range seconds * perSecond {
			ask(t, b, "lon1", uint64(i+1))
			time.Sleep(time.Second / perSecond)
		}
		most := probe.TargetBurst + probe.TargetRate*seconds
		if got := n.count("192.0.2.3"); got > most || got < probe.TargetRate*seconds*9/10 {
			t.Errorf("%d probes sent in a minute, and the cap is %d", got, most)
		}
		time.Sleep(5 * time.Second)
		_, obs := b.published()
		last := uint64(0)
		for _, o := range obs {
			last = max(last, o.Round)
			if o.Outcome == mesh.Unreachable {
				t.Fatalf("obs %+v", o)
			}
		}
		if last != seconds*perSecond {
			t.Errorf("the last round was %d, and the last answered one %d", seconds*perSecond, last)
		}
	})
}

func TestStormDoesNotFloodAHostThatIsDown(t *testing.T) {
	startWith(t, manyChecks, func(b *bus, n *network) {
		n.set("192.0.2.3", true)
		time.Sleep(30 * time.Second)
		b.published()
		n.count("192.0.2.3")
		for i := range 3000 {
			ask(t, b, "lon1", uint64(i+1))
			time.Sleep(20 * time.Millisecond)
		}
		if got, most := n.count("192.0.2.3"), probe.TargetBurst+probe.TargetRate*60; got > most {
			t.Errorf("%d probes sent in a minute, and the cap is %d", got, most)
		}
		_, obs := b.published()
		for _, o := range obs {
			if o.Host == "lon1" && o.Outcome.Good() {
				t.Fatalf("obs %+v", o)
			}
		}
	})
}

func TestAllowListIsObserved(t *testing.T) {
	list, err := probe.ParseAllow([]string{"192.0.2.2"})
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeGossip{}
	startWith(t, func(c *vantage.Config) { c.Allow, c.Gossip = list, fake }, func(b *bus, n *network) {
		time.Sleep(30 * time.Second)
		batches, obs := b.published()
		seen := map[string]mesh.Outcome{}
		for _, o := range obs {
			seen[o.Host] = o.Outcome
			if o.Host == "lon1" &&
				o.Reason != "not permitted: this agent's allow-list has no 192.0.2.3 (agent run --allow)" {
				t.Errorf("obs %+v", o)
			}
		}
		if seen["ams2"] != mesh.Reachable || seen["lon1"] != mesh.Inconclusive || n.count("192.0.2.3") != 0 {
			t.Errorf("saw %v, and %d probes sent", seen, n.count("192.0.2.3"))
		}
		fake.set(func() {
			if got := strings.Join(fake.hosts, " "); got != "AMS1 AMS2" {
				t.Errorf("gossip goes to %s", got)
			}
		})
		if batches[len(batches)-1].AnchorsFail {
			t.Error("anchors that are not allowed count as failed")
		}
	})
}

// A catalog that asks for a thousand probes a second is rejected, since no coordinator makes one.
func TestAnAbsurdCatalogIsRefused(t *testing.T) {
	log := &testenv.Log{}
	startWith(t, func(c *vantage.Config) { c.Logger = zerolog.New(log) }, func(b *bus, n *network) {
		time.Sleep(15 * time.Second)
		synctest.Wait()
		before := b.catalog
		absurd := *before
		absurd.Hosts = append(absurd.Hosts[:0:0], absurd.Hosts...)
		absurd.Hosts[2].Checks = append(absurd.Hosts[2].Checks[:0:0], absurd.Hosts[2].Checks...)
		absurd.Hosts[2].Checks[0].Interval, absurd.Hosts[2].Checks[0].Timeout = time.Millisecond, time.Microsecond
		absurd.Revision = "0123456789ab"
		b.mu.Lock()
		b.catalog = &absurd
		b.mu.Unlock()
		n.count("192.0.2.3")
		time.Sleep(3 * time.Minute)
		if got := n.count("192.0.2.3"); got < 17 || got > 19 {
			t.Errorf("%d probes sent in three minutes by the catalog before", got)
		}
		batches, _ := b.published()
		refusal := batches[len(batches)-1].Refusal
		if refusal.Revision != absurd.Revision || !strings.Contains(refusal.Reason, "LON1") {
			t.Errorf("the agent reports %+v", refusal)
		}
		b.mu.Lock()
		b.catalog = before
		b.mu.Unlock()
		time.Sleep(2 * time.Minute)
		batches, _ = b.published()
		if got := batches[len(batches)-1].Refusal; got != (mesh.Refusal{}) {
			t.Errorf("with a valid catalog again it reports %+v", got)
		}
		for _, once := range []string{"catalog rejected, the previous one stays", "catalog no longer rejected"} {
			if strings.Count(log.String(), once) != 1 {
				t.Errorf("%q is not logged once: %s", once, log)
			}
		}
	})
}
