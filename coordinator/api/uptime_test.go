package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestUptime(t *testing.T) {
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	operators := web.NewHandler(zerolog.Nop(), web.Operators,
		api.New(api.Config{View: web.NewView(source, web.Operators)}).Routes()...)
	type answer struct {
		Hosts []struct {
			Host    string
			Percent *float64 `json:"uptime_percent"`
			Seconds struct{ Up, Down int64 }
			Checks  []struct{ Check string }
		}
	}
	var one, shown, all answer
	decode(t, public(source), "/api/v1/uptime?host=nc036&month=2025-06", &one)
	if len(one.Hosts) != 1 || *one.Hosts[0].Percent != 98.333 || one.Hosts[0].Seconds.Down != 60 ||
		len(one.Hosts[0].Checks) != len(source.Catalog.Host("nc036").Checks) {
		t.Errorf("%+v", one)
	}
	decode(t, public(source), "/api/v1/uptime", &shown)
	decode(t, operators, "/api/v1/uptime?days=7", &all)
	if len(shown.Hosts) != 5 || len(all.Hosts) != len(source.Catalog.Hosts) {
		t.Errorf("the public sees %d hosts, operators %d of %d", len(shown.Hosts), len(all.Hosts), len(source.Catalog.Hosts))
	}
	h := public(source)
	for _, host := range source.Catalog.Hosts {
		w := webtest.Get(t, h, "/api/v1/uptime?host="+host.Name)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[host.Public]; w.Code != want {
			t.Errorf("%s: status %d, want %d", host.Name, w.Code, want)
		}
	}
	for query, text := range map[string]string{
		"month=June": "2025-06", "month=2999-01": "past month", "days=0": "from 1 to 400", "days=401": "from 1 to 400",
	} {
		w := webtest.Get(t, h, "/api/v1/uptime?"+query)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: status %d, %s", query, w.Code, w.Body)
		}
	}
	if w := webtest.Get(t, h, "/api/v1/uptime"); w.Header().Get("Cache-Control") != "no-cache" ||
		strings.Contains(w.Body.String(), "credit") {
		t.Errorf("%v\n%s", w.Header(), w.Body)
	}
}
