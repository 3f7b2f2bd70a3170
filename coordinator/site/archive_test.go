package site_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// published is a source with posts of some months: two of them of hosts, one of which is internal.
func published(t *testing.T) *webtest.Source {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Library = webtest.NewLibrary(t)
	id := func(host string) string { return s.Catalog.Host(mesh.Key(host)).Identity() }
	at := func(month time.Month, day int) time.Time { return time.Date(2025, month, day, 9, 53, 0, 0, time.UTC) }
	s.Library.Write(ledger.PostEvent{
		ID: "mail", Mesh: at(6, 11), Hosts: []string{id("NC036"), id("NC023")}, Tags: []string{"smtp", "performance"},
		Category: "mail",
	}, "NC036 is slow", "Messages arrive **twice**.\n\n<script>alert(1)</script>")
	s.Library.Write(ledger.PostEvent{ID: "relay", Mesh: at(6, 12), Hosts: []string{id("NC023")}, Tags: []string{"smtp"}},
		"The relay", "Nobody reads of the relay.")
	s.Library.Write(ledger.PostEvent{ID: "news", Mesh: at(9, 1)}, "News", "Nothing more.")
	s.Library.Write(ledger.PostEvent{ID: "today", Mesh: time.Now()}, "Written today", "It works.")
	s.Library.Write(ledger.PostEvent{
		ID: "old", Mesh: at(9, 2), Published: time.Date(2020, 9, 21, 7, 5, 48, 0, time.UTC),
		Permalinks: []string{"/2020/09/21/virus-flood", "?p=123"},
	}, "Virus flood", "Five accounts.")
	return s
}

func TestThePageOfAPost(t *testing.T) {
	s := published(t)
	h := public(s)
	text := body(t, h, "/posts/mail")
	for _, want := range []string{
		"<title>NC036 is slow – ", "<strong>twice</strong>", "&lt;script&gt;alert(1)", `href="/hosts/NC036"`,
		`href="/tags/smtp"`, `href="/categories/mail"`, `href="/history/2025/06"`, `datetime="2025-06-11T09:53:00Z"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q: %s", want, text)
		}
	}
	if strings.Contains(text, "NC023") {
		t.Error("the page names an internal host")
	}
	for path, status := range map[string]int{"/posts/relay": 404, "/posts/nothing": 404, "/posts/news": 200} {
		if w := webtest.Get(t, h, path); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

// A post leads to the entries before and after it, whichever month they are of, and past those that a reader may not
// see.
func TestAPostLeadsToItsNeighbours(t *testing.T) {
	h := public(published(t))
	for path, want := range map[string][2]string{
		"/posts/old":   {"", "/posts/mail"},
		"/posts/mail":  {"/posts/old", "/posts/news"},
		"/posts/news":  {"/posts/mail", "/posts/today"},
		"/posts/today": {"/posts/news", ""},
	} {
		text := body(t, h, path)
		for i, rel := range []string{"prev", "next"} {
			link := `<a rel="` + rel + `" href="` + want[i]
			if strings.Contains(text, link) == (want[i] == "") || want[i] == "" && strings.Contains(text, `rel="`+rel) {
				t.Errorf("%s lacks %q, or has more: %s", path, link, text[strings.Index(text, "</article>"):])
			}
		}
	}
}

// A correction shows the text before where it says so, and a removal leaves a mark and no text.
func TestCorrectionsAndRemovals(t *testing.T) {
	s := published(t)
	edit := ledger.PostEvent{ID: "news", Action: ledger.PostEdited, Mesh: time.Date(2025, 9, 1, 12, 0, 0, 0, time.UTC)}
	s.Library.Write(edit, "News", "Silently changed.")
	edit.ShowBefore, edit.Mesh = true, edit.Mesh.Add(time.Hour)
	s.Library.Write(edit, "Newer news", "Corrected.")
	h := public(s)
	text := body(t, h, "/posts/news")
	if !strings.Contains(text, "Corrected.") || !strings.Contains(text, "Silently changed.") ||
		strings.Contains(text, "Nothing more.") || !strings.Contains(text, "before it was corrected") {
		t.Errorf("a corrected post: %s", text)
	}
	s.Library.Write(ledger.PostEvent{ID: "news", Action: ledger.PostRemoved, Mesh: edit.Mesh}, "", "")
	w := webtest.Get(t, public(s), "/posts/news")
	if w.Code != http.StatusGone || strings.Contains(w.Body.String(), "orrected") ||
		!strings.Contains(w.Body.String(), "This post was removed") {
		t.Errorf("a removed post: %d %s", w.Code, w.Body)
	}
	if text := body(t, public(s), "/history/2025/09"); strings.Contains(text, "news") || strings.Contains(text, "News") {
		t.Errorf("the month lists a removed post: %s", text)
	}
}

