package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
)

// browse sends a request as a browser does, with Fetch metadata as "site mode destination"; "" sends none. An event
// stream ends after its first events.
func browse(t *testing.T, h http.Handler, method, address, metadata string) *httptest.ResponseRecorder {
	t.Helper()
	ctx := t.Context()
	if strings.Contains(address, "/events") {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		ctx = gone
	}
	r := httptest.NewRequestWithContext(ctx, method, address, nil)
	r.Host = "localhost"
	if fields := strings.Fields(metadata); len(fields) == 3 {
		r.Header.Set("Sec-Fetch-Site", fields[0])
		r.Header.Set("Sec-Fetch-Mode", fields[1])
		r.Header.Set("Sec-Fetch-Dest", fields[2])
	}
	if !strings.HasSuffix(metadata, "document") {
		r.Header.Set("Origin", "https://elsewhere.example")
	}
	if method == http.MethodOptions {
		r.Header.Set("Access-Control-Request-Method", http.MethodGet)
		r.Header.Set("Access-Control-Request-Headers", "if-none-match")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// everyAddress are the addresses of all routes that the site and its API have.
func (m *markedMesh) everyAddress(t *testing.T) (out []string) {
	for _, some := range m.addresses(t) {
		out = append(out, some...)
	}
	return out
}

func TestPagesOfOtherSitesCannotReadTheOperatorsView(t *testing.T) {
	m := newMarkedMesh(t)
	h := console.New(console.Config{Source: m, Site: operatorsSite(m), Logger: zerolog.Nop()})
	own := []string{"/agents", "/metrics", "/console/events?page=/"}
	for _, address := range append(own, m.everyAddress(t)...) {
		for _, metadata := range []string{
			"cross-site cors empty", "same-site cors empty", "cross-site no-cors script", "cross-site no-cors image",
			"cross-site navigate iframe", "cross-site navigate embed", "unheard-of cors empty",
		} {
			w := browse(t, h, http.MethodGet, address, metadata)
			if w.Code != http.StatusForbidden || marked(w.Body.String()) {
				t.Errorf("%s, %s: status %d", address, metadata, w.Code)
			}
		}
		if w := browse(t, h, http.MethodOptions, address, "cross-site cors empty"); w.Code != http.StatusForbidden {
			t.Errorf("preflight of %s: status %d", address, w.Code)
		}
		for _, metadata := range []string{"", "same-origin cors empty", "none navigate document",
			"cross-site navigate document"} {
			w := browse(t, h, http.MethodGet, address, metadata)
			if w.Code == http.StatusForbidden {
				t.Errorf("%s, %s: refused", address, metadata)
			}
			for name := range w.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s, %s: the operators' view sends %s", address, metadata, name)
				}
			}
		}
	}
}

func TestPagesOfOtherSitesCanReadThePublicAPI(t *testing.T) {
	m := newMarkedMesh(t)
	for _, address := range append(m.everyAddress(t), "/api/v1/hosts/nobody/votes", "/api/nothing") {
		h, want := public(m), "" // one each: a client may not ask all of them at once
		if strings.HasPrefix(address, "/api/") {
			want = "*"
			w := browse(t, h, http.MethodOptions, address, "cross-site cors empty")
			if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
				w.Header().Get("Access-Control-Allow-Methods") == "" {
				t.Errorf("preflight of %s: status %d, %v", address, w.Code, w.Header())
			}
		}
		if strings.HasPrefix(address, "/badge") || address == "/widget.js" { // made for them
			want = "*"
		}
		w := browse(t, h, http.MethodGet, address, "cross-site cors empty")
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || w.Code == http.StatusForbidden {
			t.Errorf("%s: status %d, Access-Control-Allow-Origin %q, want %q", address, w.Code, got, want)
		}
	}
}
