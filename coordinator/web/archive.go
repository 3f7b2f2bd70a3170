package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Archive is what people read about the past. The ledger's view implements it.
type Archive interface {
	Find(ctx context.Context, q archive.Query, r archive.Readers) (archive.Page, error)
	Between(ctx context.Context, from, to time.Time, r archive.Readers) ([]archive.Entry, error)
	Latest(ctx context.Context, q archive.Query, r archive.Readers, n int) ([]archive.Entry, error)
	Entry(ctx context.Context, kind archive.Kind, id string, r archive.Readers) (archive.Entry, bool, error)
	Paths(ctx context.Context, r archive.Readers, limit int) ([]string, error)
	Months(ctx context.Context, r archive.Readers) ([]archive.Count, error)
	Tags(ctx context.Context, r archive.Readers) ([]archive.Count, error)
	Categories(ctx context.Context, r archive.Readers) ([]archive.Count, error)
	// Gone reports whether there was a post with the id, whose text nobody can read any more.
	Gone(ctx context.Context, id string) (bool, error)
	// AtPermalink returns the id of the post that had an address, as archive.Permalink writes it; "" if none had.
	AtPermalink(ctx context.Context, address string) (id string, err error)
}

// ArchiveView is an Archive as an audience sees it: without what only others may read, and without the names of hosts
// that they must not see.
type ArchiveView struct {
	view *View
	Archive
	titled bool // incidents call hosts by their titles
}

// Archive returns what the audience may read about the past.
func (v *View) Archive() ArchiveView { return ArchiveView{view: v, Archive: v.source.Archive()} }

// InClientsWords returns the archive with hosts in the titles and sentences of incidents called as clients call them.
func (a ArchiveView) InClientsWords() ArchiveView {
	a.titled = true
	return a
}

// readers are the audience, for queries.
func (a ArchiveView) readers() archive.Readers {
	r := archive.Readers{Everything: a.view.audience == Operators, Now: time.Now()}
	c, _ := a.view.source.Current()
	for i := range c.Hosts {
		if h := &c.Hosts[i]; h.Public {
			r.Hosts = append(r.Hosts, h.Identity())
		}
	}
	return r
}

// seen returns an entry as the audience sees it; ok is false if it does not. Incidents are read again: the stored entry
// is of all its hosts, in its title and in its sentences. So is maintenance, which begins and ends by itself.
func (a ArchiveView) seen(ctx context.Context, e archive.Entry, r archive.Readers) (archive.Entry, bool, error) {
	if e.Kind == archive.Maintenance {
		m, err := a.view.source.Maintenance(ctx, e.ID)
		if err != nil {
			return e, false, err
		}
		e = m.Entry(r.Now)
	}
	if r.Everything {
		return e, true, nil
	}
	if e.Kind == archive.Incident {
		i, err := a.view.Incident(ctx, e.ID)
		if err != nil || i == nil || len(i.Hosts) == 0 {
			return e, false, err
		}
		if a.titled {
			i = a.view.State().InClientsWords(i)
		}
		return i.Entry(), true, nil
	}
	e.Hosts = slices.DeleteFunc(slices.Clone(e.Hosts), func(id string) bool { return !slices.Contains(r.Hosts, id) })
	return e, true, nil
}

func (a ArchiveView) allSeen(
	ctx context.Context, entries []archive.Entry, r archive.Readers, err error,
) (out []archive.Entry, _ error) {
	for _, e := range entries {
		if err != nil {
			break
		}
		var ok bool
		if e, ok, err = a.seen(ctx, e, r); ok {
			out = append(out, e)
		}
	}
	return out, err
}

// Find returns a page of what the audience finds, newest first.
func (a ArchiveView) Find(ctx context.Context, q archive.Query) (archive.Page, error) {
	r := a.readers()
	q.Named = a.view.State().namedIn(q.Text)
	page, err := a.Archive.Find(ctx, q, r)
	if err != nil {
		return page, err
	}
	found := page.Found
	page.Found = nil
	for _, f := range found {
		e, ok, err := a.seen(ctx, f.Entry, r)
		if err != nil {
			return page, err
		}
		// The stored text of an incident may be from before a check became internal.
		if e.Kind == archive.Incident && !r.Everything && a.view.namesInternalCheck(f.Excerpt) {
			f.Excerpt = nil
		}
		if ok {
			page.Found = append(page.Found, archive.Found{Entry: e, Excerpt: f.Excerpt})
		}
	}
	return page, nil
}

// namesInternalCheck reports whether an excerpt contains the name of an internal check of a public host.
func (v *View) namesInternalCheck(excerpt []archive.Fragment) bool {
	var text strings.Builder
	for _, part := range excerpt {
		text.WriteString(part.Text)
	}
	c, _ := v.source.Current()
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if h.Public && slices.ContainsFunc(h.Checks, func(check catalog.Check) bool {
			return check.Internal && quotes(text.String(), check.Name)
		}) {
			return true
		}
	}
	return false
}

