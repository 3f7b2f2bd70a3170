package console_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The page of a host names the check that fails before all else, and shows its votes before those of checks that work.
func TestAHostBeginsWithWhatFails(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := &s.Snapshot.Hosts[0]
	failing := len(h.Checks) - 1
	c := &h.Checks[failing]
	c.Verdict, c.Sentence = mesh.Down, "Down: 7 of 7 regions confirm that it refused the connection."
	h.Status, h.Sentence = mesh.PartialOutage, c.Sentence
	page := get(t, console.New(console.Config{Source: source{s}, Site: notFound, Logger: zerolog.Nop()}), "localhost",
		"/hosts/"+h.Name).Body.String()
	_, main, _ := strings.Cut(page, "<main")
	last := -1
	for _, part := range []string{
		h.Name + " " + c.Name + ": down", c.Sentence, "coordinator explain " + h.Name,
		`aria-label="Votes on ` + h.Name + " " + c.Name, `aria-label="Votes on ` + h.Name + " " + h.Checks[0].Name,
	} {
		at := strings.Index(main, part)
		if at <= last {
			t.Errorf("%q is at %d, after %d", part, at, last)
		}
		last = at
	}
}
