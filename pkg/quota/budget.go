// Package quota computes how many bytes of the stream OBS each agent may use, so that one agent that publishes too much
// cannot push the evidence of all others out of it. Compute derives each agent's budget for two days from the catalog;
// Tally counts what the agent published in that time; Withdraw says for how long one over its budget may not publish.
// All depend only on the catalog and the stream, so that recounting the stream after a restart gives the same result.
package quota

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Window is the time that a budget covers: the stream discards messages that are older.
const Window = wire.AgeMax

// What the stream stores of one agent, in bytes. TestAgentStaysWithinItsBudget of package vantage compares them with
// the batches that an agent really sends.
const (
	heartbeatEvery   = 2 * time.Second
	messageBytes     = 500 // a batch without observations, its headers and the stream's own record of it
	gossipBytes      = 100 // of gossip in a heartbeat while all hosts are alive: one proof a second
	gossipBytesMax   = 600 // of gossip in a heartbeat while hosts are dead
	observationBytes = 120 // without the names of the host and the check
	reasonBytes      = 100 // most reasons are shorter; one that quotes a server's greeting may be longer
	// An edge that fails reports a miss and then a result for each probe, and publishes each at once, in its own
	// message.
	failingMessages = 2
	// Rounds may add a quarter to all probes, and edges that turn bad may start more of them. Half as much again is
	// enough for both.
	roundsPercent = 150
	// An agent publishes what it spooled to disk while it was disconnected: spool.DefaultMaxBytes.
	historyBytes = 64 << 20
)

// Volume is how many bytes one agent publishes in Window.
type Volume struct {
	Expected int64 // while every check that it runs succeeds
	// Budget is what it may publish: enough for two days in which every check that it runs fails, for the rounds that
	// this causes, and for the backlog of an earlier disconnection. An agent over it is broken or hostile.
	Budget int64
}

// Plan is how the stream is divided among the agents of a catalog.
type Plan struct {
	Agents   map[string]Volume // by key
	Unlisted int64             // budget of an agent whose host is not in the catalog: heartbeats and history
	// Size is how many bytes OBS needs so that two agents can use their whole budgets while the others' messages of the
	// last two days stay. It may exceed StreamMax.
	Size int64
}

// The bounds of the stream OBS in bytes. The minimum leaves room for a mesh to grow; the maximum is what a
// coordinator's disk can be expected to hold, since the stream is stored compressed.
const (
	StreamMin = 2 << 30
	StreamMax = 64 << 30
	// leaderBytes is what the leader publishes in Window: clock marks, at most four a second, catalogs and rosters.
	leaderBytes = 256 << 20
	// wholeBudgets is how many agents may use their whole budgets at once before the stream runs out of room. Room for
	// all would be many times what the mesh needs; an agent over its budget is stopped before a third one matters.
	wholeBudgets = 2
)

// Compute returns the plan for a catalog. It visits each check once: a hundred hosts take some 100 ms.
func Compute(c *catalog.Catalog) Plan {
	p := Plan{
		Agents:   map[string]Volume{},
		Unlisted: int64((messageBytes+gossipBytesMax)*perWindow(heartbeatEvery)) + historyBytes,
	}
	for i := range c.Hosts {
		p.Agents[c.Hosts[i].Key()] = Volume{int64((messageBytes + gossipBytes) * perWindow(heartbeatEvery)), p.Unlisted}
	}
	chooser := schedule.NewChooser(c)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			check := &h.Checks[k]
			families := float64(len(h.Families()))
			probes, most := perWindow(check.Interval)*families, perWindow(check.Interval)*families
			if check.SharesServer() { // rare on schedule, and in each round of its host all the same
				most = perWindow(min(check.Interval, time.Minute)) * families
			}
			size := float64(observationBytes + len(h.Key()) + len(check.Name))
			for _, agent := range chooser.Observers(h, check) {
				n := p.Agents[agent]
				n.Expected += int64(probes * size)
				n.Budget += int64(most * failingMessages * (messageBytes + size + reasonBytes) * roundsPercent / 100)
				p.Agents[agent] = n
			}
		}
	}
	expected, largest := int64(0), p.Unlisted
	for _, n := range p.Agents {
		expected, largest = expected+n.Expected, max(largest, n.Budget)
	}
	p.Size = max(StreamMin, leaderBytes+expected*5/4+largest*wholeBudgets) // a quarter more for ordinary failures
	return p
}

// perWindow returns how often an interval fits into Window.
func perWindow(interval time.Duration) float64 { return Window.Seconds() / interval.Seconds() }

// Reach returns how far back a stream of this many bytes reaches while every agent publishes what is expected.
func (p Plan) Reach(size int64) time.Duration {
	expected := int64(leaderBytes)
	for _, n := range p.Agents {
		expected += n.Expected
	}
	return min(Window, time.Duration(float64(Window)*float64(size)/float64(expected)))
}