// quotes reports whether an excerpt contains a name, in whatever spelling, or begins or ends within it.
func quotes(excerpt, name string) bool {
	const least = 4 // of the name's bytes: fewer show nothing of it
	excerpt, name = strings.Trim(strings.ToLower(excerpt), "… "), strings.ToLower(name)
	if strings.Contains(excerpt, name) {
		return true
	}
	for n := least; n < len(name); n++ {
		if strings.HasSuffix(excerpt, name[:n]) || strings.HasPrefix(excerpt, name[len(name)-n:]) {
			return true
		}
	}
	return false
}

// Between lists what was published or began in [from, to), newest first.
func (a ArchiveView) Between(ctx context.Context, from, to time.Time) ([]archive.Entry, error) {
	r := a.readers()
	entries, err := a.Archive.Between(ctx, from, to, r)
	return a.allSeen(ctx, entries, r, err)
}

// Latest lists entries among whose updates are the n newest ones, in no order.
func (a ArchiveView) Latest(ctx context.Context, q archive.Query, n int) ([]archive.Entry, error) {
	r := a.readers()
	entries, err := a.Archive.Latest(ctx, q, r, n)
	return a.allSeen(ctx, entries, r, err)
}

// Entry returns an entry; ok is false if the audience sees none.
func (a ArchiveView) Entry(ctx context.Context, kind archive.Kind, id string) (archive.Entry, bool, error) {
	r := a.readers()
	e, ok, err := a.Archive.Entry(ctx, kind, id, r)
	if err != nil || !ok {
		return e, false, err
	}
	return a.seen(ctx, e, r)
}

// Paths lists the addresses of the newest entries, at most limit.
func (a ArchiveView) Paths(ctx context.Context, limit int) ([]string, error) {
	return a.Archive.Paths(ctx, a.readers(), limit)
}

// Months counts the entries of each month that has some, newest first.
func (a ArchiveView) Months(ctx context.Context) ([]archive.Count, error) {
	return a.Archive.Months(ctx, a.readers())
}

// Tags counts the entries of each tag, by name.
func (a ArchiveView) Tags(ctx context.Context) ([]archive.Count, error) {
	return a.Archive.Tags(ctx, a.readers())
}

// Categories counts the entries of each category, by name.
func (a ArchiveView) Categories(ctx context.Context) ([]archive.Count, error) {
	return a.Archive.Categories(ctx, a.readers())
}

// HostID returns the internal id of a host, by its key, if the audience may see the host.
func (s State) HostID(key string) (id string, ok bool) {
	h := s.Catalog.Host(mesh.Key(key))
	if h == nil || !s.Visible(h.Public) {
		return "", false
	}
	return h.Identity(), true
}

// namedIn returns the terms of a search that are in the name or the title of hosts that the audience may see, with the
// internal ids of those hosts. What is stored calls hosts by the names of its time, and clients know them by titles.
func (s State) namedIn(text string) (named map[string][]string) {
	for _, term := range archive.Terms(text) {
		for i := range s.Catalog.Hosts {
			h := &s.Catalog.Hosts[i]
			if !s.Visible(h.Public) || !archive.HasTerm(h.Name, term) && !archive.HasTerm(h.Title, term) {
				continue
			}
			if named == nil {
				named = map[string][]string{}
			}
			named[term] = append(named[term], h.Identity())
		}
	}
	return named
}

// NamedHost is a host by its name, and as clients call it.
type NamedHost struct{ Name, Title string }

// String is "Mail (NC036)", or the name alone of a host without a title.
func (h NamedHost) String() string {
	if h.Title == h.Name {
		return h.Name
	}
	return h.Title + " (" + h.Name + ")"
}

// NamedHosts returns hosts by their internal ids, as HostNames does.
func (s State) NamedHosts(ids []string) (out []NamedHost) {
	for _, name := range s.HostNames(ids) {
		out = append(out, NamedHost{name, s.Called(name)})
	}
	return out
}

// HostNames returns the names of hosts by their internal ids, in their order. Those that the audience must not see, and
// those that the catalog does not have any more, are left out.
func (s State) HostNames(ids []string) (names []string) {
	for _, id := range ids {
		if h := s.Catalog.HostByID(id); h != nil && s.Visible(h.Public) {
			names = append(names, h.Name)
		}
	}
	return names
}

// FeedLink is a feed that a page announces.
type FeedLink struct{ Title, Path string }

// Feeds are the feeds at a path, such as "/tags/smtp": all three formats.
func Feeds(title, path string) []FeedLink {
	var out []FeedLink
	for _, f := range []string{"atom", "rss", "json"} {
		out = append(out, FeedLink{title, fmt.Sprintf("%s/feed.%s", path, f)})
	}
	return out
}

// MediaType is the media type of the feed.
func (f FeedLink) MediaType() string {
	_, format, _ := strings.Cut(f.Path, "feed.")
	if format == "json" {
		return "application/feed+json"
	}
	return "application/" + format + "+xml"
}
