package catalog_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Agents call a host as NATS knows its agent, whatever hosts are called now, and no two hosts have one name.
func TestAgentsCallHostsByTheirCredentials(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"A", "B", "C", "D", "E", "F"}
		draw := func(label string) []string { return rapid.Permutation(names).Draw(t, label)[:4] }
		c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "r"}}}
		for _, name := range draw("joined as") {
			c.Hosts = append(c.Hosts, catalog.Host{Name: name, Region: "r", Addresses: []string{"192.0.2.1"}})
		}
		catalog.Seal(c)
		roster := &mesh.Roster{Hosts: map[string]string{}}
		for _, h := range c.Hosts {
			if rapid.IntRange(0, 3).Draw(t, "joined") > 0 {
				roster.Vantages = append(roster.Vantages, h.Key())
				roster.Hosts[h.Key()] = h.ID
			}
		}
		var agents catalog.Agents
		agents.SetRoster(roster)
		agents.SetCatalog(c)
		if agents.Facing() != c {
			t.Fatal("another catalog, although nothing was renamed")
		}
		for i, name := range draw("called now") {
			c.Hosts[i].Name = name
		}
		catalog.Seal(c)
		agents.SetCatalog(c)
		facing, keys := agents.Facing(), map[string]bool{}
		for i, h := range facing.Hosts {
			keys[h.Key()] = true
			if h.ID != c.Hosts[i].ID || agents.Called(c.Hosts[i].Key()) != h.Key() || !catalog.ValidName(h.Key()) {
				t.Fatalf("%s is called %s", c.Hosts[i].Name, h.Name)
			}
			if id, ok := roster.Hosts[h.Key()]; ok && id != h.ID {
				t.Fatalf("%s has the name of another host's agent, %s", c.Hosts[i].Name, h.Name)
			}
		}
		for agent, id := range roster.Hosts {
			if facing.HostByID(id).Key() != agent {
				t.Fatalf("the agent %s has a host called %s", agent, facing.HostByID(id).Name)
			}
		}
		if len(keys) != len(c.Hosts) {
			t.Fatalf("two hosts have one name: %v", slices.Sorted(maps.Keys(keys)))
		}
		if data, err := catalog.Encode(facing); err != nil {
			t.Fatal(err)
		} else if _, err := catalog.Decode(data); err != nil {
			t.Fatal("agents refuse it:", err)
		}
		if same := facing.Revision == c.Revision; same != cmp.Equal(facing.Hosts, c.Hosts) {
			t.Fatal("the revision does not tell whether the names differ")
		}
	})
}
