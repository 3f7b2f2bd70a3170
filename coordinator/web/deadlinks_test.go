package web_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
)

var hrefs = regexp.MustCompile(`href="(/[^"#]*)`)

// Every address that a page of the operators' view has a link to is answered.
func TestTheOperatorsViewHasNoDeadLinks(t *testing.T) {
	m := newMarkedMesh(t)
	h := console.New(console.Config{Source: m, Site: operatorsSite(m), Logger: zerolog.Nop()})
	seen, from := map[string]bool{"/": true}, []string{"/"}
	for len(from) > 0 && len(seen) < 1000 {
		r := httptest.NewRequest(http.MethodGet, from[0], nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for _, link := range hrefs.FindAllStringSubmatch(w.Body.String(), -1) {
			address := html.UnescapeString(link[1])
			// The site answers programs by a limit of its own.
			if seen[address] || strings.HasPrefix(address, "//") || strings.HasPrefix(address, "/api/") {
				continue
			}
			seen[address], from = true, append(from, address)
			if w := browse(t, h, http.MethodGet, address, "none navigate document"); w.Code >= http.StatusBadRequest {
				t.Errorf("%s leads to %s: status %d", from[0], address, w.Code)
			}
		}
		from = from[1:]
	}
	if !seen["/history"] || len(seen) < 30 {
		t.Errorf("%d addresses were found", len(seen))
	}
}
