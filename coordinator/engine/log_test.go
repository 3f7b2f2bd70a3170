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

// Operators find in the log what agents reported, which the public sentence leaves out; a message that cannot be read
// does not fill the log.
func TestTheLogHoldsReasonsAndStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &words{}
		w, c := newWorld(t), newCatalog(t)
		w.said, w.answers = said, true
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		h := wire.EncodeHeaders(0, time.Hour)
		huge := []byte(`{"v": ` + strings.Repeat("1", 200_000) + `}`)
		w.put(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: func(k string) string { return h[k] }, Data: huge})
		time.Sleep(time.Second)
		end(t, stop)
		if said.times(`"reasons":["timeout"]`, "confirm that it did not answer when pinged") == 0 {
			t.Error("no transition is logged with the agents' reasons")
		}
		if said.times("message rejected", "decode batch") != 1 {
			t.Error("the message that cannot be read is not logged once")
		}
		for line := range strings.Lines(said.buf.String()) {
			if len(line) > 2000 {
				t.Errorf("a line of %d bytes: %.100s", len(line), line)
			}
		}
	})
}
