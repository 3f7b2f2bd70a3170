package site_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// confirmedLater is a check that six of seven regions confirmed when its failure was published, and all seven since.
func confirmedLater(t *testing.T) *webtest.Source {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	at := time.Now().UTC()
	h := &s.Snapshot.Hosts[0]
	h.Status, h.Since = mesh.PartialOutage, at
	c := &h.Checks[0]
	c.Verdict, c.Since, c.Tally = mesh.Down, at, mesh.Tally{Regions: 8, Voters: 7, Bad: 7}
	c.Sentence = "Down: 7 of 7 regions confirm that it refused the connection."
	b := incident.NewBook(nil, 0)
	s.All = []*incident.Incident{b.Apply(mesh.Transition{
		ID: "1-nc036-1", Sequence: 1, Host: h.Name, Public: true, Check: c.Name, Was: mesh.Up, Verdict: mesh.Down,
		From: mesh.Operational, To: mesh.PartialOutage, Began: at, Published: at,
		Tally:    mesh.Tally{Regions: 8, Voters: 7, Bad: 6},
		Sentence: "Down: 6 of 7 regions confirm that it refused the connection.",
	})}
	return s
}

var (
	count = regexp.MustCompile(`\d+ of \d+ regions?`)
	block = regexp.MustCompile(`</?(li|p|article|h1|h2|div)\b[^>]*>`)
	tag   = regexp.MustCompile(`<[^>]*>`)
	dated = regexp.MustCompile(`(?i)\bnow\b|<time |\d\d:\d\d UTC`)
)

// An incident has the number of regions at its time, and a host the number of now: each says which.
func TestEveryNumberOfRegionsSaysOfWhenItIs(t *testing.T) {
	s := confirmedLater(t)
	h, host := public(s), s.Snapshot.Hosts[0].Name
	for path, want := range map[string][]string{
		"/":                         {"6 of 7 regions", "7 of 7 regions"},
		"/hosts/" + host:            {"7 of 7 regions"},
		"/incidents/" + s.All[0].ID: {"6 of 7 regions"},
	} {
		text := body(t, h, path)
		for _, want := range want {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if i := strings.Index(text, "<main"); i >= 0 {
			text = text[i:]
		}
		for _, part := range block.Split(text, -1) {
			for _, c := range count.FindAllString(tag.ReplaceAllString(part, ""), -1) {
				if !dated.MatchString(part) {
					t.Errorf("%s does not say of when %q is: %s", path, c, strings.TrimSpace(part))
				}
			}
		}
	}
}
