package lab

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

var (
	chaosLasts = flag.Duration("chaos", 2*time.Minute, "how long TestChaos breaks things")
	chaosSeed  = flag.Uint64("seed", 1, "of what TestChaos breaks, and when")
)

// At once at most so many things are broken, a new one every few seconds.
const (
	chaosAtOnce    = 3
	chaosPause     = 6 * time.Second  // the longest between two faults
	chaosFault     = 15 * time.Second // the longest that a fault lasts
	chaosStateSize = 8 << 20          // bytes of the disk that an agent's state is on
)

// fault is one thing that breaks: what it needs for itself, how it begins and how it ends.
type fault struct {
	what       string
	claims     string // two faults with the same claim do not overlap
	begin, end func(*mesh)
}

// chaos is the state of the test: what is broken now, and since when which hosts were cut off from most regions.
type chaos struct {
	*mesh
	random *rand.Rand
	broken map[string]fault // by claim
	ends   map[string]time.Time
	cutOff []cutOff
}

// cutOff is a time in which more than half of all regions could not reach a host: a "down" then is true.
type cutOff struct {
	host     string
	from, to time.Time // to is zero while it lasts
}

// TestChaos breaks things at random over ten agents and the coordinator: SIGKILL, SIGSTOP, cuts, one-way cuts, loss, full disks
// and wrong clocks. The seed repeats what is broken, where and when. Afterwards nothing may be lost, doubled or false.
//
//	go test ./deploy/lab -run Chaos -timeout 30m -v -args -chaos 10m -seed 7
func TestChaos(t *testing.T) {
	t.Parallel()
	c := &chaos{
		mesh: startMeshOn(t, 10*time.Second, "", smallDisk), random: rand.New(rand.NewPCG(*chaosSeed, 1)),
		broken: map[string]fault{}, ends: map[string]time.Time{},
	}
	witness := newWitness(c.mesh)
	began := time.Now()
	next := began
	for time.Since(began) < *chaosLasts {
		c.mendWhatIsDue(time.Now())
		if now := time.Now(); now.After(next) && len(c.broken) < chaosAtOnce {
			c.breakSomething(now)
			next = now.Add(c.upTo(chaosPause))
		}
		witness.look()
		time.Sleep(200 * time.Millisecond)
	}
	c.mendWhatIsDue(time.Now().Add(time.Hour))
	c.repair()
	witness.waitUntilDelivered()
	c.checkTransitions(began)
	witness.checkStream()
}

// smallDisk is a state directory that can be filled.
func smallDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", chaosStateSize)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func (c *chaos) upTo(most time.Duration) time.Duration {
	return time.Second + time.Duration(c.random.Int64N(int64(most-time.Second)))
}

func (c *chaos) mendWhatIsDue(now time.Time) {
	for _, claim := range slices.Sorted(maps.Keys(c.broken)) {
		if f := c.broken[claim]; now.After(c.ends[claim]) {
			c.tellFault("over: " + f.what)
			f.end(c.mesh)
			delete(c.broken, claim)
			c.noteCuts()
		}
	}
}

func (c *chaos) breakSomething(now time.Time) {
	kinds := []func() fault{c.killAgent, c.freezeAgent, c.cutOneWay, c.cutBothWays, c.isolate, c.lose, c.killCoordinator, c.freezeCoordinator, c.jumpClock, c.fillDisk}
	f := kinds[c.random.IntN(len(kinds))]()
	lasts := c.upTo(chaosFault) // drawn in any case, so that the seed repeats it
	if _, taken := c.broken[f.claims]; taken {
		return
	}
	c.tellFault(f.what)
	f.begin(c.mesh)
	c.broken[f.claims], c.ends[f.claims] = f, now.Add(lasts)
	c.noteCuts()
}

func (c *chaos) tellFault(what string) {
	c.t.Logf("%s %s", time.Now().UTC().Format("15:04:05.0"), what)
}

func (c *chaos) agent() string { return hosts[c.random.IntN(len(hosts))].name }

func (c *chaos) region() string { return regions[c.random.IntN(len(regions))].name }

func (c *chaos) killAgent() fault {
	name := c.agent()
	return fault{"SIGKILL the agent of " + name, "agent " + name,
		func(m *mesh) { m.agents[name].kill() }, func(m *mesh) { m.startAgent(name) }}
}

