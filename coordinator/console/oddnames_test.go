package console_test

import (
	"encoding/csv"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	nethtml "golang.org/x/net/html"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// oddNames are names that checks may have. Several have the same letters and digits.
var oddNames = []string{
	"TCP 25", "tcp-25", "!", "?", "+1", "-1", "a/b", "a;b", "a/../b", "dump.json", "a/data.csv", "100 %", "%2e%2e%2f",
	"?a=b#c", `a\b`, "=1+1", "@SUM(1)", "$1", "{{.}}", `"><img src=x onerror=alert(1)>`, "minutes", "日本",
	"</script><script>alert(1)</script>",
}

// newOddConsole is the console of a mesh whose first host has a check of each odd name. Its only agent, and what it
// probes, report texts that are markup, formulas and events of a stream.
func newOddConsole(t *testing.T) (h http.Handler, host string) {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now()
	s.Catalog.Page.Title, s.Catalog.Regions[0].City = "</title><script>alert(1)</script>", `</script><b onclick="x">City`
	config, state := &s.Catalog.Hosts[0], &s.Snapshot.Hosts[0]
	config.Labels, config.Group = map[string]string{`"><script>`: "=1"}, "</select><script>"
	check, seen := config.Checks[0], state.Checks[0]
	seen.Votes = []mesh.RegionVote{{Region: "london", Vote: mesh.Bad, Edges: []mesh.EdgeState{{
		Vantage: "nc023", Outcome: mesh.Unreachable, Vote: mesh.Bad, At: now,
		Reason: "=<script>\x00alert(1)</script>\r\n\r\nevent: status\ndata: {}\r\n\r\n\xff",
	}}}}
	config.Checks, state.Checks = nil, nil
	for _, name := range oddNames {
		check.Name, seen.Name = name, name
		config.Checks, state.Checks = append(config.Checks, check), append(state.Checks, seen)
	}
	catalog.Seal(s.Catalog)
	s.Snapshot.Vantages = []mesh.VantageState{{
		Name: "NC023", Region: "london", LastBatch: now, Version: "@<b onclick='x'>\xff", Revision: `"<i>`,
		SpoolOff: "=cmd|'</td><script>'!A1", Advisories: []string{"+<script>alert(1)</script>"},
	}}
	return console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	}), state.Name
}

// Every check has its own pages, whatever its name is, and each of them its tables.
func TestOddNamesHaveTheirPages(t *testing.T) {
	h, host := newOddConsole(t)
	for _, name := range oddNames {
		check, pair := "/hosts/"+host+"/checks/"+url.PathEscape(name), "/pairs/NC023/"+host+"/"+url.PathEscape(name)
		for _, path := range []string{check, check + "/minutes", check + "/year", pair} {
			w := get(t, h, "localhost", path)
			_, title, _ := strings.Cut(w.Body.String(), "<title>")
			title, _, _ = strings.Cut(title, "</title>")
			if w.Code != http.StatusOK || !strings.Contains(html.UnescapeString(title), host+" "+name) {
				t.Errorf("%s: status %d, %.60q", path, w.Code, title)
			}
			if strings.HasSuffix(path, "/year") {
				continue // its sheet has 70,000 rows
			}
			for extension, kind := range map[string]string{".csv": "text/csv", ".json": "application/json"} {
				w := get(t, h, "localhost", path+extension)
				if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
					t.Errorf("%s: status %d, %s", path+extension, w.Code, w.Header().Get("Content-Type"))
				}
			}
		}
	}
}

// HEAD is answered as GET is, for tables by the path's end too.
func TestHeadOfTables(t *testing.T) {
	h, _ := newOddConsole(t)
	for _, path := range []string{"/matrix", "/matrix.csv", "/agents.json", "/nothing.csv"} {
		r := httptest.NewRequest(http.MethodHead, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if of := get(t, h, "localhost", path); w.Code != of.Code {
			t.Errorf("HEAD %s: status %d, GET %d", path, w.Code, of.Code)
		}
	}
}

// Texts of the catalog, of agents and of servers stay texts: no element and no attribute comes of them, and no formula
// in a sheet.
func TestTextsOfOthersStayTexts(t *testing.T) {
	h, host := newOddConsole(t)
	markup := url.PathEscape("</script><script>alert(1)</script>")
	for _, path := range []string{
		"/", "/matrix", "/agents", "/catalog", "/hosts/" + host, "/hosts/" + host + "/checks/" + markup, "/regions/london",
		"/pairs/NC023/" + host + "/" + markup, "/transitions/280", "/matrix?check=" + markup, "/matrix?at=" + markup,
		"/hosts/" + markup, "/matrix?show=loss&x=" + markup,
	} {
		w := get(t, h, "localhost", path)
		document, err := nethtml.Parse(strings.NewReader(w.Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		for n := range document.Descendants() {
			handler := slices.ContainsFunc(n.Attr, func(a nethtml.Attribute) bool { return strings.HasPrefix(a.Key, "on") })
			markup := n.Data == "i" || n.Data == "img" || n.Data == "script" && n.FirstChild.Data == "alert(1)"
			if handler || n.Type == nethtml.ElementNode && markup {
				t.Errorf("%s: a text became the element %s", path, n.Data)
			}
		}
		for _, cell := range cells(t, h, path) {
			if strings.ContainsAny(cell[:min(len(cell), 1)], "=+-@") {
				t.Errorf("%s: the cell %q", path, cell)
			}
		}
	}
}

// cells returns the cells of all sheets that a page links to.
func cells(t *testing.T, h http.Handler, path string) (out []string) {
	t.Helper()
	for _, link := range sheetLinks.FindAllStringSubmatch(get(t, h, "localhost", path).Body.String(), -1) {
		w := get(t, h, "localhost", html.UnescapeString(link[1]))
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) == 0 {
			t.Errorf("%s: status %d, %v", link[1], w.Code, err)
		}
		out = append(out, slices.Concat(rows...)...)
	}
	return out
}

var sheetLinks = regexp.MustCompile(`href="([^"]*format=csv[^"]*)"`)
