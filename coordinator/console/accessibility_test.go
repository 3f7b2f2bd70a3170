package console_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestCheckersFindNothing examines the console's pages as that of package site does: with axe-core in a narrow window
// and both color schemes, and with the Nu HTML checker.
func TestCheckersFindNothing(t *testing.T) {
	testenv.RequireLong(t)
	checkers := testenv.NewPageCheckers(t)
	h := examinedConsole(t)
	server := httptest.NewServer(h)
	defer server.Close()
	browser := testenv.NewBrowser(t)
	for _, path := range []string{
		"/", "/matrix", "/matrix?show=loss", "/agents", "/catalog", "/hosts/NC036", "/hosts/NC036?at=10m",
		"/hosts/NC036?at=72h", "/hosts/NC036/checks/ping", "/hosts/NC036/checks/ping/year",
		"/hosts/NC036/checks/ping/minutes",
		"/pairs/NC034/NC036/ping", "/regions/lusaka", "/transitions/280",
	} {
		checkers.Examine(t, browser, server.URL+path, get(t, h, "localhost", path).Body.Bytes())
	}
	checkers.CheckHTML(t)
}

// examinedConsole is a console with something of everything: a check that is down, an advisory, a past and a change.
func examinedConsole(t *testing.T) http.Handler {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Vantages = []mesh.VantageState{
		{Name: "NC034", Region: "lusaka", LastBatch: s.Snapshot.At},
		{Name: "NC036", Region: "amsterdam", LastBatch: s.Snapshot.At, Silent: true},
	}
	down := &s.Snapshot.Hosts[0]
	down.Status = mesh.PartialOutage
	down.Checks[0].Verdict, down.Checks[0].Advisories = mesh.Down, []string{"certificate ends in 4 days"}
	return console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, nil}, Site: web.NewMux(zerolog.Nop(), web.FileRoutes()...),
		Logger: zerolog.Nop(),
	})
}
