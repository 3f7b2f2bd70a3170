package vantage_test

import (
	"errors"
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
)

// rumourMill is gossip in memory.
type rumourMill struct {
	mu       sync.Mutex
	members  []gossip.Member
	asked    []string
	answers  bool
	revision string
	hosts    []string
}

func (r *rumourMill) SetCatalog(c *catalog.Catalog) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision, r.hosts = c.Revision, nil
	for _, h := range c.Hosts {
		r.hosts = append(r.hosts, h.Name)
	}
}

func (r *rumourMill) Ping(host string) error {
	asked := time.Now()
	time.Sleep(80 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, host)
	if !r.answers {
		return errors.New("no answer")
	}
	for i := range r.members {
		if r.members[i].Name == host {
			r.members[i].Asked = asked
		}
	}
	return nil
}

func (r *rumourMill) Members() []gossip.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

func (r *rumourMill) set(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// A lost ping has gossip ask the host, again with each heartbeat while it is lost; what is acknowledged is told once.
func TestALostPingIsAskedAboutByGossip(t *testing.T) {
	r := &rumourMill{answers: true}
	startWith(t, func(c *vantage.Config) { c.Gossip = r }, func(b *bus, n *network) {
		r.set(func() {
			r.members = []gossip.Member{{Name: "ams2", State: gossip.Alive}, {Name: "lon1", State: gossip.Alive}}
		})
		time.Sleep(20 * time.Second)
		if batches, _ := b.take(); r.revision == "" || len(r.asked) > 0 || slices.ContainsFunc(batches, func(x *mesh.Batch) bool { return !cmp.Equal(x.Gossip, mesh.Gossip{}) }) {
			t.Errorf("catalog %q, asked %v", r.revision, r.asked)
		}
		n.set("192.0.2.3", true)
		time.Sleep(20 * time.Second)
		batches, said := b.take()
		if len(batches) > 40 {
			t.Errorf("%d batches in 20 s", len(batches))
		}
		missed := slices.IndexFunc(said, func(o mesh.Observation) bool { return o.Host == "lon1" && o.Stage == mesh.Missed })
		if missed < 0 {
			t.Fatalf("%+v", said)
		}
		var acks []time.Time
		badAt := 0
		for i, x := range batches {
			for _, a := range x.Gossip.Acks {
				if a.Host != "lon1" || a.At.Before(said[missed].Began) {
					t.Errorf("%+v", a)
				}
				acks = append(acks, a.At)
			}
			if badAt == 0 && slices.ContainsFunc(x.Observations, func(o mesh.Observation) bool { return o.Outcome == mesh.Unreachable && o.Stage == mesh.Settled }) {
				badAt = i
			}
		}
		first := slices.IndexFunc(batches, func(x *mesh.Batch) bool { return len(x.Gossip.Acks) > 0 })
		if len(acks) < 5 || first > badAt {
			t.Errorf("%d acknowledgements while the ping was lost, the first in batch %d; bad in %d", len(acks), first, badAt)
		}
		r.set(func() {
			r.answers = false
			r.members[0] = gossip.Member{Name: "ams2", State: gossip.Dead, Since: time.Now()}
			r.members[1] = gossip.Member{Name: "lon1", State: gossip.Left, Since: time.Now()}
		})
		n.set("192.0.2.3", false)
		time.Sleep(15 * time.Second)
		batches, _ = b.take()
		last := batches[len(batches)-1]
		if len(last.Gossip.Acks) > 0 || len(last.Gossip.Dead) != 1 || last.Gossip.Dead[0].Host != "ams2" {
			t.Errorf("%+v", last.Gossip)
		}
		asked := len(r.asked)
		time.Sleep(10 * time.Minute)
		batches, _ = b.take()
		if last := batches[len(batches)-1]; len(last.Gossip.Dead) > 0 || len(r.asked) > asked || strings.Contains(strings.Join(r.asked, " "), "ams2") {
			t.Errorf("%+v, asked %v", last.Gossip, r.asked)
		}
	})
}
