package vantage_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// fakeGossip is gossip in memory. A request for a proof takes 80 ms.
type fakeGossip struct {
	mu       sync.Mutex
	members  []gossip.Member
	proofs   map[string]gossip.Proof
	keys     map[string]ed25519.PublicKey
	asked    []string
	answers  bool
	revision string
	hosts    []string
}

func (r *fakeGossip) SetCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision, r.hosts, r.keys = c.Revision, nil, keys
	for _, h := range c.Hosts {
		r.hosts = append(r.hosts, h.Name)
	}
}

func (r *fakeGossip) Prove(_ context.Context, host string) error {
	asked := time.Now()
	time.Sleep(80 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, host)
	if r.proofs == nil {
		r.proofs = map[string]gossip.Proof{}
	}
	p := r.proofs[host]
	p.Host = host
	if !r.answers {
		p.Unanswered = asked
		r.proofs[host] = p
		return errors.New("no answer")
	}
	p.Proved = asked
	r.proofs[host] = p
	return nil
}

func (r *fakeGossip) Proofs() []gossip.Proof {
	r.mu.Lock()
	defer r.mu.Unlock()
	byHost := func(a, b gossip.Proof) int { return strings.Compare(a.Host, b.Host) }
	return slices.SortedFunc(maps.Values(r.proofs), byHost)
}

func (r *fakeGossip) Members() []gossip.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

