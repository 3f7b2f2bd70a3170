package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// largeMesh is a mesh of many hosts in ten regions, each observed by sixteen vantages; one in fifty is down.
type largeMesh struct {
	Source
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
}

func newLargeMesh(hosts int) largeMesh {
	m := largeMesh{catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}, snapshot: &mesh.Snapshot{At: time.Now()}}
	const regions, observers = 10, 16
	for i := range regions {
		m.catalog.Regions = append(
			m.catalog.Regions,
			catalog.Region{Name: fmt.Sprintf("region-%d", i), City: fmt.Sprintf("City %d", i)},
		)
	}
	region := func(i int) string { return m.catalog.Regions[i%regions].Name }
	for i := range hosts {
		name := fmt.Sprintf("HOST%04d", i)
		h := mesh.HostState{Name: name, Region: region(i), Status: mesh.Operational}
		config := catalog.Host{Name: name, Region: region(i), Addresses: []string{"192.0.2.1"}, Group: region(i / 7)}
		serial := fmt.Sprint("no-", i)
		config.Labels = map[string]string{"rack": fmt.Sprint("r", i%50), "serial": serial, "asset": serial, "mac": serial}
		for _, check := range []string{"ping", "https"} {
			kind := map[string]string{"ping": catalog.KindPing, "https": catalog.KindHTTP}[check]
			c := mesh.CheckState{
				Name:     check,
				Kind:     kind,
				Verdict:  mesh.Up,
				Sentence: "Up: reachable from 9 of 9 regions.",
			}
			vote, outcome := mesh.OK, mesh.Reachable
			if i%50 == 7 {
				c.Verdict, h.Status = mesh.Down, mesh.MajorOutage
				c.Sentence = "Down: 9 of 9 regions cannot reach it."
				vote, outcome = mesh.Bad, mesh.Unreachable
			}
			for n := 1; n <= observers; n++ {
				v := (i + n*7) % hosts
				c.Votes = append(c.Votes, mesh.RegionVote{Region: region(v), Vote: vote, Edges: []mesh.EdgeState{{
					Vantage: mesh.Key(
						fmt.Sprintf("HOST%04d", v),
					), Vote: vote, Outcome: outcome, At: m.snapshot.At,
					RTT: time.Duration(n) * 17 * time.Millisecond,
				}}})
			}
			h.Checks = append(h.Checks, c)
			config.Checks = append(config.Checks, catalog.Check{Kind: kind, Name: check, Interval: time.Minute})
		}
		m.catalog.Hosts = append(m.catalog.Hosts, config)
		m.snapshot.Hosts = append(m.snapshot.Hosts, h)
		m.snapshot.Vantages = append(m.snapshot.Vantages, mesh.VantageState{
			Name: name, Region: region(i), LastBatch: m.snapshot.At, Version: "1.2",
		})
	}
	return m
}

func (m largeMesh) Current() (*catalog.Catalog, *mesh.Snapshot)         { return m.catalog, m.snapshot }
func (m largeMesh) Changed() <-chan struct{}                            { return nil }
func (m largeMesh) Warnings() map[string]string                         { return nil }
func (m largeMesh) Streams(context.Context) ([]bus.StreamInfo, error)   { return nil, nil }
func (m largeMesh) Health(context.Context) (h health.Report, err error) { return h, nil }
func (m largeMesh) TransitionsIn(context.Context, string, time.Time, time.Time, int) ([]mesh.Transition, error) {
	return nil, nil
}
func (m largeMesh) DecidedAt(context.Context, uint64) ([]mesh.Transition, error) { return nil, nil }
func (m largeMesh) Incidents(context.Context, incident.Query) ([]*incident.Incident, error) {
	return nil, nil
}
func (m largeMesh) Losses(context.Context, time.Time, time.Time) ([]latency.VantageLoss, error) {
	return nil, nil
}

// Minutes and Latency have all that is asked for.
func (m largeMesh) Minutes(
	_ context.Context, _ *catalog.Catalog, q latency.MinutesRequest,
) (out []latency.Point, err error) {
	for at := q.From; at.Before(q.To) && len(q.Vantages) > 0; at = at.Add(max(q.Step, time.Minute)) {
		out = append(out, latency.Point{At: at, Digest: largeDigest})
	}
	return out, nil
}

