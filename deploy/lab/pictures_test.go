package lab

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// BenchmarkPictures measures nothing: it stores pictures of the operators' view, in states that only a real mesh can be
// in, in the directory $PROBEMESH_SCREENSHOTS.
func BenchmarkPictures(t *testing.B) {
	dir := os.Getenv("PROBEMESH_SCREENSHOTS")
	if dir == "" {
		t.Fatal("set PROBEMESH_SCREENSHOTS to the directory for the pictures")
	}
	m := startMesh(t, 10*time.Second, "")
	console := httptest.NewServer(m.consoleProxy())
	defer func() { console.CloseClientConnections(); console.Close() }() // pages keep a stream open
	for _, state := range []struct {
		name  string
		fault action
		after time.Duration // how long it lasts before the picture
		pages map[string]string
	}{
		{"all-well", Mend(), time.Minute, map[string]string{"overview": "/", "matrix": "/matrix"}},
		{"one-way-cut", DropFrom("NC036", "lusaka"), 40 * time.Second, map[string]string{
			"overview": "/", "region": "/regions/lusaka", "pair": "/pairs/NC034/NC036/ping",
		}},
		{"host-down", KillHost("NC036"), 20 * time.Second, map[string]string{
			"overview": "/", "host": "/hosts/NC036", "matrix": "/matrix",
		}},
		{"region-cut-off", Isolate("lusaka"), 20 * time.Second, map[string]string{
			"overview": "/", "region": "/regions/lusaka", "matrix": "/matrix",
		}},
		{"isolated-vantage", Blind("NC028"), 40 * time.Second, map[string]string{
			"overview": "/", "region": "/regions/vancouver", "matrix": "/matrix",
		}},
		{"lossy", Impair(0.2, 0, 10*time.Millisecond), 2 * time.Minute, map[string]string{
			"overview": "/", "matrix": "/matrix?show=loss", "check": "/hosts/NC036/checks/ping",
		}},
	} {
		state.fault.do(m)
		time.Sleep(state.after)
		for name, path := range state.pages {
			browser := testenv.NewBrowser(t)
			file := filepath.Join(dir, "console-"+state.name+"-"+name)
			testenv.PhotographAll(t, browser, console.URL+path, file, 360, 1280, 1600)
		}
		m.repair()
	}
}

// consoleProxy serves the operators' view, which listens on the coordinator's loopback, to this machine's browser.
func (m *mesh) consoleProxy() http.Handler {
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:8081"}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     m.web.Transport,
		FlushInterval: -1, // the stream of changes is passed on at once
	}
}
