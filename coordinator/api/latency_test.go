package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type latencyAnswer struct {
	From, To time.Time
	By       string
	Hosts    []struct {
		Host   string
		Checks []struct {
			Check   string
			Regions []struct {
				Region string
				Points []struct {
					At                     time.Time
					Reachable, Unreachable int
					P50                    *float64 `json:"p50_ms"`
					P99                    *float64 `json:"p99_ms"`
					Worst                  *struct{ Vantage string }
				}
			}
		}
	}
}

func TestLatency(t *testing.T) {
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	operators := web.NewHandler(zerolog.Nop(), web.Operators,
		api.New(api.Config{View: web.NewView(source, web.Operators)}).Routes()...)
	var all latencyAnswer
	decode(t, public(source), "/api/v1/latency", &all)
	if len(all.Hosts) != 5 || all.By != "hour" || all.To.Sub(all.From) != 48*time.Hour {
		t.Errorf("%d hosts, %s to %s by %s", len(all.Hosts), all.From, all.To, all.By)
	}
	query := url.Values{"host": {"nc036"}, "check": {"sending mail"}, "region": {"lusaka"}, "by": {"day"},
		"from": {"2025-06-01"}, "to": {"2025-07-01T00:00:00+02:00"}}.Encode()
	var one latencyAnswer
	decode(t, public(source), "/api/v1/latency?"+query, &one)
	if len(one.Hosts) != 1 || len(one.Hosts[0].Checks) != 1 || len(one.Hosts[0].Checks[0].Regions) != 1 {
		t.Fatalf("%+v", one)
	}
	check := one.Hosts[0].Checks[0]
	point := check.Regions[0].Points[0]
	if one.Hosts[0].Host != "NC036" || check.Check != "Sending mail" || check.Regions[0].Region != "lusaka" ||
		point.Reachable != 99 || point.Unreachable != 1 || *point.P50 != 10 || *point.P99 != 40 || point.Worst != nil ||
		!point.At.Equal(time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", one)
	}
	decode(t, operators, "/api/v1/latency?"+query, &one)
	if w := one.Hosts[0].Checks[0].Regions[0].Points[0].Worst; w == nil || w.Vantage != "nc023" {
		t.Errorf("operators see %v", w)
	}
	h := public(source)
	for _, host := range source.Catalog.Hosts {
		w := webtest.Get(t, h, "/api/v1/latency?host="+host.Name)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[host.Public]; w.Code != want {
			t.Errorf("%s: status %d, want %d", host.Name, w.Code, want)
		}
	}
	for query, want := range map[string]string{
		"by=week": "neither hour nor day", "from=June": "RFC 3339", "host=NC036&check=none": "no check",
		"region=moon": "no region", "from=2025-06-02&to=2025-06-01": "is not before", "from=2015-01-01": "shorter period",
	} {
		if w := webtest.Get(t, h, "/api/v1/latency?"+query); w.Code/100 != 4 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, %s", query, w.Code, w.Body)
		}
	}
}