func (m largeMesh) Latency(_ context.Context, _ *catalog.Catalog, q latency.Request) (out latency.Report, err error) {
	for _, r := range m.catalog.Regions {
		row := latency.Row{Region: r.Name}
		for at := q.From; at.Before(q.To); at = at.Add(q.By.Duration()) {
			row.Points = append(row.Points, latency.Point{At: at, Digest: largeDigest})
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

var largeDigest = rollup.Digest{
	Outcomes: rollup.Outcomes{Reachable: 60}, Sent: 60, Lost: 1,
	P50: 112300 * time.Microsecond, P90: 123400 * time.Microsecond, P99: 134500 * time.Microsecond,
}

// Overview has one percent of losses from each region.
func (m largeMesh) Overview(context.Context, *catalog.Catalog, bool) (latency.Overview, error) {
	out := latency.Overview{}
	for _, h := range m.snapshot.Hosts {
		recent := latency.HostRecent{Checks: map[string][]latency.Recent{}}
		for _, r := range m.catalog.Regions {
			one := latency.Recent{Region: r.Name}
			one.Hours = one.Hours.Map(func(int, rollup.Digest) rollup.Digest { return rollup.Digest{Sent: 100, Lost: 1} })
			recent.Checks["https"] = append(recent.Checks["https"], one)
		}
		out[mesh.Key(h.Name)] = recent
	}
	return out, nil
}

// largePages are pages of a mesh of a thousand hosts.
var largePages = []string{
	"/", "/matrix", "/matrix?region=region-3", "/matrix?region=region-3&from=region-4", "/matrix?check=https&show=loss",
	"/agents", "/catalog", "/regions/region-3", "/hosts/HOST0057", "/hosts/HOST0057/checks/https",
	"/hosts/HOST0057/checks/https/minutes", "/hosts/HOST0057/checks/https/year", "/pairs/HOST0064/HOST0057/https",
}

func (m largeMesh) get(t testing.TB, path string) *httptest.ResponseRecorder {
	h := New(Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()})
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w
}

func (m largeMesh) photograph(t *testing.T, dir string) {
	server := httptest.NewServer(New(Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()}))
	defer server.Close()
	browser := testenv.NewBrowser(t)
	for name, path := range map[string]string{"overview": "/", "matrix": "/matrix", "region": "/regions/region-3"} {
		testenv.PhotographAll(t, browser, server.URL+path, filepath.Join(dir, "console-hundred-hosts-"+name), 360, 1280, 1600)
	}
}

// A page of a thousand hosts arrives over a slow line too. Pictures of a hundred hosts are stored in the directory
// $PROBEMESH_SCREENSHOTS, if that is set.
func TestPagesOfALargeMeshStaySmall(t *testing.T) {
	const most = 200_000
	m := newLargeMesh(1000)
	for _, path := range largePages {
		if n := m.get(t, path).Body.Len(); n > most {
			t.Errorf("%s has %d bytes", path, n)
		}
	}
	if text := m.get(t, "/matrix?check=https&show=loss").Body.String(); !strings.Contains(text, ">1 %</a>") {
		t.Error("a large mesh has no losses by region")
	}
	if dir := os.Getenv("PROBEMESH_SCREENSHOTS"); dir != "" {
		newLargeMesh(100).photograph(t, dir)
	}
	text := m.get(t, "/matrix?label=serial%3Dno-777").Body.String()
	for _, want := range []string{`value="rack=r49"`, `value="serial=no-777" selected`} {
		if !strings.Contains(text, want) {
			t.Errorf("a large mesh lacks the label %s", want)
		}
	}
	m = newLargeMesh(linesMax) // the largest that has a line for each host and a column for each vantage
	if n := m.get(t, "/matrix").Body.Len(); n > most {
		t.Errorf("the matrix of %d hosts has %d bytes", linesMax, n)
	}
}

func BenchmarkPagesOfALargeMesh(b *testing.B) {
	m := newLargeMesh(1000)
	for _, path := range largePages {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				m.get(b, path)
			}
		})
	}
}
