package notify_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/catalog"
)

// What was sent about outages that are over is dropped after some days, and an outage that lasts longer still gets no
// message twice, and its end.
func TestTheStateIsBounded(t *testing.T) {
	w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
	long := mail()
	for day := range 60 {
		at := time.Duration(day) * 24 * time.Hour
		short := mail()
		short.ID, short.Opened, short.Over = fmt.Sprint("short", day), noon.Add(at), noon.Add(at+time.Minute)
		w.alerts = []notify.Alert{long, short}
		w.run(at, at, 1)
		w.state.Forget(noon.Add(at-9*24*time.Hour), w.alerts)
		if n := w.state.Size(); n > 12 {
			t.Fatalf("%d messages are remembered on day %d", n, day)
		}
	}
	long.Over = noon.Add(60 * 24 * time.Hour)
	w.alerts = []notify.Alert{long}
	w.run(60*24*time.Hour, 60*24*time.Hour, 1)
	if len(w.story) != 62 || w.story[61] != "1440h0m0s over a" {
		t.Errorf("%d messages: %q", len(w.story), w.story)
	}
}
