package export_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/export"
	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// origin is a site that a test can have fail.
type origin struct {
	*mirror.Origin
	source *webtest.Source
	after  atomic.Int32 // the requests that are answered before the site is gone; negative: all
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(time.Minute) // it stays current while the test runs
	s.Library = webtest.NewLibrary(t)
	s.All = webtest.Incidents()
	s.Library.Write(ledger.PostEvent{
		ID: "01jabcdefgh", Mesh: time.Now().Add(-time.Hour), Tags: []string{"smtp"}, Category: "mail",
	}, "New rack", "Read [all](/history) of it, or [search](/search?q=x) and [acknowledge](/ack/secret).")
	o := &origin{source: s}
	o.after.Store(-1)
	view := web.NewView(s, web.Public)
	pages := site.New(site.Config{View: view, Links: []web.Link{{Name: "Demo", URL: "/demo/"}}})
	mux := web.NewMux(zerolog.Nop(), slices.Concat(pages.Routes(), api.New(api.Config{View: view, Pages: pages}).Routes(),
		feeds.New(view).Routes())...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := o.after.Load(); n == 0 {
			panic(http.ErrAbortHandler)
		} else if n > 0 {
			o.after.Add(-1)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Origin = &mirror.Origin{Base: base, Client: client}
	return o
}

// show has the site show another state.
func (o *origin) show(t *testing.T, v mesh.Verdict, status mesh.Status) {
	t.Helper()
	next := webtest.NewSource(t, v, status).Snapshot
	next.At = time.Now().Add(time.Minute) // it stays current while the test runs
	o.source.Show(next)
}

func open(t *testing.T, o *origin, dir string) *export.Exporter {
	t.Helper()
	e, err := export.Open(dir, o.Origin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func mustExport(t *testing.T, e *export.Exporter) export.Report {
	t.Helper()
	r, err := e.Export(t.Context(), true)
	if err != nil || len(r.Failed) > 0 {
		t.Fatal(err, r.Failed)
	}
	return r
}

// published lists the files that readers see.
func published(t *testing.T, dir string) map[string]os.FileInfo {
	t.Helper()
	out := map[string]os.FileInfo{}
	root := filepath.Join(dir, ".current") + "/"
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".manifest.json" {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		out[rel], err = os.Stat(filepath.Join(dir, rel)) // as a server opens it
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	hrefs    = regexp.MustCompile(`href="([^"#]*)[^"]*"`)
	scripts  = regexp.MustCompile(`(?s)<script.*?</script>`)
	copyLine = regexp.MustCompile(`>Copy of \d\d:\d\d UTC, \d+ \w{3} \d{4}\.<`)
)

// Every page is there with all that it links to, for a server that knows nothing of the site.
func TestACopyIsCompleteAndStandsAlone(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	mustExport(t, open(t, o, dir))
	files := published(t, dir)
	for _, name := range []string{
		"index.html", "matrix/index.html", "maintenance/index.html", "history/index.html", "hosts/NC036/index.html",
		"hosts/NC036/feed.atom", "posts/01jabcdefgh/index.html", "tags/smtp/index.html", "categories/mail/feed.rss",
		"feed.atom", "feed.rss", "feed.json", "maintenance.ics", "sitemap.xml", "robots.txt", "badge.svg",
		"badge/NC036.svg", "badge/NC036.json", "badge/NC036/sending-mail.svg", "badge/NC036/sending-mail.json",
		"api/v2/summary.json", "api/v2/status.json", "api/v2/components.json", "api/v2/incidents.json",
		"api/v2/incidents/unresolved.json", "api/v2/history.json", "api/v2/scheduled-maintenances.json",
		"api/v1/matrix", "api/v1/transitions", "api/v1/uptime", "api/v1/latency", "api/v1/hosts/NC036/votes",
		"incidents/" + o.source.All[0].ID + "/index.html", "api/v2/incidents/" + o.source.All[0].ID + ".json",
	} {
		if files[name] == nil {
			t.Errorf("the copy has no %s", name)
		}
	}
	for name := range files {
		content := text(t, dir, name)
		if path.Ext(name) != ".html" {
			continue
		}
		if strings.Contains(content, "/ack/") || strings.Contains(content, "/demo/") ||
			strings.Contains(content, "/search") {
			t.Errorf("%s leads to what a copy cannot have", name)
		}
		if !copyLine.MatchString(content) || !strings.Contains(content, "Content-Security-Policy") ||
			strings.Contains(content, "updates by itself") || strings.Contains(content, "<form") {
			t.Errorf("%s is no page of a copy", name)
		}
		for _, m := range hrefs.FindAllStringSubmatch(scripts.ReplaceAllString(content, ""), -1) {
			if u, err := url.Parse(m[1]); err != nil || m[1] == "" || u.Scheme != "" {
				continue
			}
			to := path.Join(path.Dir(name), m[1])
			if strings.HasSuffix(m[1], "/") {
				to = path.Join(to, "index.html")
			}
			if decoded, _ := url.PathUnescape(to); files[decoded] == nil || strings.HasPrefix(m[1], "/") {
				t.Errorf("%s has the link %s, which leads to no file", name, m[1])
			}
		}
	}
}

// A copy that changes at each export would be sent on as a whole at each.
func TestOnlyWhatChangedIsWritten(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	now := time.Now()
	e.Now = func() time.Time { return now }
	mustExport(t, e)
	before := published(t, dir)
	now = now.Add(2 * time.Minute)
	if r := mustExport(t, e); r.Written != 0 || r.Removed != 0 {
		t.Errorf("nothing changed: %+v", r)
	}
	if !strings.Contains(text(t, dir, "copy.json"), now.UTC().Format(time.RFC3339)) {
		t.Error("copy.json does not say when the copy was looked at last")
	}
	o.show(t, mesh.Down, mesh.MajorOutage)
	mustExport(t, e)
	after := published(t, dir)
	same := func(name string) bool { return os.SameFile(before[name], after[name]) }
	if same("index.html") || same("api/v2/status.json") || same("badge/NC036.svg") {
		t.Error("what changed was not written")
	}
	for _, name := range []string{"posts/01jabcdefgh/index.html", "feed.atom", "robots.txt", "api/v1/openapi.json"} {
		if !same(name) || !before[name].ModTime().Equal(after[name].ModTime()) {
			t.Errorf("%s was written though it did not change", name)
		}
	}
	// A page of what is true now says that it was looked at, also to readers without a script.
	now = now.Add(time.Hour)
	mustExport(t, e)
	if want := "Copy of " + now.UTC().Format("15:04 UTC"); !strings.Contains(text(t, dir, "index.html"), want) {
		t.Errorf("the front page does not say %q", want)
	}
}

// Whatever fails, at whatever moment: readers see the whole copy of before.
func TestAFailureLeavesTheCopyAsItWas(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	mustExport(t, e)
	before := published(t, dir)
	o.show(t, mesh.Down, mesh.MajorOutage)
	for _, n := range []int32{0, 1, 7, 40} {
		o.after.Store(n)
		if _, err := e.Export(t.Context(), true); err == nil {
			t.Fatalf("the site was gone after %d requests, and nobody said so", n)
		}
		after := published(t, dir)
		if len(after) != len(before) || !os.SameFile(before["index.html"], after["index.html"]) {
			t.Errorf("after %d requests the copy is another one", n)
		}
	}
	e.Close()
	// A crash leaves half a version behind.
	if err := os.MkdirAll(filepath.Join(dir, ".versions", "2", "hosts", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.after.Store(-1)
	e = open(t, o, dir)
	if r := mustExport(t, e); r.Written == 0 || published(t, dir)["hosts/x"] != nil {
		t.Errorf("after a crash: %+v", r)
	}
	if _, err := export.Open(dir, o.Origin); err == nil {
		t.Error("two exports write to one directory")
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, ".versions")); len(entries) > 3 { // the lock and two versions
		t.Errorf("old versions stay: %v", entries)
	}
}

// A directory with other files is not filled, and nothing is written when it is refused.
func TestADirectoryWithOtherFilesIsRefused(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	write := func(dir, name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"foo.txt", "index.html", "index.html.part", ".htaccess", "api"} {
		dir := t.TempDir()
		write(dir, name)
		if _, err := export.Open(dir, o.Origin); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if got := list(dir); len(got) != 1 || text(t, dir, name) != "x" {
			t.Errorf("%s is refused, and the directory has %v", name, got)
		}
	}
	dir := t.TempDir()
	write(dir, export.NoticeFile)
	e := open(t, o, dir)
	mustExport(t, e)
	// A copy may have other files beside it, as of the web server, but none in its place.
	write(dir, "foo.txt")
	if err := os.Remove(filepath.Join(dir, "index.html")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "api")); err != nil {
		t.Fatal(err)
	}
	write(dir, "index.html")
	e.Close()
	before := list(dir)
	e = open(t, o, dir)
	o.show(t, mesh.Down, mesh.MajorOutage)
	if _, err := e.Export(t.Context(), true); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Error(err)
	}
	if got := list(dir); !slices.Equal(got, before) {
		t.Errorf("refused, it has %v; before %v", got, before)
	}
}

// A reader who asks all the time finds every page at every moment, and never a part of one.
func TestReadersNeverSeeAPart(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	mustExport(t, e)
	ctx, stop := context.WithCancel(t.Context())
	broken := make(chan string, 1)
	go func() {
		defer close(broken)
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			for _, name := range []string{"/index.html", "/hosts/NC036/index.html"} {
				data, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(data)), "</html>") {
					broken <- name
					return
				}
			}
		}
	}()
	for i := range 4 {
		v := []mesh.Verdict{mesh.Down, mesh.Up}[i%2]
		o.show(t, v, []mesh.Status{mesh.MajorOutage, mesh.Operational}[i%2])
		if r := mustExport(t, e); r.Written == 0 {
			t.Error("a change was not written")
		}
	}
	stop()
	if name, ok := <-broken; ok {
		t.Errorf("a reader of %s got a part, or nothing", name)
	}
}

// What is internal now leaves the copy with all its files.
func TestAHostThatBecameInternalLeavesTheCopy(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	mustExport(t, e)
	o.source.HideHost("NC036")
	o.source.Events.Add(1)
	mustExport(t, e)
	for name := range published(t, dir) {
		if strings.Contains(name, "NC036") {
			t.Errorf("the copy still has %s", name)
		}
	}
}

// The notice is for the day on which there is no coordinator to ask.
func TestTheNoticeIsOnEveryPage(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	mustExport(t, e)
	pages := func(want string) (with, all int) {
		for name := range published(t, dir) {
			if path.Ext(name) == ".html" {
				all++
				if strings.Contains(text(t, dir, name), want) {
					with++
				}
			}
		}
		return with, all
	}
	notice := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, export.NoticeFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.after.Store(0)
	notice("Our **data centre** is dark. <script>alert(1)</script>")
	if changed, err := e.Announce(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if with, all := pages("<strong>data centre</strong> is dark. &lt;script&gt;"); with != all || all < 10 {
		t.Errorf("%d of %d pages show the notice", with, all)
	}
	if changed, err := e.Announce(); err != nil || changed {
		t.Error("the same notice was put there again", err)
	}
	o.after.Store(-1)
	notice("It has *light* again.")
	mustExport(t, e)
	if with, all := pages("<em>light</em>"); with != all {
		t.Errorf("%d of %d pages show the new notice", with, all)
	}
	if err := os.Remove(filepath.Join(dir, export.NoticeFile)); err != nil {
		t.Fatal(err)
	}
	mustExport(t, e)
	if with, _ := pages(`id="notice"`); with != 0 {
		t.Errorf("%d pages show a notice that is gone", with)
	}
}

func TestAnUnreadableNoticeDoesNotStopTheCopy(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	elsewhere := filepath.Join(t.TempDir(), "notice")
	notice := func(text string) { // at once: half of a text is a notice, too
		err := os.WriteFile(elsewhere, []byte(text), 0o600)
		if err = errors.Join(err, os.Rename(elsewhere, filepath.Join(dir, export.NoticeFile))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { cancel(); <-ended }()
	notice("Our data centre is dark.")
	go func() { ended <- e.Watch(ctx, zerolog.Nop()) }()
	awaitPage := func(contains ...string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			page, _ := os.ReadFile(filepath.Join(dir, "index.html")) // it does not exist at first
			if !slices.ContainsFunc(contains, func(s string) bool { return !strings.Contains(string(page), s) }) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the copy's front page has not all of %q", contains)
			}
		}
	}
	awaitPage("Our data centre is dark.", "All systems operational")
	notice(strings.Repeat("x", 1<<20))
	o.show(t, mesh.Down, mesh.MajorOutage)
	awaitPage("Our data centre is dark.", "Major outage")
}

// Badges and the API cannot say of when they are, so that they do not say what was of a site that cannot be read.
func TestACopyThatIsOutOfDateCallsNothingOperational(t *testing.T) {
	t.Parallel()
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	now := time.Now()
	e.Now = func() time.Time { return now }
	mustExport(t, e)
	o.after.Store(0)
	said := func(word string) (n int) {
		for _, name := range []string{"badge.svg", "badge/NC036.json", "badge/NC036/sending-mail.svg",
			"api/v2/status.json", "api/v2/summary.json", "api/v2/components.json",
			"api/v1/matrix", "api/v1/hosts/NC036/votes"} {
			if strings.Contains(text(t, dir, name), word) {
				n++
			}
		}
		return n
	}
	if changed, err := e.Announce(); changed || err != nil {
		t.Errorf("a copy of now is out of date: %v", err)
	}
	now = now.Add(10 * time.Minute)
	for _, want := range []bool{true, false} {
		if changed, err := e.Announce(); changed != want || err != nil {
			t.Errorf("changed %v, %v", changed, err)
		}
	}
	if said("Out of date") != 3 || said("Unknown: as of") != 5 ||
		said(`"status": "operational"`)+said("Operational") != 0 {
		t.Errorf("%d badges and %d answers are out of date, %d are operational", said("Out of date"),
			said("Unknown: as of"), said(`"status": "operational"`)+said("Operational"))
	}
	o.after.Store(-1)
	mustExport(t, e)
	if said("Out of date") != 0 || said("Unknown: as of") != 0 {
		t.Error("the copy of now is still out of date")
	}
}

// A new address of the site is copied, or listed here as one that needs a program.
func TestEveryAddressOfTheSiteIsCopied(t *testing.T) {
	t.Parallel()
	view := web.NewView(webtest.NewSource(t, mesh.Up, mesh.Operational), web.Public)
	sample := strings.NewReplacer("{$}", "", "{year}", "2026", "{month}", "11", "{file}", "x.svg", "{host}", "NC036",
		"{check}", "ping", "{id}", "1", "{tag}", "smtp", "{category}", "mail")
	needProgram := []string{"/search", "/healthz", "/readyz", "/"}
	for _, route := range slices.Concat(site.New(site.Config{View: view}).Routes(), feeds.New(view).Routes()) {
		pattern := strings.TrimPrefix(route.Pattern, "GET ")
		if address := sample.Replace(pattern); !slices.Contains(needProgram, pattern) && !mirror.Copied(address) {
			t.Errorf("%s is not copied, as %s", pattern, address)
		}
	}
}
