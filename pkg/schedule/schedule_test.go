package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// newCatalog has hosts spread over regions, each with a ping, two regions to a provider.
func newCatalog(hosts, regions int) *catalog.Catalog {
	c := &catalog.Catalog{}
	for i := range regions {
		c.Regions = append(c.Regions, catalog.Region{Name: fmt.Sprintf("r%d", i), Provider: fmt.Sprintf("p%d", i/2)})
	}
	for i := range hosts {
		c.Hosts = append(c.Hosts, newHost(i, regions))
	}
	return c
}

func newHost(i, regions int) catalog.Host {
	return catalog.Host{
		Name: fmt.Sprintf("NC%03d", i), Region: fmt.Sprintf("r%d", i%regions), Addresses: []string{"192.0.2.1"},
		Checks: []catalog.Check{{Kind: catalog.KindPing, Name: "ping", Interval: 10 * time.Second,
			Options: catalog.Ping{}}},
	}
}

func TestAFullMeshLooksFromEveryOtherHost(t *testing.T) {
	c := newCatalog(10, 8)
	for i := range c.Hosts {
		got := NewChooser(c).Observers(&c.Hosts[i], &c.Hosts[i].Checks[0])
		if len(got) != 9 || slices.Contains(got, c.Hosts[i].Key()) {
			t.Errorf("%s is observed by %v", c.Hosts[i].Name, got)
		}
	}
}

func TestALargeMeshSpreadsSixteenObservers(t *testing.T) {
	c := newCatalog(400, 20)
	load := map[string]int{}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		regions, providers := map[string]bool{}, map[string]int{}
		for _, key := range NewChooser(c).Observers(host, &host.Checks[0]) {
			v := c.Host(key)
			load[key]++
			regions[v.Region] = true
			providers[c.Region(v.Region).Provider]++
			if v.Region == host.Region {
				t.Errorf("%s is observed from its own region", host.Name)
			}
		}
		if len(regions) < RegionsMin {
			t.Errorf("%s is observed from %d regions", host.Name, len(regions))
		}
		for p, n := range providers {
			if n > PerProviderMax {
				t.Errorf("%s is observed %d times by %s", host.Name, n, p)
			}
		}
	}
	for key, n := range load {
		if n > 3*ObserversMax {
			t.Errorf("%s has %d duties, three times its share", key, n)
		}
	}
}

func TestAddingAVantageMovesFewDuties(t *testing.T) {
	before, after := newCatalog(300, 20), newCatalog(301, 20)
	moved := 0
	for i := range before.Hosts {
		was := NewChooser(before).Observers(&before.Hosts[i], &before.Hosts[i].Checks[0])
		for _, key := range NewChooser(after).Observers(&after.Hosts[i], &after.Hosts[i].Checks[0]) {
			if !slices.Contains(was, key) {
				moved++
			}
		}
	}
	if limit := 4 * ObserversMax; moved > limit {
		t.Errorf("%d of %d duties moved, more than %d", moved, 300*ObserversMax, limit)
	}
}

func TestPhasesOfACheckAreEvenlyStaggered(t *testing.T) {
	c := newCatalog(10, 8)
	host := &c.Hosts[3]
	var phases []time.Duration
	for i := range c.Hosts {
		for _, d := range Plan(c, c.Hosts[i].Key()) {
			if d.Host.Name == host.Name {
				phases = append(phases, d.Phase)
			}
		}
	}
	slices.Sort(phases)
	if len(phases) != 9 {
		t.Fatalf("%d vantages, want 9", len(phases))
	}
	for i, p := range phases {
		gap := phases[(i+1)%9] - p
		if gap < 0 {
			gap += 10 * time.Second
		}
		if want := 10 * time.Second / 9; (gap - want).Abs() > time.Microsecond {
			t.Errorf("gap %v, want %v", gap, want)
		}
	}
}

func TestNextIsAlignedToTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(1, 3600).Draw(t, "interval")) * time.Second
		d := Duty{Interval: interval, Phase: time.Duration(rapid.Int64Range(0, int64(interval)-1).Draw(t, "phase"))}
		now := time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns"))
		next := d.Next(now)
		if !next.After(now) || next.Sub(now) > interval {
			t.Fatalf("next is %v after now", next.Sub(now))
		}
		if rest := (time.Duration(next.UnixNano()) - d.Phase) % interval; rest != 0 {
			t.Fatalf("off its phase by %v", rest)
		}
		if again := d.Next(next); again.Sub(next) != interval {
			t.Fatalf("the one after is %v later", again.Sub(next))
		}
	})
}

// Vantages of regions that leave a check out do not probe it, and the others go on; a large mesh takes others instead.
func TestRegionsThatAreLeftOutDoNotProbe(t *testing.T) {
	for _, n := range []int{20, 150} {
		c := newCatalog(n, 10)
		h := &c.Hosts[0]
		check := &h.Checks[0]
		before := NewChooser(c).Observers(h, check)
		region := c.Host(before[0]).Region
		check.Except = []string{region}
		after := NewChooser(c).Observers(h, check)
		for _, key := range after {
			if c.Host(key).Region == region {
				t.Errorf("of %d hosts, %s in %s probes", n, key, region)
			}
		}
		if n > FullMesh && len(after) != len(before) {
			t.Errorf("%d observers, %d before", len(after), len(before))
		}
		for _, d := range Plan(c, before[0]) {
			if d.Host.Name == h.Name && d.Check.Name == check.Name {
				t.Errorf("of %d hosts, %s has the duty", n, before[0])
			}
		}
	}
}

// BenchmarkObservers chooses the observers of all checks of a large mesh, as a coordinator does of each new catalog.
func BenchmarkObservers(b *testing.B) {
	c := newCatalog(1000, 20)
	for b.Loop() {
		chooser := NewChooser(c)
		for i := range c.Hosts {
			h := &c.Hosts[i]
			if len(chooser.Observers(h, &h.Checks[0])) != ObserversMax {
				b.Fatal("too few")
			}
		}
	}
}

// Agents and coordinators of other versions must choose the same observers. The sum is that of what earlier ones chose.
func TestTheChoiceOfObserversIsFixed(t *testing.T) {
	h := sha256.New()
	for _, size := range [][2]int{{10, 8}, {101, 3}, {150, 10}, {400, 20}, {250, 40}} {
		c := newCatalog(size[0], size[1])
		c.Hosts[7].Checks[0].Except = []string{"r1", "r2"}
		c.Hosts[8].Checks[0].FewObservers = true
		for i := range c.Hosts {
			fmt.Fprintln(h, NewChooser(c).Observers(&c.Hosts[i], &c.Hosts[i].Checks[0]))
		}
		for _, d := range Plan(c, c.Hosts[3].Key()) {
			fmt.Fprintln(h, d.Host.Name, d.Phase)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)[:8]); got != "f824648db793c29c" {
		t.Error(got)
	}
}
