package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestPanelShowsNoTextOfAgents: the panel is public, and what a server answered an agent may be secret.
func TestPanelShowsNoTextOfAgents(t *testing.T) {
	c := &catalog.Catalog{Regions: []catalog.Region{{Name: "lus", City: "Lusaka"}}}
	check := mesh.CheckState{Name: "web", Advisories: []string{"SECRET"}, Votes: []mesh.RegionVote{{
		Region: "lus", Vote: mesh.Bad, Why: "redirects to https://x/?key=SECRET", Edges: []mesh.EdgeState{
			{Vote: mesh.Bad, Reason: "redirects to https://x/?key=SECRET (status 302), wanted 200"},
		},
	}}}
	for verdict, want := range map[mesh.Verdict]string{
		mesh.Up: "", mesh.Unknown: "", mesh.Degraded: "", mesh.Pending: "",
		mesh.Partial: "it redirected to another address", mesh.Down: "it redirected to another address",
	} {
		check.Verdict = verdict
		f := newCheckView(c, mesh.HostState{Name: "NC1"}, check)
		if f.Votes[0].Why != want || strings.Contains(fmt.Sprint(f), "SECRET") {
			t.Errorf("%s: %+v", verdict, f)
		}
	}
}

// A page elsewhere can point its name at 127.0.0.1. Then its requests are of the same origin for the browser.
func TestPanelAnswersOnlyForTheNameOfThisMachine(t *testing.T) {
	h := newPanel(&Demo{}, nil)
	for _, test := range []struct {
		local, host string
		want        int
	}{
		{"127.0.0.1", "localhost:8080", http.StatusOK},
		{"127.0.0.1", "127.0.0.1:8080", http.StatusOK},
		{"::1", "[::1]", http.StatusOK},
		{"127.0.0.1", "elsewhere.example:8080", http.StatusMisdirectedRequest},
		{"127.0.0.1", "", http.StatusMisdirectedRequest},
		{"192.0.2.1", "demo.example.net", http.StatusOK},
	} {
		local := &net.TCPAddr{IP: net.ParseIP(test.local), Port: 8080}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/demo/faults", nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != test.want {
			t.Errorf("%q at %s: status %d, want %d", test.host, test.local, w.Code, test.want)
		}
	}
}
