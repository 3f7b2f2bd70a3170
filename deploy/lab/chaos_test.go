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
	chaosSeed  = flag.Uint64("seed", 1, "seed of the faults of TestChaos and their times")
)

// Bounds of the faults.
const (
	chaosAtOnce    = 3
	chaosPause     = 6 * time.Second  // longest time between two faults
	chaosFault     = 15 * time.Second // longest duration of a fault
	chaosStateSize = 8 << 20          // size in bytes of the disk for an agent's state
)

// fault is one thing that breaks, with its beginning and its end.
type fault struct {
	what       string
	claims     string // what it breaks: two faults with the same claim do not overlap
	begin, end func(*mesh)
}

// chaos is the state of TestChaos.
type chaos struct {
	*mesh
	random *rand.Rand
	broken map[string]fault     // by claim
	ends   map[string]time.Time // by claim
	cutOff []cutOff
}

// cutOff is a period in which more than half of all regions could not reach a host: then "down" is true.
type cutOff struct {
	host     string
	from, to time.Time // to is zero while it lasts
}

// TestChaos breaks random things on a mesh of ten agents: SIGKILL, SIGSTOP, cuts in one and both directions, loss, full
// disks and wrong clocks. The same seed breaks the same things at the same times. Afterwards no observation may be lost
// or stored twice, and no published transition may be false.
//
//	go test ./deploy/lab -run Chaos -timeout 30m -v -args -chaos 10m -seed 7
func TestChaos(t *testing.T) {
	t.Parallel()
	c := &chaos{
		mesh: startMeshOn(t, 10*time.Second, "", smallDisk), random: rand.New(rand.NewPCG(*chaosSeed, 1)),
		broken: map[string]fault{}, ends: map[string]time.Time{},
	}
	auditor := newSpoolAuditor(c.mesh)
	began := time.Now()
	next := began
	for time.Since(began) < *chaosLasts {
		c.endDueFaults(time.Now())
		if now := time.Now(); now.After(next) && len(c.broken) < chaosAtOnce {
			c.startRandomFault(now)
			next = now.Add(c.randomDuration(chaosPause))
		}
		auditor.sample()
		time.Sleep(200 * time.Millisecond)
	}
	c.endDueFaults(time.Now().Add(time.Hour)) // all of them
	c.repair()
	auditor.awaitDelivery()
	c.checkTransitions(began)
	auditor.checkStream()
}

// smallDisk creates a state directory on a file system that a test can fill.
func smallDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", chaosStateSize)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// randomDuration returns a random duration from one second to most.
func (c *chaos) randomDuration(most time.Duration) time.Duration {
	return time.Second + time.Duration(c.random.Int64N(int64(most-time.Second)))
}

// endDueFaults ends the faults whose time is over.
func (c *chaos) endDueFaults(now time.Time) {
	for _, claim := range slices.Sorted(maps.Keys(c.broken)) {
		if f := c.broken[claim]; now.After(c.ends[claim]) {
			c.logFault("over: " + f.what)
			f.end(c.mesh)
			delete(c.broken, claim)
			c.recordCuts()
		}
	}
}

// startRandomFault starts a random fault, unless it overlaps with one that lasts.
func (c *chaos) startRandomFault(now time.Time) {
	kinds := []func() fault{
		c.killAgent, c.freezeAgent, c.cutOneWay, c.cutBothWays, c.isolate, c.lose,
		c.killCoordinator, c.freezeCoordinator, c.jumpClock, c.fillDisk,
	}
	f := kinds[c.random.IntN(len(kinds))]()
	lasts := c.randomDuration(chaosFault) // drawn in either case, so that the same seed repeats the faults after it
	if _, overlaps := c.broken[f.claims]; overlaps {
		return
	}
	c.logFault(f.what)
	f.begin(c.mesh)
	c.broken[f.claims], c.ends[f.claims] = f, now.Add(lasts)
	c.recordCuts()
}