func (c *chaos) freezeAgent() fault {
	name := c.agent()
	return fault{"SIGSTOP the agent of " + name, "agent " + name,
		func(m *mesh) { m.agents[name].signal(syscall.SIGSTOP) }, func(m *mesh) { m.agents[name].signal(syscall.SIGCONT) }}
}

func (c *chaos) jumpClock() fault {
	name, offset := c.agent(), (time.Duration(c.random.IntN(240)-120) * time.Second).String()
	restart := func(offset string) func(*mesh) {
		return func(m *mesh) {
			m.agents[name].stop()
			m.clocks[name] = offset
			m.startAgent(name)
		}
	}
	return fault{"the clock of " + name + " jumps by " + offset, "agent " + name, restart(offset), restart("")}
}

// fillDisk leaves no byte free where the agent keeps its state.
func (c *chaos) fillDisk() fault {
	name := c.agent()
	filler := filepath.Join(c.states[name], "filler")
	return fault{"the disk of " + name + " is full", "disk " + name,
		func(m *mesh) {
			if f, err := os.Create(filler); err == nil {
				for err == nil {
					_, err = f.Write(make([]byte, 4096))
				}
				f.Close()
			}
		},
		func(*mesh) { os.Remove(filler) }}
}

func (c *chaos) killCoordinator() fault {
	return fault{"SIGKILL the coordinator", "coordinator", func(m *mesh) { m.process.kill() }, func(m *mesh) { m.startCoordinator() }}
}

func (c *chaos) freezeCoordinator() fault {
	return fault{"SIGSTOP the coordinator", "coordinator",
		func(m *mesh) { m.process.signal(syscall.SIGSTOP) }, func(m *mesh) { m.process.signal(syscall.SIGCONT) }}
}

func (c *chaos) cutOneWay() fault {
	from, to := c.region(), c.region()
	return c.onPaths("cut from "+from+" to "+to, func(m *mesh) { m.wan.change(in(from), in(to), cut) })
}

func (c *chaos) cutBothWays() fault {
	a, b := c.region(), c.region()
	return c.onPaths("cut between "+a+" and "+b, func(m *mesh) {
		m.wan.change(in(a), in(b), cut)
		m.wan.change(in(b), in(a), cut)
	})
}

func (c *chaos) isolate() fault {
	name := c.region()
	return c.onPaths("isolate "+name, Isolate(name).do)
}

func (c *chaos) lose() fault {
	loss := float64(c.random.IntN(20)+1) / 100
	return c.onPaths(fmt.Sprintf("lose %.0f %% everywhere", 100*loss), Impair(loss, loss/10, 10*time.Millisecond).do)
}

// onPaths is a fault of the WAN; there is one of those at a time, so that its end can mend every path.
func (c *chaos) onPaths(what string, begin func(*mesh)) fault {
	return fault{what, "paths", begin, func(m *mesh) { m.wan.mend() }}
}

// noteCuts keeps the times in which hosts are cut off from more than half of all regions.
func (c *chaos) noteCuts() {
	now := time.Now()
	for _, h := range hosts {
		open := slices.IndexFunc(c.cutOff, func(o cutOff) bool { return o.host == h.name && o.to.IsZero() })
		switch is := 2*len(c.regionsCutFrom(h.name, h.region)) > len(regions); {
		case is && open < 0:
			c.cutOff = append(c.cutOff, cutOff{host: h.name, from: now})
		case !is && open >= 0:
			c.cutOff[open].to = now
		}
	}
}

// regionsCutFrom are the other regions between which and the host one direction at least is cut.
func (c *chaos) regionsCutFrom(host, own string) map[string]bool {
	out := map[string]bool{}
	for i, a := range c.wan.servers {
		for j, b := range c.wan.servers {
			if b.name == host && regions[a.region].name != own && (c.wan.paths[i][j].Cut || c.wan.paths[j][i].Cut) {
				out[regions[a.region].name] = true
			}
		}
	}
	return out
}

// wasCutOff reports whether the host was cut off at some time between the two.
func (c *chaos) wasCutOff(host string, from, to time.Time) bool {
	return slices.ContainsFunc(c.cutOff, func(o cutOff) bool {
		return o.host == host && o.from.Before(to) && (o.to.IsZero() || o.to.After(from))
	})
}
