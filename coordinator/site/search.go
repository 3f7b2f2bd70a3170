package site

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// searchForm is what a person searches for, as it was typed.
type searchForm struct{ Text, Host, Tag, Category, Kind, From, To string }

// searchView is the form with what there is to choose from, and what was found.
type searchView struct {
	searchForm
	Hosts            []web.NamedHost
	Tags, Categories []archive.Count
	Kinds            []kindView
	Notes            []string // what of the form was not understood
	Found            []entryView
	Searched         bool
	First, Next      string // addresses of the first and of the next page
}

type kindView struct{ Value, Name string }

const (
	// typedMax bounds each field of a search, in letters.
	typedMax = 200
	dateForm = "2006-01-02"
)

// typed returns a field of the form. A search that is longer than anybody types is cut.
func typed(r *http.Request, name string) string {
	runes := []rune(markdown.Line(r.URL.Query().Get(name)))
	return string(runes[:min(len(runes), typedMax)])
}

func (p archivePages) searchPage(w http.ResponseWriter, r *http.Request) error {
	f := searchForm{
		Text: typed(r, "q"), Host: typed(r, "host"), Tag: typed(r, "tag"), Category: typed(r, "category"),
		Kind: typed(r, "kind"), From: typed(r, "from"), To: typed(r, "to"),
	}
	v, err := p.newSearchView(r.Context(), f)
	if err != nil {
		return err
	}
	state := p.site.view.State()
	q, notes, possible := f.query(state)
	after := typed(r, "after")
	q.After, err = archive.ParseCursor(after)
	if err != nil {
		notes = append(notes, "The page that was asked for does not exist: this is the first one.")
	}
	v.Notes, v.Searched = notes, f != searchForm{}
	if possible {
		page, err := p.archive().Find(r.Context(), q)
		if err != nil {
			return err
		}
		v.Found = foundViews(state, page)
		if next := page.Next.String(); next != "" {
			v.Next = f.address(next)
		}
		if q.After != (archive.Cursor{}) {
			v.First = f.address("")
		}
	}
	title := "Search"
	if f.Text != "" {
		title = "Search: " + f.Text
	}
	w.Header().Set("X-Robots-Tag", "noindex")
	return p.write(w, r, http.StatusOK, title, nil, "search", v)
}

// newSearchView fills the form and its choices.
func (p archivePages) newSearchView(ctx context.Context, f searchForm) (v searchView, err error) {
	v.searchForm = f
	for _, k := range archive.Kinds() {
		v.Kinds = append(v.Kinds, kindView{string(k), kindWords[k]})
	}
	state := p.site.view.State()
	for _, h := range state.Hosts() {
		v.Hosts = append(v.Hosts, web.NamedHost{Name: h.Name, Title: called(state, h)})
	}
	if v.Tags, err = p.site.view.Archive().Tags(ctx); err != nil {
		return v, err
	}
	v.Categories, err = p.site.view.Archive().Categories(ctx)
	return v, err
}

// query is what the form asks for. Notes say what of it was not understood; possible is false if nothing can match.
func (f searchForm) query(s web.State) (q archive.Query, notes []string, possible bool) {
	q = archive.Query{
		Text: f.Text, Tag: strings.ToLower(f.Tag), Category: strings.ToLower(f.Category), Limit: entriesShown,
	}
	possible = true
	if f.Text != "" && len(archive.Terms(f.Text)) == 0 {
		notes, possible = append(notes, "Write words, or a phrase in quotation marks."), false
	}
	if f.Host != "" {
		id, ok := s.HostID(mesh.Key(f.Host))
		if q.Host = id; !ok {
			notes, possible = append(notes, "There is no host with this name."), false
		}
	}
	if q.Kind = archive.Kind(strings.ToLower(f.Kind)); q.Kind != "" && !slices.Contains(archive.Kinds(), q.Kind) {
		notes, possible = append(notes, "There are posts, incidents and maintenance."), false
	}
	if f.From != "" {
		from, err := time.Parse(dateForm, f.From)
		if q.From = from; err != nil {
			notes = append(notes, "The first day is ignored: write it as in 2025-06-11.")
		}
	}
	if f.To != "" {
		to, err := time.Parse(dateForm, f.To)
		if err != nil {
			notes = append(notes, "The last day is ignored: write it as in 2025-06-13.")
		} else {
			q.To = to.AddDate(0, 0, 1) // that day too
		}
	}
	return q, notes, possible
}

// address returns the address of a page of the search.
func (f searchForm) address(after string) string {
	values := url.Values{}
	for name, value := range map[string]string{
		"q": f.Text, "host": f.Host, "tag": f.Tag, "category": f.Category, "kind": f.Kind, "from": f.From, "to": f.To,
		"after": after,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return "/search?" + values.Encode()
}
