// Package quota computes how many bytes of the stream OBS each agent may use, and detects agents that use more.
// Compute derives from the catalog what each agent may publish in two days; Tally counts what it published in that
// time. Both depend only on the catalog and the stream, so that recounting the stream after a restart gives the same
// result.
package quota

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Window is the time that a budget covers, which is how long the stream keeps messages.
const Window = wire.AgeMax

// What the stream stores of one agent, in bytes. A test of pkg/quota measures them against real batches.
const (
	heartbeatEvery   = 2 * time.Second
	messageBytes     = 500 // a batch without observations, its headers and the stream's own record of it
	gossipBytes      = 100 // that a heartbeat reports in ordinary times: one host a second answers
	gossipMost       = 600 // while hosts are dead
	observationBytes = 120 // besides the names of the host and of the check
	reasonBytes      = 100 // most reasons are shorter; a server's greeting may be longer
	// An edge that fails reports a miss and a result for each look, and each leaves at once, in a message of its own.
	failingMessages = 2
	// Rounds add a quarter to all probes, and edges that turn bad may ask beyond that.
	roundsPercent = 150
	// What an agent may have kept on its disk while it had no connection.
	historyBytes = 64 << 20
)

// Volume is how many bytes one agent publishes in Window.
type Volume struct {
	Expected int64 // while all that it probes answers
	// Budget is what it may publish: enough for two days in which everything that it probes fails, for the rounds that
	// this causes, and for the backlog of an earlier disconnection.
	Budget int64
}

// Plan is what a catalog needs of the stream.
type Plan struct {
	Agents   map[string]Volume // by key
	Unlisted int64             // budget of an agent that the catalog does not have: heartbeats and history
	// Size is how many bytes OBS needs so that two agents can use their whole budgets without any evidence of the last
	// two days being discarded. It may exceed StreamMax.
	Size int64
}

// The bounds of the stream OBS in bytes. The minimum leaves room for a mesh to grow; the maximum is what a
// coordinator's disk can be expected to hold, since the stream is stored compressed.
const (
	StreamMin = 2 << 30
	StreamMax = 64 << 30
	// The leader's marks: a tick every 250 ms at most, and catalogs and rosters.
	marksBytes = 256 << 20
	// How many agents may use their whole budgets at once before the stream runs out of room.
	spenders = 2
)

// Compute returns what the catalog needs. It visits each check once: a hundred hosts take some 100 ms.
func Compute(c *catalog.Catalog) Plan {
	p := Plan{Agents: map[string]Volume{}, Unlisted: int64((messageBytes+gossipMost)*perWindow(heartbeatEvery)) + historyBytes}
	for i := range c.Hosts {
		p.Agents[c.Hosts[i].Key()] = Volume{int64((messageBytes + gossipBytes) * perWindow(heartbeatEvery)), p.Unlisted}
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			check := &h.Checks[k]
			looks := perWindow(check.Interval) * float64(len(h.Families()))
			size := float64(observationBytes + len(h.Key()) + len(check.Name))
			for _, agent := range schedule.Observers(c, h, check) {
				n := p.Agents[agent]
				n.Expected += int64(looks * size)
				n.Budget += int64(looks * failingMessages * (messageBytes + size + reasonBytes) * roundsPercent / 100)
				p.Agents[agent] = n
			}
		}
	}
	expected, largest := int64(0), p.Unlisted
	for _, n := range p.Agents {
		expected, largest = expected+n.Expected, max(largest, n.Budget)
	}
	p.Size = max(StreamMin, marksBytes+expected*5/4+largest*spenders)
	return p
}

func perWindow(interval time.Duration) float64 { return Window.Seconds() / interval.Seconds() }

// Reach returns how far back a stream of this many bytes reaches while no agent overspends.
func (p Plan) Reach(size int64) time.Duration {
	expected := int64(marksBytes)
	for _, n := range p.Agents {
		expected += n.Expected
	}
	return min(Window, time.Duration(float64(Window)*float64(size)/float64(expected)))
}
