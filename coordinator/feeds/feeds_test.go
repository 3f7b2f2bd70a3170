package feeds_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mmcdole/gofeed"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// hostile is text that breaks out of XML, HTML, JSON or a header where something does not escape it.
const hostile = "]]> </title></item><script>alert(1)</script> {{.}} \r\nX-Evil: 1 \u202egnp \x00\x1b \uFFFE &amp; \"'"

// source is a mesh with 60 posts, of which one is of an internal host, and with hostile texts.
func source(t *testing.T) *webtest.Source {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Catalog.Page.URL = ""
	s.Library = webtest.NewLibrary(t)
	id := func(host string) string { return s.Catalog.Host(mesh.Key(host)).Identity() }
	at := time.Date(2025, 6, 11, 7, 54, 0, 5e8, time.UTC)
	for n := range 57 {
		id := "news" + string(rune('a'+n%26)) + string(rune('a'+n/26))
		s.Library.Write(ledger.PostEvent{ID: id, Mesh: at}, "News", "Text.")
	}
	at = at.AddDate(1, 0, 0)
	s.Library.Write(ledger.PostEvent{ID: "mail", Mesh: at, Hosts: []string{id("NC036"), id("NC023")},
		Tags: []string{"smtp"}, Category: "mail"}, "NC036 is slow", "See [before](/posts/newsaa), **please**.")
	s.Library.Write(ledger.PostEvent{ID: "mail", Action: ledger.PostEdited, Mesh: at.Add(time.Hour),
		Hosts: []string{id("NC036")}, Tags: []string{"smtp"}, Category: "mail"},
		"NC036 is slow", "See [before](/posts/newsaa), **please** & <thanks>.")
	relay := ledger.PostEvent{ID: "relay", Mesh: at, Hosts: []string{id("NC023")}, Tags: []string{"smtp"}}
	s.Library.Write(relay, "Relay", "No.")
	s.Library.Write(ledger.PostEvent{ID: "hostile", Mesh: at.AddDate(0, 0, 1), Tags: []string{"smtp"}}, hostile, hostile)
	return s
}

func handler(s *webtest.Source) http.Handler {
	return web.NewHandler(zerolog.Nop(), web.Public, feeds.New(web.NewView(s, web.Public)).Routes()...)
}

// paths are all feeds of the source.
func paths() (out []string) {
	for _, prefix := range []string{"", "/hosts/NC036", "/tags/smtp", "/categories/mail"} {
		for _, format := range []string{"rss", "atom", "json"} {
			out = append(out, prefix+"/feed."+format)
		}
	}
	return out
}

func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "status.example.net"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A parser that others wrote reads the same from all formats.
func TestFeedsAreReadByGofeed(t *testing.T) {
	h := handler(source(t))
	for _, path := range paths() {
		w := get(t, h, path)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		f, err := gofeed.NewParser().Parse(w.Body)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		want := map[string]int{"": 50, "/hosts/NC036": 1, "/tags/smtp": 2, "/categories/mail": 1}
		if n := want[path[:strings.LastIndexByte(path, '/')]]; len(f.Items) != n || f.Title == "" ||
			f.FeedLink != "http://status.example.net"+path {
			t.Errorf("%s: %d entries, want %d; %q, %q", path, len(f.Items), n, f.Title, f.FeedLink)
		}
		i := slices.IndexFunc(f.Items, func(i *gofeed.Item) bool { return i.Title == "NC036 is slow" })
		if i < 0 {
			t.Fatalf("%s has no post of NC036: %v", path, f.Items)
		}
		item := f.Items[i]
		text := item.Content + item.Description
		if item.Link != "http://status.example.net/posts/mail" || !strings.HasPrefix(item.GUID, "urn:uuid:") ||
			item.PublishedParsed == nil || !item.PublishedParsed.Equal(time.Date(2026, 6, 11, 7, 54, 0, 0, time.UTC)) ||
			!strings.Contains(text, `<a href="http://status.example.net/posts/newsaa" rel="nofollow noopener">before</a>`) ||
			!strings.Contains(text, "<strong>please</strong> &amp; &lt;thanks&gt;") ||
			!slices.Equal(item.Categories, []string{"mail", "NC036", "smtp"}) {
			t.Errorf("%s: %+v", path, item)
		}
	}
}

// An entry has one id in all formats, which nothing that happens to the post changes.
func TestIDsNeverChange(t *testing.T) {
	s := source(t)
	ids := func() (out []string) {
		for _, format := range []string{"rss", "atom", "json"} {
			f, err := gofeed.NewParser().Parse(get(t, handler(s), "/hosts/NC036/feed."+format).Body)
			if err != nil || len(f.Items) != 1 {
				t.Fatal(err, f)
			}
			out = append(out, f.Items[0].GUID)
		}
		return out
	}
	before := ids()
	s.Library.Write(ledger.PostEvent{ID: "mail", Action: ledger.PostEdited, Mesh: time.Now(),
		Hosts: []string{s.Catalog.Host("nc036").Identity()}}, "Another title", "Another text")
	s.Catalog.Page.URL = "https://other.example.net/"
	if after := ids(); !slices.Equal(before, after) || before[0] != before[1] || before[1] != before[2] ||
		before[0] != "urn:uuid:77ab5528-df91-8a47-afbc-9bc6a3ed28c8" {
		t.Error(before, after)
	}
}