func TestTheArchiveIsRead(t *testing.T) {
	h := public(published(t))
	for path, want := range map[string][]string{
		"/":                 {"Written today", `href="/posts/today"`, `type="application/atom&#43;xml"`, `href="/history"`},
		"/hosts/NC036":      {"NC036 is slow", "/hosts/NC036/feed.rss"},
		"/history":          {`href="/history/2025/06">June 2025</a> <span class="num">1<`, "September 2020", "/tags/smtp"},
		"/history/2025/06":  {"NC036 is slow", "← September 2020", "September 2025 →", "Messages arrive twice."},
		"/history/2025/07":  {"Nothing was published", "← June 2025", "September 2025 →"},
		"/tags/smtp":        {"NC036 is slow", "/tags/smtp/feed.json"},
		"/tags/SMTP":        {"NC036 is slow"},
		"/categories/mail":  {"NC036 is slow", `title="Category mail" href="/categories/mail/feed.atom"`},
		"/search?q=twice":   {"arrive <mark>twice</mark>", "NC036 is slow"},
		`/search?q="a`:      {"Nothing was found", `value="&#34;a"`},
		"/search?host=nc36": {"There is no host"},
		"/search?q=%22%2A":  {"Write words"},
		"/search?from=1&q=<svg/onload=alert(1)>&after=x&kind=q": {
			"as in 2025-06-11", "&lt;svg/onload", "does not exist", "There are posts",
		},
		"/search?q=twice&host=NC036&tag=smtp&category=mail&kind=post&from=2025-06-11&to=2025-06-11": {"NC036 is slow"},
		"/search?q=relay": {"Nothing was found"},
		"/search":         {"Newest", "Written today"},
	} {
		w := webtest.Get(t, h, strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(path))
		text := w.Body.String()
		if w.Code != http.StatusOK || strings.Contains(text, "relay</") || strings.Contains(text, "NC023") {
			t.Errorf("%s: status %d: %s", path, w.Code, text)
		}
		for _, want := range want {
			if !strings.Contains(text, want) {
				_, main, _ := strings.Cut(text, "<main")
				t.Errorf("%s lacks %q: %s", path, want, main)
			}
		}
	}
	for _, path := range []string{
		"/tags/spam", "/categories/x", "/history/2019/01", "/history/2025/13", "/history/x/01", "/tags/%3Cscript%3E",
	} {
		if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// Links to the blog that the page continues lead to what was imported of it.
func TestOldAddressesLeadToPosts(t *testing.T) {
	h := public(published(t))
	for from, to := range map[string]string{
		"/2020/09/21/virus-flood/": "/posts/old", "/2020/09/21/virus-flood": "/posts/old", "/?p=123": "/posts/old",
		"/index.php?p=123": "/posts/old", "/tag/smtp/": "/tags/smtp", "/category/mail/": "/categories/mail",
		"/category/servers/mail/": "/categories/mail", "/feed/": "/feed.rss", "/feed/atom/": "/feed.atom",
		"/tag/smtp/feed/": "/tags/smtp/feed.rss", "/2020/09/": "/history/2020/09", "/2020/": "/history",
		"/?feed=rss2": "/feed.rss", "/?s=virus+flood": "/search?q=virus+flood", "/?tag=smtp": "/tags/smtp",
		"/2020/09/21/": "/history/2020/09",
	} {
		w := webtest.Get(t, h, from)
		if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != to {
			t.Errorf("%s: status %d to %q, want %q", from, w.Code, w.Header().Get("Location"), to)
		}
	}
	for path, status := range map[string]int{
		"/?p=999": 200, "/?utm_source=x": 200, "/2020/13/": 404, "/tag/%0d%0aX:y/": 404, "/tag/": 404, "//evil.example/": 404,
		"/category/x%2f..%2f/": 404,
	} {
		if w := webtest.Get(t, h, path); w.Code != status && w.Code != http.StatusTemporaryRedirect {
			t.Errorf("%s: status %d to %q, want %d", path, w.Code, w.Header().Get("Location"), status)
		}
	}
}

// Clients search by what the pages call hosts, whatever the text calls them.
func TestTheSearchKnowsTitlesOfHosts(t *testing.T) {
	s := published(t)
	s.Catalog.Host("nc036").Title = "Secondary name service"
	s.Catalog.Host("nc023").Title = "Secret relay"
	h := public(s)
	for query, found := range map[string]bool{
		"Secondary": true, "secondary+twice": true, "secondary+relay": false, "%22name+service%22": true, "NC036": true,
		"second": false, "secret": false, "nc036+twice": true, "twice": true, "secondary+secret": false,
	} {
		text := body(t, h, "/search?q="+query)
		if got := strings.Contains(text, `href="/posts/mail"`); got != found || strings.Contains(text, "/posts/relay") {
			t.Errorf("%s finds the post: %v", query, got)
		}
	}
	for path, want := range map[string]string{
		"/search":         `<option value="NC036">Secondary name service (NC036)</option>`,
		"/history":        `<option value="NC036">Secondary name service (NC036)</option>`,
		"/hosts/NC036":    "<h2>News of Secondary name service</h2>",
		"/posts/mail":     `<a href="/hosts/NC036">Secondary name service</a>`,
		"/search?q=twice": `<a href="/hosts/NC036">Secondary name service</a>`,
	} {
		if text := body(t, h, path); !strings.Contains(text, want) || strings.Contains(text, "Secret relay") {
			t.Errorf("%s lacks %s: %s", path, want, text)
		}
	}
}
