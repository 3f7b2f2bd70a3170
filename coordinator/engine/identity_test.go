package engine_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// A second agent with NC2's identity is a problem for operators, and a line in the log, until it has been gone for a
// minute.
func TestASharedIdentityIsReportedUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		w, c := newWorld(t), fourHosts(t)
		w.log = log
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		shared := func() bool {
			return slices.ContainsFunc(e.Health.Problems(), func(p string) bool {
				return strings.Contains(p, "one identity") && strings.Contains(p, "NC2 since ")
			})
		}
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		for sequence := range uint64(10) {
			b := &mesh.Batch{
				Agent: "nc2", Epoch: 77, Sequence: sequence + 1, Revision: c.Revision,
				Began: time.Now(), Connected: time.Now().Add(-time.Hour),
			}
			data, err := wire.EncodeBatch(b)
			if err != nil {
				t.Fatal(err)
			}
			h := wire.EncodeHeaders(0, time.Hour)
			w.store(bus.Message{Kind: bus.Batch, Agent: "nc2", Data: data, Header: func(key string) string { return h[key] }})
			w.observe(t, c, mesh.Reachable, 2*time.Second)
		}
		if !shared() || log.count("two agents use one identity", "NC2") != 1 {
			t.Error("not reported, or not logged once:", e.Health.Problems())
		}
		w.observe(t, c, mesh.Reachable, 70*time.Second)
		if shared() || log.count("warning cleared", "NC2") != 1 {
			t.Error("the problem does not end:", e.Health.Problems())
		}
		mustStop(t, stop)
	})
}