// Nothing that people write leaves the element that it is in, and no internal host is named.
func TestFeedsAreWellFormed(t *testing.T) {
	h := handler(source(t))
	for _, path := range append(paths(), "/sitemap.xml") {
		w := get(t, h, path)
		text := w.Body.String()
		if strings.HasSuffix(path, ".json") {
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s is not JSON", path)
			}
		} else {
			d := xml.NewDecoder(strings.NewReader(text))
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
					t.Errorf("%s has a script", path)
				}
			}
		}
		header := w.Header()
		if strings.Contains(text, "NC023") || strings.ContainsAny(text, "\u202e\x00\x1b\uFFFE") ||
			header.Get("X-Evil") != "" {
			t.Errorf("%s: %v %s", path, w.Header(), text)
		}
		if header.Get("Content-Security-Policy") != "default-src 'none'" ||
			header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

func TestAFeedThatIsTheSameIsNotSentAgain(t *testing.T) {
	s := source(t)
	h := handler(s)
	for _, path := range append(paths(), "/sitemap.xml", "/robots.txt") {
		etag := get(t, h, path).Header().Get("ETag")
		if w := get(t, h, path, "If-None-Match", etag); etag == "" || w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s: %q %d", path, etag, w.Code)
		}
	}
	etag := get(t, h, "/feed.atom").Header().Get("ETag")
	s.Library.Write(ledger.PostEvent{ID: "new", Mesh: time.Now()}, "New", "New.")
	s.Events.Add(1)
	w := get(t, h, "/feed.atom", "If-None-Match", etag)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "New.") {
		t.Errorf("after a post: %d", w.Code)
	}
}

func TestLinksAreAbsolute(t *testing.T) {
	s := source(t)
	h := handler(s)
	for _, test := range []struct{ header, value, want string }{
		{"X-Other", "", "http://status.example.net/posts/mail"},
		// The client is no proxy of this machine.
		{"X-Forwarded-Proto", "https", "http://status.example.net/posts/mail"},
	} {
		text := get(t, h, "/feed.json", test.header, test.value).Body.String()
		if !strings.Contains(text, `"`+test.want+`"`) {
			t.Errorf("%s: %s", test.header, text)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/feed.json", nil)
	r.Host = `evil"><script>`
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "evil") {
		t.Error("a Host header is repeated")
	}
	s.Catalog.Page.URL = "https://status.example.org/"
	text := get(t, handler(s), "/robots.txt").Body.String()
	if !strings.Contains(text, "Sitemap: https://status.example.org/sitemap.xml") {
		t.Error(text)
	}
	for path, status := range map[string]int{"/hosts/NC023/feed.rss": 404, "/hosts/nobody/feed.atom": 404,
		"/tags/none/feed.rss": 404, "/categories/none/feed.json": 404, "/hosts/NC041/feed.rss": 200} {
		if w := get(t, h, path); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

func TestTheSitemapListsWhatIsPublic(t *testing.T) {
	var out struct {
		URL []struct {
			Loc string `xml:"loc"`
		} `xml:"url"`
	}
	if err := xml.Unmarshal(get(t, handler(source(t)), "/sitemap.xml").Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, u := range out.URL {
		if p, err := url.Parse(u.Loc); err != nil || p.Host != "status.example.net" {
			t.Errorf("%q", u.Loc)
		}
		all = append(all, strings.TrimPrefix(u.Loc, "http://status.example.net"))
	}
	for _, want := range []string{
		"/", "/history", "/history/2025/06", "/posts/mail", "/hosts/NC036", "/tags/smtp", "/categories/mail",
	} {
		if !slices.Contains(all, want) {
			t.Errorf("the sitemap lacks %s: %v", want, all)
		}
	}
	if slices.Contains(all, "/posts/relay") || slices.Contains(all, "/hosts/NC023") {
		t.Error("the sitemap has an internal host")
	}
}

// TestFeedsAreReadByNode reads every feed with parsers from npm, in the versions of testdata/node/package-lock.json.
func TestFeedsAreReadByNode(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"node": "nodejs", "npm": "npm"})
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "parse.mjs"} {
		data, err := os.ReadFile(filepath.Join("testdata", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	server := httptest.NewServer(handler(source(t)))
	defer server.Close()
	args := []string{"parse.mjs"}
	for _, path := range paths() {
		args = append(args, server.URL+path)
	}
	run("node", args...)
}
