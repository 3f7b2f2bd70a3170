package gossip_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
)

// A revoked agent still has the gossip key. Its packets are dropped, it is no longer a member, and it gets no answer.
func TestRevokedAgentIsIgnored(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(3, keyA)
	kept := map[string]ed25519.PublicKey{"h1": c.keys["h1"], "h2": c.keys["h2"]}
	for _, host := range []string{"h1", "h2"} {
		c.agents[host].SetCatalog(c.catalog, kept)
	}
	if got := sees(c.agents["h1"]); !strings.HasPrefix(got, "h2 ") || strings.Contains(got, "h3") {
		t.Errorf("h1 sees %s", got)
	}
	if err := c.agents["h1"].Prove(t.Context(), "h3"); err == nil || proofOf(c.agents["h1"], "h3") != (gossip.Proof{}) {
		t.Errorf("a revoked agent proves that it is alive: %v", err)
	}
	if err := c.agents["h3"].Prove(t.Context(), "h1"); err == nil {
		t.Error("a revoked agent is answered")
	}
	until(t, "h3 is alone", func() bool { return sees(c.agents["h3"]) == "h1 dead h2 dead" })
	until(t, "h1 and h2 go on as before", func() bool {
		return sees(c.agents["h1"]) == "h2 alive" && c.agents["h1"].Prove(t.Context(), "h2") == nil
	})
	for _, host := range []string{"h1", "h2", "h3"} { // it joined again
		c.agents[host].SetCatalog(c.catalog, c.keys)
	}
	until(t, "h3 is back", func() bool {
		return sees(c.agents["h1"]) == "h2 alive h3 alive" && sees(c.agents["h3"]) == "h1 alive h2 alive" &&
			c.agents["h1"].Prove(t.Context(), "h3") == nil
	})
}

// A coordinator of version N-1 sends no keys: agents gossip as before, and none can prove anything.
func TestWithoutAdmittedKeysThereAreNoProofs(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 2)
	c.keys = nil
	c.startAll(2, keyA)
	if err := c.agents["h1"].Prove(t.Context(), "h2"); err == nil {
		t.Error("h2 proves something to an agent that has no key of it")
	}
}

// Gossip of a host with a name is accepted from the addresses that the name resolves to.
func TestGossipOfAHostWithAName(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 2)
	c.catalog.Hosts[1].Addresses = []string{"localhost"}
	catalog.Seal(c.catalog)
	c.start("h1", nil, keyA)
	config := gossip.Config{
		Name: "h2", Listen: fmt.Sprintf("127.0.0.1:%d", c.port), Key: privateKey("h2"), Keys: [][]byte{keyA},
		Interval: interval, Logger: zerolog.Nop(),
	}
	named, err := gossip.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(named.Close)
	named.SetCatalog(c.catalog, c.keys)
	until(
		t,
		"both see each other",
		func() bool { return sees(named) == "h1 alive" && sees(c.agents["h1"]) == "h2 alive" },
	)
}
