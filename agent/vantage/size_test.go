package vantage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quota"
	"github.com/probemesh/probemesh/pkg/wire"
)

// stored returns the bytes that a stream counts for the batches: each as encoded, and 250 for headers, subject and
// record.
func stored(t *testing.T, batches []*mesh.Batch) (bytes int64) {
	t.Helper()
	for _, b := range batches {
		data, err := wire.EncodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		bytes += int64(len(data)) + 250
	}
	return bytes
}

// A real agent stays within what the quota expects while all is well, and within its budget while everything fails.
func TestAgentStaysWithinItsBudget(t *testing.T) {
	for _, away := range []bool{false, true} {
		startWith(t, manyChecks, func(b *bus, n *network) {
			for _, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
				n.set(address, away)
			}
			time.Sleep(30 * time.Second)
			b.published()
			const hours = 1
			time.Sleep(hours * time.Hour)
			batches, _ := b.published()
			used := stored(t, batches)
			p := quota.Compute(b.catalog)
			need := p.Agents[strings.ToLower(batches[0].Agent)]
			inWindow := used * int64(quota.Window/time.Hour) / hours
			t.Logf("all away %v: %d batches and %d bytes an hour, %d MB in two days; expected %d MB, budget %d MB",
				away, len(batches), used, inWindow>>20, need.Expected>>20, need.Budget>>20)
			if !away && inWindow > need.Expected || inWindow > quota.Retained(need.Budget) {
				t.Error("more than that")
			}
		})
	}
}

// However long names and reasons are, no batch is larger than the bus accepts, and none is lost.
func TestLargeBatchIsSplit(t *testing.T) {
	const checks = 60 // of each host
	startWith(t, func(c *vantage.Config) {
		hosts := c.Bus.(*bus).catalog.Hosts
		for h := range hosts[1:] {
			first := hosts[h+1].Checks[0]
			for i := range checks {
				first.ID = ""
				first.Name = fmt.Sprintf("%02d%s", i, strings.Repeat("<", wire.NameMax-2)) // six bytes each on the wire
				hosts[h+1].Checks = append(hosts[h+1].Checks, first)
			}
		}
	}, func(b *bus, _ *network) {
		time.Sleep(20 * time.Second)
		b.published()
		for _, h := range b.catalog.Hosts[1:] { // two rounds at the same moment
			ask(t, b, h.Key(), 1)
		}
		time.Sleep(time.Minute)
		batches, obs := b.published()
		largest := 0
		for _, batch := range batches {
			data, err := wire.EncodeBatch(batch)
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, len(data))
		}
		t.Logf("%d observations in %d batches, of which the largest has %d bytes", len(obs), len(batches), largest)
		if largest > 32<<10 || largest < 16<<10 || batches[len(batches)-1].Dropped > 0 || len(obs) < 2*checks {
			t.Error(
				"the batches are too large or too small, or observations were dropped:",
				batches[len(batches)-1].Dropped,
			)
		}
	})
}
