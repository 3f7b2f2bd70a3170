package site

import (
	"context"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// archivePages are the site's pages of the past.
type archivePages struct{ site *Site }

// routes are the addresses of what people read about the past.
func (p archivePages) routes() []web.Route {
	ready := func(handler web.HandlerFunc) web.HandlerFunc { return p.site.ready.Ready(archiveKey, handler) }
	return []web.Route{
		{Pattern: "GET /posts/{id}", Handler: ready(p.postPage)},
		{Pattern: "GET /history", Handler: ready(p.historyPage)},
		{Pattern: "GET /history/{year}/{month}", Handler: ready(p.monthPage)},
		{Pattern: "GET /tags/{tag}", Handler: ready(p.tagPage)},
		{Pattern: "GET /categories/{category}", Handler: ready(p.categoryPage)},
		{Pattern: "GET /search", Handler: p.searchPage},
	}
}

// archive is what the pages show.
func (p archivePages) archive() web.ArchiveView { return p.site.view.Archive().InClientsWords() }

// archiveKey is the key of pages of the archive. Those with a query are not kept.
func archiveKey(r *http.Request) (string, bool) {
	key, ok := web.WithoutQuery(r)
	return strings.ToLower(key), ok
}

const (
	entriesShown   = 20  // on a page of a tag, a category or a search
	summaryLetters = 200 // of an entry in a list
)

// entryView is an entry in a list.
type entryView struct {
	Title, Path, Kind, Summary string
	At                         time.Time
	Hosts                      []web.NamedHost
	Tags                       []string
	Category                   string
	Excerpt                    []archive.Fragment // instead of the summary
}

// kindWords are what readers call the kinds.
var kindWords = map[archive.Kind]string{
	archive.Post: "Post", archive.Incident: "Incident", archive.Maintenance: "Maintenance",
}

func newEntryView(s web.State, e archive.Entry) entryView {
	return entryView{
		Title: markdown.Line(e.Title), Path: e.Path(), Kind: kindWords[e.Kind], Summary: summary(e), At: e.At,
		Hosts: s.NamedHosts(e.Hosts), Tags: e.Tags, Category: e.Category,
	}
}

func newEntryViews(s web.State, entries []archive.Entry) (out []entryView) {
	for _, e := range entries {
		out = append(out, newEntryView(s, e))
	}
	return out
}

// summary is the beginning of what an entry says first.
func summary(e archive.Entry) string {
	if len(e.Updates) == 0 {
		return ""
	}
	text := e.Updates[0].Text
	if text = text[:min(len(text), 8*summaryLetters)]; e.Updates[0].Plain {
		text = markdown.Line(text)
	} else {
		text = markdown.Summary(text)
	}
	runes := []rune(text)
	if len(runes) <= summaryLetters {
		return string(runes)
	}
	return strings.TrimSpace(string(runes[:summaryLetters])) + "…"
}

// write answers with a page of the archive. Its text changes seldom, so that it does not update by itself.
func (p archivePages) write(
	w http.ResponseWriter, r *http.Request, status int, title string, feeds []web.FeedLink, name string, data any,
) error {
	body, err := web.Render(templates, name, data)
	if err != nil {
		return err
	}
	state := p.site.view.State()
	layout, err := p.site.layout(r.Context(), state, body, title)
	if err != nil {
		return err
	}
	layout.Description = title
	if post, ok := data.(postView); ok && post.Summary != "" {
		layout.Description = post.Summary
	}
	layout.Feeds = append(feeds, layout.Feeds...)
	return layout.Write(w, status)
}

func (p archivePages) writeMissing(w http.ResponseWriter, r *http.Request) error {
	return p.write(w, r, http.StatusNotFound, "Page not found", nil, "missing", nil)
}

type postView struct {
	entryView
	Edited time.Time
	Month  string // the path of the month it belongs to
	Text   template.HTML
	Before []earlierView

	Older, Newer *entryView // the entries beside it; nil: there is none
}

type earlierView struct {
	At    time.Time
	Title string // if it was another one
	Text  template.HTML
}

// newEarlierView is a text before a correction of what has a title now.
func newEarlierView(before archive.Earlier, title string) earlierView {
	v := earlierView{At: before.At, Text: text(before.Text)}
	if before.Title != title {
		v.Title = markdown.Line(before.Title)
	}
	return v
}

// text renders what a person wrote for a page of the site.
func text(written string) template.HTML { return template.HTML(markdown.HTML(written, "")) }

func (p archivePages) postPage(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	e, ok, err := p.site.view.Archive().Entry(r.Context(), archive.Post, id)
	if err != nil {
		return err
	}
	if !ok || len(e.Updates) == 0 {
		gone, err := p.site.view.Archive().Gone(r.Context(), id)
		if err != nil || !gone {
			return orMissing(err, func() error { return p.writeMissing(w, r) })
		}
		return p.write(w, r, http.StatusGone, "Post removed", nil, "gone", nil)
	}
	u := e.Updates[0]
	v := postView{
		entryView: newEntryView(p.site.view.State(), e), Edited: u.Edited, Month: monthPath(archive.MonthOf(e.At)),
		Text: text(u.Text),
	}
	for _, before := range u.Before {
		v.Before = append(v.Before, newEarlierView(before, e.Title))
	}
	if v.Older, v.Newer, err = p.neighbours(r.Context(), e); err != nil {
		return err
	}
	return p.write(w, r, http.StatusOK, v.Title, nil, "post", v)
}

func orMissing(err error, missing func() error) error {
	if err != nil {
		return err
	}
	return missing()
}

type historyView struct {
	Years            []yearView
	Tags, Categories []archive.Count
	Search           searchView
}

type yearView struct {
	Year   int
	Months []monthCount
}

type monthCount struct {
	Name, Path string
	Entries    int
}

func monthPath(m archive.Month) string { return m.Begin().Format("/history/2006/01") }

func monthName(m archive.Month) string { return m.Begin().Format("January 2006") }

func (p archivePages) historyPage(w http.ResponseWriter, r *http.Request) error {
	a := p.archive()
	months, err := a.Months(r.Context())
	if err != nil {
		return err
	}
	v := historyView{}
	for _, m := range months {
		if n := len(v.Years); n == 0 || v.Years[n-1].Year != m.Month.Year {
			v.Years = append(v.Years, yearView{Year: m.Month.Year})
		}
		year := &v.Years[len(v.Years)-1]
		year.Months = append(year.Months, monthCount{monthName(m.Month), monthPath(m.Month), m.Entries})
	}
	if v.Search, err = p.newSearchView(r.Context(), searchForm{}); err != nil {
		return err
	}
	v.Tags, v.Categories = v.Search.Tags, v.Search.Categories
	return p.write(w, r, http.StatusOK, "History", nil, "history", v)
}

type monthView struct {
	Name          string
	Entries       []entryView
	Before, After *monthCount // the nearest months with entries
}

func (p archivePages) monthPage(w http.ResponseWriter, r *http.Request) error {
	begin, err := time.Parse("2006/01", r.PathValue("year")+"/"+r.PathValue("month"))
	if err != nil {
		return p.writeMissing(w, r)
	}
	month := archive.MonthOf(begin)
	a := p.archive()
	entries, err := a.Between(r.Context(), month.Begin(), month.End())
	if err != nil {
		return err
	}
	months, err := a.Months(r.Context())
	if err != nil {
		return err
	}
	v := monthView{Name: monthName(month), Entries: newEntryViews(p.site.view.State(), entries)}
	before, after := archive.Neighbours(months, month)
	if before != (archive.Month{}) {
		v.Before = &monthCount{Name: monthName(before), Path: monthPath(before)}
	}
	if after != (archive.Month{}) {
		v.After = &monthCount{Name: monthName(after), Path: monthPath(after)}
	}
	if len(entries) == 0 && v.Before == nil { // before everything
		return p.writeMissing(w, r)
	}
	return p.write(w, r, http.StatusOK, v.Name, nil, "month", v)
}

type listView struct {
	Heading string
	Entries []entryView
	Feed    string // the path of its feeds
	First   string // the address of the first page; empty on it
	Next    string // the address of the next page
}

func (p archivePages) tagPage(w http.ResponseWriter, r *http.Request) error {
	tag := strings.ToLower(r.PathValue("tag"))
	return p.listPage(w, r, archive.Query{Tag: tag}, "Tag "+tag, "/tags/"+tag)
}

func (p archivePages) categoryPage(w http.ResponseWriter, r *http.Request) error {
	category := strings.ToLower(r.PathValue("category"))
	return p.listPage(w, r, archive.Query{Category: category}, "Category "+category, "/categories/"+category)
}

// listPage answers with a page of a query's entries. A position that nobody gave out is the first page.
func (p archivePages) listPage(w http.ResponseWriter, r *http.Request, q archive.Query, heading, path string) error {
	q.After, _ = archive.ParseCursor(r.FormValue("after"))
	q.Limit = entriesShown
	page, err := p.archive().Find(r.Context(), q)
	if err != nil {
		return err
	}
	first := q.After == archive.Cursor{}
	if first && len(page.Found) == 0 {
		return p.writeMissing(w, r)
	}
	v := listView{Heading: heading, Entries: foundViews(p.site.view.State(), page), Feed: path}
	if !first {
		v.First = path
	}
	if next := page.Next.String(); next != "" {
		v.Next = path + "?after=" + next
	}
	return p.write(w, r, http.StatusOK, heading, web.Feeds(heading, path), "list", v)
}

func foundViews(s web.State, page archive.Page) (out []entryView) {
	for _, f := range page.Found {
		v := newEntryView(s, f.Entry)
		v.Excerpt = f.Excerpt
		out = append(out, v)
	}
	return out
}

// newsShown is how many entries the page of a host lists.
const newsShown = 10

// newsOf lists the newest entries that name the host.
func (s *Site) newsOf(ctx context.Context, state web.State, key string) ([]entryView, error) {
	id, ok := state.HostID(mesh.Key(key))
	if !ok {
		return nil, nil
	}
	page, err := s.view.Archive().InClientsWords().Find(ctx, archive.Query{Host: id, Limit: newsShown})
	return foundViews(state, page), err
}

// newsOfDays lists the posts since a time.
func (s *Site) newsOfDays(ctx context.Context, since time.Time) ([]archive.Entry, error) {
	entries, err := s.view.Archive().InClientsWords().Between(ctx, since, time.Now().Add(time.Minute))
	var posts []archive.Entry
	for _, e := range entries {
		if e.Kind == archive.Post {
			posts = append(posts, e)
		}
	}
	return posts, err
}
