package vantage_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// A machine that stands still for seconds must not report a miss, whatever wakes the loop first afterwards: also
// where that is a control message and not the timer or the answer of a probe.
func TestStalledMachineReportsNoMiss(t *testing.T) {
	renew, err := wire.EncodeControl(wire.Control{Renew: true})
	if err != nil {
		t.Fatal(err)
	}
	var stalls atomic.Int64 // the loop counts while the test may read
	withStalls := func(c *vantage.Config) {
		b, n := c.Bus.(*bus), c.Network.(*network)
		c.Watchdog = func(time.Time) { // called by the loop, which it blocks while probes are under way
			if n.count("192.0.2.3") > 0 {
				stalls.Add(1)
				b.controls <- renew
				time.Sleep(5 * time.Second)
			}
		}
	}
	startWith(t, withStalls, func(b *bus, _ *network) {
		time.Sleep(10 * time.Minute)
		_, obs := b.published()
		n, inconclusive := stalls.Load(), int64(0)
		for _, o := range obs {
			switch o.Outcome {
			case mesh.Unreachable:
				t.Errorf("after a stall it reports %+v", o)
			case mesh.Inconclusive:
				inconclusive++
			}
		}
		if n < 30 || inconclusive < n/2 {
			t.Errorf("%d stalls, %d inconclusive observations", n, inconclusive)
		}
	})
}
