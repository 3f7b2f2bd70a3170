package health_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A certificate that ends soon is a warning for as long as it is served, and one line in the log.
func TestACertificateThatEndsSoonIsReportedOnce(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.Nop())
	x := health.NewExpiries(w, zerolog.New(&log))
	ends := &mesh.Expiry{What: mesh.Certificate, At: noon.AddDate(0, 0, 5)}
	for i, test := range []struct {
		hours   int
		verdict mesh.Verdict
		expiry  *mesh.Expiry
		want    string
		lines   int
	}{
		{0, mesh.Up, nil, "", 0},
		{1, mesh.Up, ends, "NC036 Webmail: certificate ends in 4 days", 1},
		{2, mesh.Up, ends, "NC036 Webmail: certificate ends in 4 days", 1},
		{3, mesh.Down, nil, "", 1},
		{26, mesh.Up, ends, "NC036 Webmail: certificate ends in 3 days", 1},
		{27, mesh.Up, nil, "", 2},
		{28, mesh.Up, ends, "NC036 Webmail: certificate ends in 3 days", 3},
	} {
		x.Observe(&mesh.Snapshot{
			At: noon.Add(time.Duration(test.hours)*time.Hour + 10*time.Minute),
			Hosts: []mesh.HostState{{Name: "NC036", Checks: []mesh.CheckState{
				{Name: "Webmail", Verdict: test.verdict, Expiry: test.expiry},
			}}},
		}, 10*time.Minute)
		if got := strings.Join(w.List(), "\n"); got != test.want {
			t.Errorf("step %d: %q, want %q", i, got, test.want)
		}
		if got := strings.Count(log.String(), "\n"); got != test.lines {
			t.Errorf("step %d: %d lines, want %d:\n%s", i, got, test.lines, log.String())
		}
	}
}

// One certificate may serve hundreds of checks; the warning stays a line.
func TestTheWarningOfCertificatesIsBounded(t *testing.T) {
	w := health.NewWarnings(zerolog.Nop())
	x := health.NewExpiries(w, zerolog.Nop())
	s := &mesh.Snapshot{At: noon}
	for i := range 100 {
		s.Hosts = append(s.Hosts, mesh.HostState{Name: fmt.Sprintf("NC%03d", i), Checks: []mesh.CheckState{
			{Name: "Webmail", Expiry: &mesh.Expiry{What: mesh.Certificate, At: noon.AddDate(0, 0, 5)}},
		}})
	}
	x.Observe(s, 0)
	if got := w.List(); len(got) != 1 || !strings.HasSuffix(got[0], "; and 92 more checks") || len(got[0]) > 600 {
		t.Errorf("%q", got)
	}
}
