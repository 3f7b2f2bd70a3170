package probe_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

func compressed(t *testing.T, text string, writer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func gzipped(t *testing.T, text string) string {
	return compressed(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

// The text is found in the page as people read it: decompressed, in the page's character set, anywhere in the first
// MiB.
func TestBodies(t *testing.T) {
	const mebibyte = 1 << 20
	zlibbed := func(text string) string {
		return compressed(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	}
	deflated := func(text string) string {
		return compressed(t, text, func(w io.Writer) io.WriteCloser {
			d, err := flate.NewWriter(w, flate.BestSpeed)
			if err != nil {
				t.Fatal(err)
			}
			return d
		})
	}
	html := "text/html"
	for _, test := range []struct {
		name, contentType, encoding, body, text string
		reason                                  string // empty: found
	}{
		{"plain", html, "", "Welcome to Webmail", "Webmail", ""},
		{"another page", html, "", "It works!", "Webmail", `body lacks "Webmail"`},
		{"empty", html, "", "", "Webmail", `body lacks "Webmail"`},
		{"gzip, which nobody asked for", html, "gzip", gzipped(t, "Welcome to Webmail"), "Webmail", ""},
		{"gzip over gzip", html, "gzip, gzip", gzipped(t, gzipped(t, "Webmail")), "Webmail", ""},
		{"zlib", html, "deflate", zlibbed("Webmail"), "Webmail", ""},
		{"bare DEFLATE", html, "deflate", deflated("Webmail"), "Webmail", ""},
		{"gzip in name alone", html, "gzip", "Welcome to Webmail", "Webmail",
			"malformed answer: its body is not compressed"},
		{"half of gzip", html, "gzip", gzipped(t, strings.Repeat("Web", 9))[:20], "Webmail", "body cut short"},
		{"an encoding that is not known", html, "br", "Webmail", "Webmail",
			"malformed answer: its body has a Content-Encoding"},
		{"too many encodings", html, "gzip, gzip, gzip", "Webmail", "Webmail",
			"malformed answer: its body has a Content-Encoding"},
		{"a bomb", html, "gzip", gzipped(t, strings.Repeat("0", 64*mebibyte)), "Webmail", "not in the first MiB"},
		{"latin 1, declared by the server", "text/html; charset=iso-8859-1", "", "T\xe9l\xe9phone", "Téléphone", ""},
		{"latin 1, declared by the page", html, "", "<meta charset=iso-8859-1>T\xe9l\xe9phone", "Téléphone", ""},
		{"latin 1, not declared", html, "", "T\xe9l\xe9phone", "Téléphone", ""},
		{"UTF-8, not declared, after ASCII", html, "", strings.Repeat(" ", 4000) + "Téléphone", "Téléphone", ""},
		{"UTF-16", "text/html; charset=utf-16le", "", "W\x00e\x00b\x00", "Web", ""},
		{"Cyrillic", "text/html; charset=koi8-r", "", "\xf0\xcf\xde\xd4\xc1", "Почта", ""},
		{"across two windows", html, "", strings.Repeat(" ", 8<<10-3) + "Webmail", "Webmail", ""},
		{"at the end of the first MiB", html, "", strings.Repeat(" ", mebibyte-7) + "Webmail", "Webmail", ""},
		{"exactly one MiB without it", html, "", strings.Repeat(" ", mebibyte), "Webmail", `body lacks "Webmail"`},
		{"after the first MiB", html, "", strings.Repeat(" ", mebibyte) + "Webmail", "Webmail",
			`not in the first MiB of the body: "Webmail"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				if test.encoding != "" {
					w.Header().Set("Content-Encoding", test.encoding)
				}
				io.WriteString(w, test.body)
			}))
			defer site.Close()
			check := catalog.Check{Kind: catalog.KindHTTP, Timeout: patience,
				Options: catalog.HTTP{URL: site.URL, Body: test.text}}
			got := once(t, probe.Kernel{}, check, "127.0.0.1")
			outcome := mesh.Reachable
			if test.reason != "" {
				outcome = mesh.Unreachable
			}
			want(t, got, outcome, test.reason)
		})
	}
}

// A page that never ends is good as soon as the text arrives.
func TestATextIsFoundBeforeThePageEnds(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Webmail"+strings.Repeat(" ", 16<<10))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer site.Close()
	check := catalog.Check{Kind: catalog.KindHTTP, Timeout: 20 * time.Second,
		Options: catalog.HTTP{URL: site.URL, Body: "Webmail"}}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Reachable, "")
}
