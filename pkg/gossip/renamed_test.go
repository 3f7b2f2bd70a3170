package gossip_test

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// facing returns the mesh's catalog as a coordinator sends it to the agents of these names, by the ids of their hosts.
func (c *testMesh) facing(hosts map[string]string) *catalog.Catalog {
	roster := &mesh.Roster{Hosts: hosts}
	for agent := range hosts {
		roster.Vantages = append(roster.Vantages, agent)
	}
	slices.Sort(roster.Vantages)
	var agents catalog.Agents
	agents.SetRoster(roster)
	agents.SetCatalog(c.catalog)
	return agents.Facing()
}

// rename gives a host of the mesh another name, as `was` in the file or its identity does.
func (c *testMesh) rename(i int, name string) {
	next := *c.catalog
	next.Hosts = slices.Clone(next.Hosts)
	h := &next.Hosts[i]
	next.Former = append(slices.Clone(next.Former), catalog.Former{ID: h.Identity(), Name: h.Name})
	h.ID, h.Name = h.Identity(), name
	catalog.Seal(&next)
	c.catalog = &next
}

// inTouch waits until two agents see each other alive and prove it to each other, under these names.
func inTouch(t *testing.T, a *gossip.Gossip, nameOfA string, b *gossip.Gossip, nameOfB string) {
	t.Helper()
	alive := func(g *gossip.Gossip, name string) bool {
		return slices.ContainsFunc(g.Members(), func(m gossip.Member) bool {
			return m.Name == name && m.State == gossip.Alive
		})
	}
	until(t, fmt.Sprintf("%s and %s are in touch", nameOfA, nameOfB), func() bool {
		return alive(a, nameOfB) && alive(b, nameOfA) && a.Prove(t.Context(), nameOfB) == nil &&
			b.Prove(t.Context(), nameOfA) == nil
	})
}

// An agent of the version before keeps the name that its host had, beside agents whose hosts were called otherwise from
// the beginning, and beside those of this version, which take the new name when they have a credential for it. None of
// them disappears from gossip meanwhile.
func TestRenamedHostsGoOnGossiping(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(3, keyA)
	h1, h2, h3 := c.agents["h1"], c.agents["h2"], c.agents["h3"]
	ids := map[string]string{}
	for i := range c.catalog.Hosts {
		ids[c.catalog.Hosts[i].Key()] = c.catalog.Hosts[i].Identity()
	}
	setCatalog := func(keys map[string]ed25519.PublicKey, agents ...*gossip.Gossip) {
		for _, g := range agents {
			g.SetCatalog(c.facing(ids), keys)
		}
	}

	c.rename(2, "Mail")
	setCatalog(c.keys, h1, h2, h3)
	if c.catalog.Host("h3") != nil || c.facing(ids).Host("h3") == nil {
		t.Fatal("the rename is not what agents get another name for")
	}
	inTouch(t, h1, "h1", h3, "h3")
	inTouch(t, h2, "h2", h3, "h3")

	// Two hosts swap their names: to agents each stays what it was.
	c.rename(0, "swap")
	c.rename(1, "H1")
	c.rename(0, "H2")
	setCatalog(c.keys, h1, h2, h3)
	inTouch(t, h1, "h1", h2, "h2")
	inTouch(t, h1, "h1", h3, "h3")

	// The agent of Mail gets a credential under that name and starts again with it. One of the others gets the new
	// catalog late.
	renamed := map[string]ed25519.PublicKey{"h1": c.keys["h1"], "h2": c.keys["h2"], "mail": c.keys["h3"]}
	ids["mail"] = ids["h3"]
	delete(ids, "h3")
	setCatalog(renamed, h1)
	h3.Close()
	mail, err := gossip.Start(t.Context(), gossip.Config{
		Name: "mail", Listen: fmt.Sprintf("%s:%d", address("h3"), c.port), Key: privateKey("h3"), Keys: [][]byte{keyA},
		Interval: interval, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mail.Close)
	setCatalog(renamed, mail)
	inTouch(t, h1, "h1", mail, "mail")
	setCatalog(renamed, h2)
	inTouch(t, h2, "h2", mail, "mail")
	// On a busy machine one may be a suspect for a moment.
	until(t, "h2 sees both under their names", func() bool { return sees(h2) == "h1 alive mail alive" })
}