func (r *fakeGossip) set(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// While a ping is lost gossip asks the host for a proof with each heartbeat; each proof is reported once.
func TestLostPingRequestsAProof(t *testing.T) {
	r := &fakeGossip{answers: true}
	startWith(t, func(c *vantage.Config) { c.Gossip = r }, func(b *bus, n *network) {
		r.set(func() {
			r.members = []gossip.Member{
				{Name: "ams2", State: gossip.Alive, Asked: time.Now()},
				{Name: "lon1", State: gossip.Alive, Asked: time.Now()},
			}
		})
		time.Sleep(20 * time.Second)
		// Only proofs are reported, not what members acknowledge.
		quiet, _ := b.published()
		reported := func(x *mesh.Batch) bool { return !cmp.Equal(x.Gossip, mesh.Gossip{}) }
		if r.revision == "" || len(r.asked) > 0 || slices.ContainsFunc(quiet, reported) {
			t.Errorf("catalog %q, asked %v", r.revision, r.asked)
		}
		failed := time.Now()
		n.set("192.0.2.3", true)
		time.Sleep(20 * time.Second)
		batches, _ := b.published()
		if len(batches) > 40 {
			t.Errorf("%d batches in 20 s", len(batches))
		}
		missed, bad := false, 0
		var proofs []time.Time
		for i, x := range batches {
			for _, o := range x.Observations {
				missed = missed || o.Host == "lon1" && o.Stage == mesh.Missed
				if bad == 0 && o.Outcome == mesh.Unreachable && o.Stage == mesh.Settled {
					bad = i
				}
			}
			for _, p := range x.Gossip.Proofs {
				if p.Host != "lon1" || p.At.Before(failed) {
					t.Errorf("%+v", p)
				}
				proofs = append(proofs, p.At)
			}
			if !cmp.Equal(x.Gossip.Proofs, x.Gossip.Acks) {
				t.Errorf("a coordinator of version N-1 reads %v instead of %v", x.Gossip.Acks, x.Gossip.Proofs)
			}
		}
		first := slices.IndexFunc(batches, func(x *mesh.Batch) bool { return len(x.Gossip.Proofs) > 0 })
		if !missed || len(proofs) < 5 || first > bad {
			t.Errorf("missed %v, %d proofs, the first in batch %d; bad in %d", missed, len(proofs), first, bad)
		}
	})
}

// A death that others report is passed on once this agent's own challenge confirms it, so that one liar cannot have
// all agents report it.
func TestDeathIsReportedOnceConfirmed(t *testing.T) {
	reportsDeath := func(x *mesh.Batch) bool { return len(x.Gossip.Dead) > 0 }
	r := &fakeGossip{answers: true}
	startWith(t, func(c *vantage.Config) { c.Gossip = r }, func(b *bus, n *network) {
		dead := func() []gossip.Member {
			return []gossip.Member{
				{Name: "ams2", State: gossip.Dead, Since: time.Now()},
				{Name: "lon1", State: gossip.Left, Since: time.Now()},
			}
		}
		r.set(func() { r.members = dead() })
		time.Sleep(20 * time.Second)
		batches, _ := b.published()
		if slices.ContainsFunc(batches, reportsDeath) || len(r.asked) == 0 {
			t.Errorf("the death of a host that answers is reported; asked %v", r.asked)
		}
		r.set(func() { r.answers, r.members = false, dead() })
		time.Sleep(15 * time.Second)
		batches, _ = b.published()
		last := batches[len(batches)-1].Gossip
		if len(last.Proofs) > 0 || len(last.Dead) != 1 || last.Dead[0].Host != "ams2" {
			t.Errorf("%+v", last)
		}
		asked := len(r.asked)
		time.Sleep(10 * time.Minute)
		batches, _ = b.published()
		if last := batches[len(batches)-1]; len(last.Gossip.Dead) > 0 || len(r.asked) > asked {
			t.Errorf("%+v, asked %v", last.Gossip, r.asked)
		}
		r.set(func() { r.proofs, r.members = nil, dead() })
		time.Sleep(15 * time.Second)
		if batches, _ = b.published(); slices.ContainsFunc(batches, reportsDeath) {
			t.Error("the death of a host that never answered is reported")
		}
	})
}

// The admitted agents' keys reach gossip with the catalog, and when they change without it.
func TestGossipGetsTheAdmittedKeys(t *testing.T) {
	r := &fakeGossip{}
	key := ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))
	startWith(t, func(c *vantage.Config) {
		c.Gossip = r
		c.Bus.(*bus).keys = map[string]ed25519.PublicKey{"ams2": key, "lon1": key}
	}, func(b *bus, n *network) {
		time.Sleep(time.Second)
		r.set(func() {
			if len(r.keys) != 2 {
				t.Errorf("keys %v", r.keys)
			}
		})
		b.mu.Lock()
		b.keys = map[string]ed25519.PublicKey{"lon1": key}
		revision := b.catalog.Revision
		b.mu.Unlock()
		data, err := wire.EncodeControl(wire.Control{Catalog: revision})
		if err != nil {
			t.Fatal(err)
		}
		b.controls <- data
		time.Sleep(time.Second)
		r.set(func() {
			if len(r.keys) != 1 || r.keys["lon1"] == nil {
				t.Errorf("after a revocation, keys %v", r.keys)
			}
		})
	})
}

// The coordinator does not answer an agent that asks too often. An agent that was notified of a change asks again
// soon, and does not work with the old keys for a minute.
func TestCatalogRequestIsRetried(t *testing.T) {
	r := &fakeGossip{}
	key := ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))
	startWith(t, func(c *vantage.Config) {
		c.Gossip = r
		c.Bus.(*bus).keys = map[string]ed25519.PublicKey{"ams2": key, "lon1": key}
	}, func(b *bus, n *network) {
		time.Sleep(time.Second)
		b.mu.Lock()
		b.keys = map[string]ed25519.PublicKey{"lon1": key}
		b.refuses = 2
		revision := b.catalog.Revision
		b.mu.Unlock()
		data, err := wire.EncodeControl(wire.Control{Catalog: revision})
		if err != nil {
			t.Fatal(err)
		}
		b.controls <- data
		time.Sleep(10 * time.Second)
		r.set(func() {
			if len(r.keys) != 1 {
				t.Errorf("after two requests without an answer, keys %v", r.keys)
			}
		})
	})
}
