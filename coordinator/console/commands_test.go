package console_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A command that a page shows works when it is copied: the packages install the programs under longer names.
func TestCommandsHaveTheNamesOfThisMachine(t *testing.T) {
	self := os.Args[0]
	defer func() { os.Args[0] = self }()
	os.Args[0] = "/usr/bin/probemesh-coordinator"
	down := webtest.NewSource(t, mesh.Down, mesh.MajorOutage)
	overview := console.New(console.Config{Source: source{down}, Site: notFound, Logger: zerolog.Nop()})
	rest := newConsole(t)
	bare, packaged := regexp.MustCompile(`<code>(coordinator|agent) [^<]*`), "<code>probemesh-coordinator "
	for path, h := range map[string]http.Handler{
		"/": overview, "/hosts/NC036": rest, "/agents": rest, "/catalog": rest,
	} {
		page := get(t, h, "localhost", path).Body.String()
		if found := bare.FindAllString(page, -1); len(found) > 0 {
			t.Errorf("%s shows %q", path, found)
		}
		if !strings.Contains(page, packaged) {
			t.Errorf("%s shows no command of the coordinator", path)
		}
	}
}
