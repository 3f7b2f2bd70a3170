package vantage_test

import (
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
	stalls := 0
	withStalls := func(c *vantage.Config) {
		b, n := c.Bus.(*bus), c.Network.(*network)
		c.Watchdog = func(time.Time) { // called by the loop, which it blocks while probes are under way
			if n.count("192.0.2.3") > 0 {
				stalls++
				b.controls <- renew
				time.Sleep(5 * time.Second)
			}
		}
	}
	startWith(t, withStalls, func(b *bus, _ *network) {
		time.Sleep(10 * time.Minute)
		_, obs := b.published()
		inconclusive := 0
		for _, o := range obs {
			switch o.Outcome {
			case mesh.Unreachable:
				t.Errorf("after a stall it reports %+v", o)
			case mesh.Inconclusive:
				inconclusive++
			}
		}
		if stalls < 30 || inconclusive < stalls/2 {
			t.Errorf("%d stalls, %d inconclusive observations", stalls, inconclusive)
		}
	})
}
