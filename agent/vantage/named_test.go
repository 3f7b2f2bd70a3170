package vantage_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// names is a network with a name that has two IPv4 addresses and no IPv6.
type names struct{ *network }

func (names) Resolve(_ context.Context, family mesh.Family, name string) ([]netip.Addr, error) {
	if family == mesh.IPv6 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")}, nil
}

// withName gives LON1 a name.
func withName(c *vantage.Config) {
	all := c.Bus.(*bus).catalog
	all.Host("lon1").Addresses = []string{"lon1.example.net"}
	catalog.NameFamilies(all)
	catalog.Seal(all)
	c.Network = names{c.Network.(*network)}
}

// The first address of a name does not answer: the name is reachable all the same, its second address is tried first
// from then on, nothing counts as lost, and the observation names the address. The family without an address travels
// with the heartbeats.
func TestNameWithADeadAddress(t *testing.T) {
	startWith(t, withName, func(b *bus, n *network) {
		n.set("192.0.2.3", true)
		time.Sleep(25 * time.Second)
		b.published()
		n.count("192.0.2.3")
		n.count("192.0.2.4")
		time.Sleep(time.Minute)
		batches, obs := b.published()
		looks := map[mesh.Family]int{}
		for _, o := range obs {
			if o.Host != "lon1" {
				continue
			}
			looks[o.Family]++
			switch {
			case o.Family == mesh.IPv6 && o.Outcome == mesh.Inconclusive && o.Reason == mesh.ReasonNoAddress(mesh.IPv6):
			case o.Family == mesh.IPv4 && o.Outcome == mesh.Reachable && o.Address == "192.0.2.4" &&
				o.Sent == 1 && o.Lost == 0:
			default:
				t.Errorf("obs %+v", o)
			}
		}
		if looks[mesh.IPv4] < 5 || looks[mesh.IPv6] < 5 || looks[mesh.AnyFamily] > 0 {
			t.Errorf("observations by family: %v", looks)
		}
		if dead, alive := n.count("192.0.2.3"), n.count("192.0.2.4"); dead > 0 || alive < 5 {
			t.Errorf("%d probes went to the dead address and %d to the other", dead, alive)
		}
		if len(batches) > 32 {
			t.Errorf("%d batches in a minute: an observation that is no news was sent at once", len(batches))
		}
	})
}

// Neither address of a name answers: the observation has the reason of each.
func TestNameWithoutAWorkingAddress(t *testing.T) {
	startWith(t, withName, func(b *bus, n *network) {
		time.Sleep(25 * time.Second)
		n.set("192.0.2.3", true)
		n.set("192.0.2.4", true)
		b.published()
		time.Sleep(15 * time.Second)
		_, obs := b.published()
		bad := 0
		for _, o := range obs {
			if o.Host == "lon1" && o.Family == mesh.IPv4 && o.Stage == mesh.Settled && o.Outcome == mesh.Unreachable {
				bad++
				if o.Reason != "timeout" || o.Address != "192.0.2.3: timeout; 192.0.2.4: timeout" {
					t.Errorf("obs %+v", o)
				}
			}
		}
		if bad == 0 {
			t.Error("the failure was not observed")
		}
	})
}
