package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// lostThen is a source of which vantages lost a third of their probes a while ago.
type lostThen struct {
	source
	asked *[]latency.MinutesRequest
}

func (l lostThen) Minutes(_ context.Context, _ *catalog.Catalog, q latency.MinutesRequest) ([]latency.Point, error) {
	*l.asked = append(*l.asked, q)
	return []latency.Point{{Digest: rollup.Digest{Sent: 60, Lost: 20}}}, nil
}

// A matrix of the past shows what was lost in the minutes before its moment, beside round-trip times as well. A cell
// whose losses nobody counted does not look as if there were no vote.
func TestAMatrixOfThePastShowsLosses(t *testing.T) {
	s, asked := webtest.NewSource(t, mesh.Up, mesh.Operational), []latency.MinutesRequest{}
	s.Snapshot.Vantages = []mesh.VantageState{{Name: "NC023", Region: "london", LastBatch: s.Snapshot.At}}
	for i := range s.Snapshot.Hosts {
		for k := range s.Snapshot.Hosts[i].Checks {
			for _, vote := range s.Snapshot.Hosts[i].Checks[k].Votes {
				for n := range vote.Edges {
					e := &vote.Edges[n]
					e.Vote, e.Outcome, e.RTT, e.At = mesh.OK, mesh.Reachable, time.Millisecond, s.Snapshot.At
				}
			}
		}
	}
	h := console.New(console.Config{
		Source: lostThen{source{s}, &asked}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	})
	for path, want := range map[string]string{
		"/matrix?at=3h": "<small>33 %</small></a>", "/matrix?at=3h&show=loss": ">33 %</a>",
		"/?at=3h": "<small>33 %</small></a>",
	} {
		asked = nil
		text := get(t, h, "localhost", path).Body.String()
		if !strings.Contains(text, want) {
			t.Errorf("%s shows no losses", path)
		}
		for _, q := range asked {
			ago := time.Since(q.To).Round(time.Hour)
			if ago != 3*time.Hour || q.To.Sub(q.From) != 10*time.Minute {
				t.Errorf("%s counts from %v to %v", path, q.From, q.To)
			}
		}
	}
	uncounted := get(t, h, "localhost", "/matrix?show=loss").Body.String()
	if strings.Contains(uncounted, ">?</a>") || !strings.Contains(uncounted, "its losses are not counted") {
		t.Error("a cell without counted losses looks like one without a vote")
	}
}
