package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestReplica follows a running coordinator, and serves on without it and after a restart.
func TestReplica(t *testing.T) {
	t.Parallel()
	m := newTestbed(t)
	public, address := testenv.FreeAddress(t), testenv.FreeAddress(t)
	m.startCoordinator(m.path("d"), "--listen", public)
	args := []string{"replica", "--from", "http://" + public + "/", "--data", m.path("r"), "--listen", address}
	copied := m.start(m.coordinator, args...)
	page := func() string {
		res, err := http.Get("http://" + address + "/matrix")
		if err != nil {
			return ""
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body) // an error shows as a page without its end
		return string(text)
	}
	m.eventually("the page is copied", func() bool { return strings.Contains(page(), "</html>") })
	if strings.Contains(page(), "Out of date: as of") {
		t.Error("the copy of a running coordinator is called out of date")
	}
	m.stop(m.serve)
	m.eventually("the copy says of when it is", func() bool { return strings.Contains(page(), "Out of date: as of") })
	m.stop(copied)
	m.start(m.coordinator, args...)
	m.eventually("the copy survives a restart", func() bool { return strings.Contains(page(), "Out of date: as of") })

	for _, from := range []string{"", "status.example.net", "ftp://status.example.net", "https://a:b@status.example.net"} {
		if out, err := m.run(m.coordinator, "replica", "--from", from); err == nil || !strings.Contains(out, "--from") {
			t.Errorf("--from %q: %s", from, out)
		}
	}
}
