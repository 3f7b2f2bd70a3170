package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
)

// The end of each credential and certificate that the mesh itself uses is shown before it comes, also to programs.
func TestAgentsShowWhenCertificatesEnd(t *testing.T) {
	m := newLargeMesh(2)
	day := 24 * time.Hour
	handler := New(Config{
		Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
		CredentialEnds: func() map[string]time.Time {
			return map[string]time.Time{"host0000": m.snapshot.At.Add(60*day + time.Hour)}
		},
		Certificates: func(now time.Time) []health.Certificate {
			return []health.Certificate{
				{What: "certificate of the status page", Issued: now.Add(-80 * day), Ends: now.Add(10*day + time.Hour)},
				{What: "CA of the mesh", Issued: now.Add(-10 * day), Ends: now.Add(3640*day + time.Hour)},
			}
		},
	})
	get := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	page := get("/agents")
	for _, want := range []string{
		">in 60 d 1 h</span>", "<td class=\"num\">–</td></tr>", `<b class="degraded state">in 10 d 1 h</b>`,
		`<td class="num">in 3640 d 1 h</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Count(page, "degraded state") != 1 {
		t.Error("another certificate than the one that ends soon is marked")
	}
	if csv := get("/agents.csv?table=certificates"); strings.Count(csv, "\n") != 3 ||
		!strings.Contains(csv, m.snapshot.At.Add(10*day+time.Hour).UTC().Format("2006-01-02T15:04:05")) {
		t.Errorf("the table for programs is %q", csv)
	}
	if csv := get("/agents.csv"); !strings.Contains(csv, ",credential_ends_at,") ||
		!strings.Contains(csv, m.snapshot.At.Add(60*day+time.Hour).UTC().Format("2006-01-02T15:04:05")) {
		t.Errorf("the table of agents for programs is %q", csv)
	}
}
