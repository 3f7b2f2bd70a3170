package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
)

// Whatever a site links to: a copy asks for addresses of the public site alone, and its files are in its directory.
func TestOnlyAddressesOfTheSiteAreCopied(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "status.example.net"}
	for href, want := range map[string]string{
		"/":                                  "index.html",
		"/hosts/NC036":                       "hosts/NC036/index.html",
		"/hosts/NC%2D036":                    "hosts/NC-036/index.html",
		"/hosts/NC036/checks/ping":           "hosts/NC036/checks/ping/index.html",
		"/tags/smtp?after=AbC_-1":            "tags/smtp/after/AbC_-1/index.html",
		"/history/2025/06":                   "history/2025/06/index.html",
		"/badge/NC036/mail.svg":              "badge/NC036/mail.svg",
		"/api/v1/matrix":                     "api/v1/matrix",
		"https://status.example.net/posts/1": "posts/1/index.html",
		"/assets/chart-12ab.js":              "assets/chart-12ab.js",
		"/ack/TOKEN":                         "", "/ack": "", "/search?q=x": "", "/search": "", "/subscribe": "",
		"/demo/":   "",
		"/healthz": "", "/metrics": "", "/api/v1/events": "", "/api/v1/audit": "", "/api/v1/posts": "",
		"https://elsewhere.example/posts/1": "", "//elsewhere.example/posts/1": "", "/hosts/..": "",
		"/hosts/%2e%2e": "",
		"/hosts/%2fetc": "", "/hosts/a%2f..%2f..": "", "/hosts/.x": "", "/hosts/": "", "/posts/index.html": "",
		"/hosts/a%00b": "", `/hosts/a%5c..%5cb`: "", "/tags/x?after=../y": "", "/tags/x?q=1": "", "/../etc/passwd": "",
		"javascript:alert(1)": "", "data:text/html,x": "", "hosts/NC036": "", "/posts/" + strings.Repeat("a", 300): "",
		"/copy.json": "", "/notice.md": "", "/.manifest.json": "", "/posts/1#x": "posts/1/index.html",
	} {
		address, ok := mirror.Internal(href, base)
		if ok != (want != "") {
			t.Errorf("%s: copied as %q", href, address)
			continue
		}
		file, _ := mirror.File(address)
		if ok && (file != want || !filepath.IsLocal(file)) {
			t.Errorf("%s is in the file %s, not in %s", href, file, want)
		}
	}
}

// memory is a Copy.
type memory map[string]mirror.Document

func (m memory) Known(address string) (mirror.Known, bool) {
	d, ok := m[address]
	return mirror.Known{ETag: d.ETag}, ok
}

func (m memory) Same(string, time.Time) {}

func (m memory) Store(d mirror.Document, _ []string, _ time.Time) error {
	m[d.Address] = d
	return nil
}

func newOrigin(t *testing.T, answer http.HandlerFunc) *mirror.Origin {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &mirror.Origin{Base: base, Client: mirror.NewClient()}
}

// A site that answers without end, with foreign types or with links without end takes bounded memory and time.
func TestAHostileSiteIsBounded(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			for i := range 200 {
				fmt.Fprintf(w, `<a href="/posts/%d">x</a><a href="http://127.0.0.1:1/posts/x">y</a>`, i)
			}
		case "/posts/1":
			w.Header().Set("Content-Type", "text/html")
			chunk := []byte(strings.Repeat("x", 1<<20))
			for range 100 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "/posts/2":
			w.Header().Set("Content-Type", "application/x-msdownload")
		case "/posts/3":
			http.Redirect(w, r, "http://127.0.0.1:1/posts/4", http.StatusFound)
		case "/posts/4":
			http.Redirect(w, r, "/posts/5", http.StatusFound)
		case "/posts/5":
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("ETag", strings.Repeat("e", 10_000))
			fmt.Fprint(w, strings.Repeat("<div>", 10_000))
		case "/posts/6":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	m := memory{}
	walk, err := o.Walk(t.Context(), m, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 3 || m["/posts/4"].Location != "/posts/5" || m["/posts/5"].ETag != "" {
		t.Errorf("the copy has %d documents", len(m))
	}
	if len(walk.Failed) != 4 || !walk.Seen["/posts/5"] || walk.Seen["/posts/1"] || walk.Seen["/posts/3"] {
		t.Errorf("%d documents could not be read: %v", len(walk.Failed), walk.Failed)
	}
}

// What cannot be read at the moment stays as the copy has it; what is gone is not seen.
func TestADocumentThatFailsStays(t *testing.T) {
	fails, gone := false, false
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/" || r.URL.Path == "/matrix" && !fails || r.URL.Path == "/history" && !gone:
			w.Header().Set("Content-Type", "text/html")
		case r.URL.Path == "/matrix":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	m := memory{}
	if _, err := o.Walk(t.Context(), m, true); err != nil || len(m) != 3 {
		t.Fatal(err, len(m))
	}
	fails, gone = true, true
	walk, err := o.Walk(t.Context(), m, true)
	if err != nil || len(walk.Failed) != 1 || !walk.Seen["/matrix"] || walk.Seen["/history"] {
		t.Errorf("%v: %v, %v", err, walk.Failed, walk.Seen)
	}
}

// A site that has too many requests is asked again after a pause, and a walk ends with its context.
func TestAWalkHeedsTheSite(t *testing.T) {
	asked := 0
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "text/html")
	})
	if _, err := o.Walk(t.Context(), memory{}, true); err != nil || asked != 2 {
		t.Errorf("%v after %d requests", err, asked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o.Pace = 20 * time.Millisecond
	if _, err := o.Walk(ctx, memory{}, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a walk ended with %v", err)
	}
}
