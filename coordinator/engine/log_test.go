package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// The log has the agents' reasons, which the public sentence omits, and an unreadable message does not fill it.
func TestTheLogHasReasonsAndStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		w, c := newWorld(t), fourHosts(t)
		w.log, w.namesRounds = log, true
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		h := wire.EncodeHeaders(0, time.Hour)
		huge := []byte(`{"v": ` + strings.Repeat("1", 200_000) + `}`)
		w.store(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: func(k string) string { return h[k] }, Data: huge})
		time.Sleep(time.Second)
		mustStop(t, stop)
		if log.count(`"reasons":["timeout"]`, "confirm that it did not answer when pinged") == 0 {
			t.Error("no transition is logged with the agents' reasons")
		}
		if log.count(`"level":"warn"`, "confirm that it did not answer when pinged") == 0 {
			t.Error("an outage is not logged as a warning")
		}
		if log.count("message rejected", "decode batch") != 1 {
			t.Error("the unreadable message is not logged once")
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > 2000 {
				t.Errorf("a line of %d bytes: %.100s", len(line), line)
			}
		}
	})
}
