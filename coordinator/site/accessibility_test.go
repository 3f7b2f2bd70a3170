package site_test

import (
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestCheckersFindNothing examines the pages in ten states with axe-core, as the aids of readers meet them, in a narrow
// window and both color schemes, and with the Nu HTML checker. It stores pictures of the pages in the directory
// $PROBEMESH_SCREENSHOTS, if that is set.
func TestCheckersFindNothing(t *testing.T) {
	testenv.RequireLong(t)
	checkers := testenv.NewPageCheckers(t)
	for _, state := range webtest.States(t) {
		t.Run(state.Name, func(t *testing.T) {
			view := web.NewView(state.Source, web.Public)
			pages := site.New(site.Config{View: view})
			programs := api.New(api.Config{View: view, Pages: pages})
			h := web.NewHandler(zerolog.Nop(), web.Public, slices.Concat(pages.Routes(), programs.Routes())...)
			server := httptest.NewServer(h)
			defer server.Close()
			browser := testenv.NewBrowser(t)
			if dir := os.Getenv("PROBEMESH_SCREENSHOTS"); dir != "" {
				stop := keepFresh(state)
				photographAll(t, browser, state.Name, server.URL, dir)
				stop()
				browser = testenv.NewBrowser(t)
			}
			for _, path := range examined(state) {
				checkers.Examine(t, browser, server.URL+path, []byte(body(t, h, path)))
			}
		})
	}
	checkers.CheckHTML(t)
}

// examined are the pages that are examined in a state: in the first three all of them, in others those that differ.
func examined(state webtest.State) []string {
	paths := []string{"/", "/matrix"}
	if len(state.Source.Catalog.Hosts) > 0 {
		paths = append(paths, "/hosts/NC036", "/hosts/NC036/checks/sending-mail")
	}
	switch state.Name {
	case "all-well":
		paths = append(paths, "/incidents/a1-1", "/history", time.Now().UTC().Format("/history/2006/01"), "/posts/rack",
			"/search?q=supply", "/rule", "/tags/hardware", "/nothing", "/maintenance")
	case "maintenance":
		paths = append(paths, "/maintenance", "/maintenance/disk")
	case "one-down", "long-names":
		paths = append(paths, "/incidents/b1-1")
	case "four-down":
		paths = append(paths, "/incidents/c1-1")
	}
	return paths
}