// logFault logs a fault with the time, so that it can be found in the logs of the processes.
func (c *chaos) logFault(what string) {
	c.t.Logf("%s %s", time.Now().UTC().Format("15:04:05.0"), what)
}

// agent picks a random host.
func (c *chaos) agent() string { return hosts[c.random.IntN(len(hosts))].name }

// region picks a random region.
func (c *chaos) region() string { return regions[c.random.IntN(len(regions))].name }

// killAgent loses what the agent had in memory, but not its spool.
func (c *chaos) killAgent() fault {
	name := c.agent()
	return fault{"SIGKILL the agent of " + name, "agent " + name,
		func(m *mesh) { m.agents[name].kill() }, func(m *mesh) { m.startAgent(name) }}
}

// freezeAgent leaves the connection open, so that NATS notices nothing at first.
func (c *chaos) freezeAgent() fault {
	name := c.agent()
	return fault{"SIGSTOP the agent of " + name, "agent " + name,
		func(m *mesh) { m.agents[name].signal(syscall.SIGSTOP) },
		func(m *mesh) { m.agents[name].signal(syscall.SIGCONT) }}
}

// jumpClock restarts an agent with a wall clock that is off by up to two minutes.
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

// fillDisk fills the file system of an agent's state directory to the last byte.
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

// killCoordinator kills the NATS server inside too.
func (c *chaos) killCoordinator() fault {
	return fault{"SIGKILL the coordinator", "coordinator",
		func(m *mesh) { m.process.kill() }, func(m *mesh) { m.startCoordinator() }}
}

// freezeCoordinator lets agents connect and publish, without an answer.
func (c *chaos) freezeCoordinator() fault {
	return fault{"SIGSTOP the coordinator", "coordinator",
		func(m *mesh) { m.process.signal(syscall.SIGSTOP) }, func(m *mesh) { m.process.signal(syscall.SIGCONT) }}
}

// cutOneWay lets packets pass in one direction, in which a probe still arrives and its answer is lost.
func (c *chaos) cutOneWay() fault {
	from, to := c.region(), c.region()
	return c.onPaths("cut from "+from+" to "+to, func(m *mesh) { m.wan.change(in(from), in(to), cut) })
}

// cutBothWays cuts two regions from one another.
func (c *chaos) cutBothWays() fault {
	a, b := c.region(), c.region()
	return c.onPaths("cut between "+a+" and "+b, func(m *mesh) {
		m.wan.change(in(a), in(b), cut)
		m.wan.change(in(b), in(a), cut)
	})
}

// isolate cuts a region from all others; if it is the coordinator's, from most agents.
func (c *chaos) isolate() fault {
	name := c.region()
	return c.onPaths("isolate "+name, Isolate(name).do)
}

// lose drops up to a fifth of all packets.
func (c *chaos) lose() fault {
	loss := float64(c.random.IntN(20)+1) / 100
	return c.onPaths(fmt.Sprintf("lose %.0f %% everywhere", 100*loss), Impair(loss, loss/10, 10*time.Millisecond).do)
}

// onPaths returns a fault of the WAN. Only one lasts at a time, so that its end may mend every path.
func (c *chaos) onPaths(what string, begin func(*mesh)) fault {
	return fault{what, "paths", begin, func(m *mesh) { m.wan.mend() }}
}

// recordCuts records the beginning and the end of periods in which hosts are cut off from more than half of all
// regions.
func (c *chaos) recordCuts() {
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

// regionsCutFrom returns the other regions to or from which the host is cut off.
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

// wasCutOff reports whether the host was cut off at some time in the period.
func (c *chaos) wasCutOff(host string, from, to time.Time) bool {
	return slices.ContainsFunc(c.cutOff, func(o cutOff) bool {
		return o.host == host && o.from.Before(to) && (o.to.IsZero() || o.to.After(from))
	})
}
