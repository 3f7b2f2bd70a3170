// Package quota says how many bytes of the stream OBS an agent may use, and who used more. Budget computes what the catalog can
// need of one agent in two days; Tally counts what each agent published in that time. Both know only the catalog and the stream's
// timestamps, so that a restart which counts the stream again comes to the same.
package quota

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Window is the time that a budget is for: what the stream keeps.
const Window = wire.AgeMax

// What the stream stores of one agent, in bytes. A test of pkg/quota measures them against real batches.
const (
	heartbeatEvery   = 2 * time.Second
	messageBytes     = 500 // a batch without observations, its headers and the stream's own record of it
	gossipBytes      = 600 // that a heartbeat reports in ordinary times
	observationBytes = 120 // besides the names of the host and of the check
	reasonBytes      = 100 // most reasons are shorter; a server's greeting may be longer
	// An edge that fails reports a miss and a result for each look, and each leaves at once, in a message of its own.
	failingMessages = 2
	// Rounds add a quarter to all probes. The same again is for edges that turn bad, which ask beyond that.
	roundsPercent = 150
	// What an agent may have kept on its disk while it had no connection.
	historyBytes = 64 << 20
)

// Expected is how many bytes an agent publishes in Window while all that it probes answers.
func Expected(c *catalog.Catalog, agent string) int64 {
	bytes := float64(messageBytes+gossipBytes) * perWindow(heartbeatEvery)
	for _, d := range schedule.Plan(c, agent) {
		bytes += float64(size(d)) * perWindow(d.Interval)
	}
	return int64(bytes)
}

// Budget is how many bytes an agent may publish in Window: enough for two days in which everything that it probes fails, with the
// rounds that this causes, and for the history of an outage before. An agent that the catalog does not know sends heartbeats.
func Budget(c *catalog.Catalog, agent string) int64 {
	bytes := float64(messageBytes+gossipBytes)*perWindow(heartbeatEvery) + historyBytes
	for _, d := range schedule.Plan(c, agent) {
		look := float64(failingMessages * (messageBytes + size(d) + reasonBytes))
		bytes += look * perWindow(d.Interval) * roundsPercent / 100
	}
	return int64(bytes)
}

func size(d schedule.Duty) int {
	return observationBytes + len(d.Host.Key()) + len(d.Check.Name)
}

func perWindow(interval time.Duration) float64 { return Window.Seconds() / interval.Seconds() }

// The bounds of the stream OBS in bytes. The least is for a mesh that grows; the most is what a coordinator's disk can be expected
// to hold, since the stream is compressed on it.
const (
	StreamMin = 2 << 30
	StreamMax = 64 << 30
	// The leader's marks: a tick every 250 ms at most, and catalogs and rosters.
	marksBytes = 256 << 20
	// How many agents may use their whole budget at the same time, for which the stream has room: two, or a fifth of them.
	spendersMin, spendersShare = 2, 5
)

// Size is how many bytes OBS needs so that two agents, or a fifth of them, can use their whole budgets, and nobody's evidence of
// the last two days has to make room. It fits where it is not past StreamMax.
func Size(c *catalog.Catalog) int64 {
	var expected, largest int64
	for i := range c.Hosts {
		key := c.Hosts[i].Key()
		expected += Expected(c, key)
		largest = max(largest, Budget(c, key))
	}
	spenders := int64(max(spendersMin, len(c.Hosts)/spendersShare))
	return max(StreamMin, marksBytes+expected*5/4+largest*spenders)
}

// Reach is how far back a stream of so many bytes reaches while nobody overspends.
func Reach(c *catalog.Catalog, size int64) time.Duration {
	expected := int64(marksBytes)
	for i := range c.Hosts {
		expected += Expected(c, c.Hosts[i].Key())
	}
	return min(Window, time.Duration(float64(Window)*float64(size)/float64(expected)))
}

// Budgets are the budgets of all agents of the catalogs, by key. A catalog that was in force in the last two days counts too, since
// what agents published by it is still there.
func Budgets(catalogs []*catalog.Catalog) map[string]int64 {
	out := map[string]int64{}
	for _, c := range catalogs {
		for i := range c.Hosts {
			key := mesh.Key(c.Hosts[i].Name)
			out[key] = max(out[key], Budget(c, key))
		}
	}
	return out
}

// Unlisted is the budget of an agent that no catalog has.
func Unlisted() int64 { return Budget(&catalog.Catalog{}, "") }
