package gossip_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/testenv"
)

func TestWrongKeyIsRejected(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 3)
	c.startAll(2, keyA)
	var log testenv.Log
	other := c.start("h3", &log, keyB)
	delete(c.agents, "h3")
	c.neverSees("h3")
	if got := sees(other); got != "" {
		t.Errorf("h3 sees %s", got)
	}
	c.all(gossip.Alive)
	if strings.Contains(log.String(), string(keyB)) || strings.Contains(log.String(), "AgICAg") ||
		strings.Contains(log.String(), "020202") {
		t.Error("the key is in the log")
	}
}

// noneLost fails the test if a member does not acknowledge another any more, ten intervals from now or later. On a busy
// machine one may be reported dead for a moment; a member with other keys stays so.
func (c *testMesh) noneLost(after string) {
	c.t.Helper()
	time.Sleep(10 * interval)
	start := time.Now()
	lost := func(m gossip.Member) bool { return m.State != gossip.Alive || m.Asked.Before(start) }
	for host, g := range c.agents {
		until(c.t, host+" accepts all after "+after, func() bool { return !slices.ContainsFunc(g.Members(), lost) })
	}
}

func TestKeyRotationLosesNoMember(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 4)
	c.startAll(4, keyA)
	for _, ring := range [][][]byte{{keyA, keyB}, {keyB, keyA}, {keyB}} {
		for _, host := range []string{"h1", "h2", "h3", "h4"} {
			if err := c.agents[host].SetKeys(ring); err != nil {
				t.Fatal(err)
			}
			c.noneLost(fmt.Sprintf("%d keys at %s", len(ring), host))
		}
	}
	old := newTestMesh(t, 5)
	old.port = c.port
	for _, g := range c.agents {
		g.SetCatalog(old.catalog, old.keys)
	}
	late := old.start("h5", nil, keyA)
	for range 10 {
		time.Sleep(interval)
		if sees(late) != "" {
			t.Fatalf("a member with the old key alone sees %s", sees(late))
		}
	}
	if err := late.SetKeys([][]byte{keyB}); err != nil {
		t.Fatal(err)
	}
	until(t, "h5 joins with the new key", func() bool { return sees(late) == "h1 alive h2 alive h3 alive h4 alive" })
	if err := late.SetKeys([][]byte{[]byte("short")}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a key of five bytes: %v", err)
	}
}

func TestWithoutKeysGossipWaits(t *testing.T) {
	t.Parallel()
	c := newTestMesh(t, 2)
	g := c.start("h1", nil)
	if err := g.Prove(t.Context(), "h2"); !errors.Is(err, gossip.ErrNotRunning) {
		t.Error(err)
	}
	if err := g.SetKeys([][]byte{keyA}); err != nil {
		t.Fatal(err)
	}
	c.start("h2", nil, keyA)
	c.all(gossip.Alive)
}
