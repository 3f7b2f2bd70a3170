// Package feeds publishes what people read as RSS, Atom and JSON Feed: one entry for each update, of the whole site, of
// a host, a tag or a category. It publishes the sitemap and the robots file too.
//
// The documents are written with encoding/xml and encoding/json: gorilla/feeds can write neither the link of a feed to
// itself nor several categories of an entry.
package feeds

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// entriesMax is how many entries a feed has.
const entriesMax = 50

// Feeds publishes what one audience may read.
type Feeds struct {
	view  *web.View
	ready *web.Answers
}

// New returns Feeds.
func New(v *web.View) *Feeds { return &Feeds{v, web.NewAnswers(v)} }

// Routes lists every address of the feeds.
func (f *Feeds) Routes() []web.Route {
	routes := []web.Route{
		{Pattern: "GET /sitemap.xml", Handler: f.ready.Ready(f.key, f.sitemap)},
		{Pattern: "GET /robots.txt", Handler: f.ready.Ready(f.key, f.robots)},
	}
	for _, format := range []string{"rss", "atom", "json"} {
		for _, prefix := range []string{"", "/hosts/{host}", "/tags/{tag}", "/categories/{category}"} {
			routes = append(routes, web.Route{
				Pattern: "GET " + prefix + "/feed." + format, Handler: f.ready.Ready(f.key, f.feed(encoders[format])),
			})
		}
	}
	return routes
}

// key names an answer: links are absolute, so that it depends on the address by which the site was asked.
func (f *Feeds) key(r *http.Request) (string, bool) {
	return f.base(r) + strings.ToLower(r.URL.Path), true
}

var hostHeader = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// base is the address of the site without a slash at its end: the catalog's, or that by which it was asked.
func (f *Feeds) base(r *http.Request) string {
	if configured := strings.TrimRight(f.view.State().Catalog.Page.URL, "/"); configured != "" {
		return configured
	}
	scheme, host := "http", r.Host
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	// A proxy on this machine says what its client used; anybody else could say anything.
	if r.TLS != nil || err == nil && peer.Addr().IsLoopback() && r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if !hostHeader.MatchString(host) {
		host = "localhost"
	}
	return scheme + "://" + host
}

// feed is what is published, in no format.
type feed struct {
	Title, Description string
	Self, Home         string // absolute
	Updated            time.Time
	Entries            []entry
}

type entry struct {
	ID, Link, Title, HTML string
	Published, Updated    time.Time
	Categories            []string
}

// encoder writes a feed in a format.
type encoder struct {
	mediaType string
	encode    func(feed) ([]byte, error)
}

var encoders = map[string]encoder{
	"rss": {"application/rss+xml", encodeRSS}, "atom": {"application/atom+xml", encodeAtom},
	"json": {"application/feed+json", encodeJSON},
}

// feed returns a handler that answers with the feed of the request's path.
func (f *Feeds) feed(e encoder) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		state, base := f.view.State(), f.base(r)
		if h, moved := state.Moved(r.PathValue("host")); moved {
			_, file, _ := strings.Cut(r.URL.Path, "/feed.")
			http.Redirect(w, r, "/hosts/"+h.Name+"/feed."+file, http.StatusFound)
			return nil
		}
		out, q, err := f.describe(state, r)
		if err != nil {
			return err
		}
		if out.Entries, err = f.entries(r.Context(), q, base); err != nil {
			return err
		}
		if len(out.Entries) == 0 && (q.Tag != "" || q.Category != "") {
			return web.Errorf(http.StatusNotFound, "nothing has this tag or category: /history lists them")
		}
		out.Self, out.Home = base+strings.ToLower(r.URL.Path), base+out.Home
		if q.Host != "" { // as the catalog spells it
			out.Self = base + "/hosts/" + r.PathValue("host") + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/'):]
		}
		out.Updated = time.Unix(0, 0).UTC()
		for _, e := range out.Entries {
			if e.Updated.After(out.Updated) {
				out.Updated = e.Updated
			}
		}
		data, err := e.encode(out)
		if err != nil {
			return fmt.Errorf("encode the feed %s: %w", r.URL.Path, err)
		}
		write(w, e.mediaType, data)
		return nil
	}
}

func write(w http.ResponseWriter, mediaType string, data []byte) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	web.WriteData(w, http.StatusOK, mediaType+"; charset=utf-8", data)
}

// describe names the feed of a request, and says which entries it has.
func (f *Feeds) describe(s web.State, r *http.Request) (out feed, q archive.Query, err error) {
	title := markdown.Line(s.Catalog.Page.Title)
	out = feed{Title: title, Description: "Incidents, maintenance and news of " + title, Home: "/"}
	q.Tag, q.Category = strings.ToLower(r.PathValue("tag")), strings.ToLower(r.PathValue("category"))
	switch host := r.PathValue("host"); {
	case host != "":
		h := s.Catalog.Host(mesh.Key(host))
		id, ok := s.HostID(mesh.Key(host))
		if !ok {
			return out, q, web.Errorf(http.StatusNotFound, "no host %q", host)
		}
		r.SetPathValue("host", h.Name)
		q.Host, out.Title, out.Home = id, h.Name+" – "+title, "/hosts/"+h.Name
	case q.Tag != "":
		out.Title, out.Home = q.Tag+" – "+title, "/tags/"+q.Tag
	case q.Category != "":
		out.Title, out.Home = q.Category+" – "+title, "/categories/"+q.Category
	}
	return out, q, nil
}

// entries are the newest updates, newest first.
func (f *Feeds) entries(ctx context.Context, q archive.Query, base string) ([]entry, error) {
	latest, err := f.view.Archive().Latest(ctx, q, entriesMax)
	if err != nil {
		return nil, err
	}
	type update struct {
		of archive.Entry
		archive.Update
	}
	var all []update
	for _, e := range latest {
		for _, u := range e.Updates {
			all = append(all, update{e, u})
		}
	}
	slices.SortStableFunc(all, func(a, b update) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.of.ID, a.of.ID))
	})
	var out []entry
	for _, u := range all[:min(len(all), entriesMax)] {
		out = append(out, newEntry(f.view.State(), u.of, u.Update, base))
	}
	return out, nil
}

func newEntry(s web.State, e archive.Entry, u archive.Update, base string) entry {
	out := entry{
		ID: identify(string(e.Kind), e.ID, u.ID), Link: base + e.Path(), Title: markdown.Line(e.Title),
		Published: u.At.UTC().Truncate(time.Second), Updated: u.At.UTC().Truncate(time.Second),
	}
	if u.Edited.After(u.At) {
		out.Updated = u.Edited.UTC().Truncate(time.Second)
	}
	if u.State != "" {
		out.Title += " – " + strings.ReplaceAll(incident.State(u.State).Word(), "_", " ")
	}
	if u.Plain {
		out.HTML = "<p>" + html.EscapeString(markdown.Line(u.Text)) + "</p>"
	} else {
		out.HTML = markdown.HTML(u.Text, base+"/")
	}
	if e.Category != "" {
		out.Categories = append(out.Categories, e.Category)
	}
	for _, c := range append(s.HostNames(e.Hosts), e.Tags...) {
		if !slices.Contains(out.Categories, c) {
			out.Categories = append(out.Categories, c)
		}
	}
	return out
}

// identify returns an id that stays the same wherever the site moves: a UUID of version 8, made from the parts.
func identify(parts ...string) string {
	id := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
