package judge_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// large returns a mesh of a thousand hosts in twenty regions, with 16 observers a check.
func large() (*catalog.Catalog, *mesh.Roster) {
	c, r := &catalog.Catalog{Rule: catalog.DefaultRule()}, &mesh.Roster{}
	for i := range 20 {
		c.Regions = append(c.Regions, catalog.Region{Name: fmt.Sprintf("region-%d", i),
			Provider: fmt.Sprintf("provider-%d", i%10)})
	}
	for i := range 1000 {
		h := catalog.Host{Name: fmt.Sprintf("HOST-%d", i), Region: c.Regions[i%20].Name,
			Addresses: []string{"192.0.2.1"}, Checks: []catalog.Check{newCheck("ping")}}
		c.Hosts = append(c.Hosts, h)
		r.Vantages = append(r.Vantages, h.Key())
	}
	catalog.Seal(c)
	return c, r
}

// oneBatchEach returns a batch of each agent, with a good observation for each of its duties.
func oneBatchEach(c *catalog.Catalog, r *mesh.Roster) (batches []*mesh.Batch, edges int) {
	of := map[string]*mesh.Batch{}
	for _, agent := range r.Vantages {
		of[agent] = &mesh.Batch{Agent: agent, Epoch: 1, Revision: c.Revision}
		batches = append(batches, of[agent])
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for _, agent := range schedule.NewChooser(c).Observers(h, &h.Checks[0]) {
			edges++
			of[agent].Observations = append(of[agent].Observations, mesh.Observation{
				Host: h.Key(), Check: h.Checks[0].Name, Family: mesh.IPv4, Outcome: mesh.Reachable, Sent: 1,
				Elapsed: time.Millisecond, RTT: time.Millisecond,
			})
		}
	}
	return batches, edges
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkJudge/unchanged is the cost of an observation that changes nothing, in a mesh of a thousand hosts with 16
// observers each, every edge in its turn: obs/s on one core, and the judge's memory for an edge.
func BenchmarkJudge(b *testing.B) {
	b.Run("unchanged", func(b *testing.B) {
		c, r := large()
		batches, edges := oneBatchEach(c, r)
		before := heap()
		j := judge.New(judge.Start{Catalog: c, Roster: r})
		at, sequence := epoch, uint64(0)
		give := func(batch *mesh.Batch) {
			sequence, at = sequence+1, at.Add(2*time.Millisecond) // a thousand agents, each every 2 s
			batch.Sequence++
			for i := range batch.Observations {
				batch.Observations[i].Began = at.Add(-time.Second)
			}
			j.Step(judge.Input{Sequence: sequence, At: at, Batch: batch})
		}
		for range 2 {
			for _, batch := range batches {
				give(batch)
			}
		}
		memory := heap() - before
		observations, next := 0, 0
		for b.Loop() {
			batch := batches[next%len(batches)]
			give(batch)
			next, observations = next+1, observations+len(batch.Observations)
		}
		b.ReportMetric(float64(observations)/b.Elapsed().Seconds(), "obs/s")
		b.ReportMetric(float64(memory)/float64(edges), "B/edge")
		runtime.KeepAlive(j)
	})
}
