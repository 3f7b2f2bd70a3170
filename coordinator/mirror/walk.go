package mirror

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
)

// Known is what a copy has of a document.
type Known struct {
	ETag  string   `json:"etag,omitempty"`
	Links []string `json:"links,omitempty"` // to documents that copies have
}

// Copy is where a walk keeps what it reads.
type Copy interface {
	// Known returns what the copy has of the document at an address.
	Known(address string) (Known, bool)
	// Store keeps a document that is new or changed, with the addresses that it links to. It was asked for at a time.
	Store(d Document, links []string, asked time.Time) error
	// Same is called instead of Store for a document that has not changed.
	Same(address string, asked time.Time)
}

// Walk is what a walk found.
type Walk struct {
	Seen   map[string]bool // the addresses of the site's documents
	Failed []error         // of documents that could not be read; what the copy has of them is seen
}

const (
	// addressesMax bounds the documents of a site: a sitemap lists at most as many pages.
	addressesMax = 50000
	failedMax    = 100
)

// walker is one walk.
type walker struct {
	*Origin
	copy   Copy
	queue  []string
	queued map[string]bool
	Walk
}

// Walk reads every document of the site that is new or has changed. Unless all is set, it does not request stored
// documents of the archive again. After an error, documents that are not in Seen may still exist.
func (o *Origin) Walk(ctx context.Context, c Copy, all bool) (Walk, error) {
	w := &walker{Origin: o, copy: c, queued: map[string]bool{}, Walk: Walk{Seen: map[string]bool{}}}
	w.add(first...)
	asked := 0
	for n := 0; n < len(w.queue); n++ {
		if ctx.Err() != nil {
			return w.Walk, ctx.Err()
		}
		known, ok := c.Known(w.queue[n])
		if ok && !all && archived.MatchString(w.queue[n]) {
			w.Seen[w.queue[n]] = true
			w.add(known.Links...)
			continue
		}
		if asked++; asked > 1 && o.Pace > 0 {
			select {
			case <-ctx.Done():
				return w.Walk, ctx.Err()
			case <-time.After(o.Pace):
			}
		}
		if err := w.visit(ctx, w.queue[n], known); err != nil {
			return w.Walk, err
		}
	}
	if !w.Seen["/"] {
		return w.Walk, fmt.Errorf("%s has no front page", o.Base)
	}
	return w.Walk, nil
}

// add queues addresses that were not queued yet.
func (w *walker) add(addresses ...string) {
	for _, a := range addresses {
		if !w.queued[a] && len(w.queue) < addressesMax && Copied(a) {
			w.queued[a] = true
			w.queue = append(w.queue, a)
		}
	}
}

// Read reads one document that may be new or changed since the copy has it, and reports whether it is gone.
func (o *Origin) Read(ctx context.Context, c Copy, address string) (gone bool, err error) {
	w := &walker{Origin: o, copy: c, queued: map[string]bool{}, Walk: Walk{Seen: map[string]bool{}}}
	known, ok := c.Known(address)
	if err := w.visit(ctx, address, known); err != nil {
		return false, err
	}
	return ok && !w.Seen[address], errors.Join(w.Failed...)
}

// visit reads one document and queues what it links to.
func (w *walker) visit(ctx context.Context, address string, known Known) error {
	asked := time.Now()
	d, err := w.fetch(ctx, address, known.ETag)
	switch {
	case errors.Is(err, errNotModified):
		w.Seen[address] = true
		w.copy.Same(address, asked)
		w.add(known.Links...)
		return nil
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, errDocument):
		_, w.Seen[address] = w.copy.Known(address)
		w.add(known.Links...)
		if len(w.Failed) < failedMax {
			w.Failed = append(w.Failed, err)
		}
		return nil
	case err != nil:
		return err
	}
	w.Seen[address] = true
	links := w.links(d)
	w.add(links...)
	return w.copy.Store(d, links, asked)
}

// links returns the addresses of the documents that a document leads to.
func (w *walker) links(d Document) (out []string) {
	add := func(href string) {
		if address, ok := Internal(href, w.Base); ok && len(out) < addressesMax {
			out = append(append(out, address), related(address)...)
		}
	}
	switch {
	case d.Location != "":
		add(d.Location)
	case d.IsPage():
		if p, err := ParsePage(d.Body); err == nil {
			p.eachLink(func(href string) { add(href) })
		}
	case d.Address == sitemapAddress:
		for _, href := range sitemapPaths(d.Body) {
			add(href)
		}
	case d.Address == componentsAddress:
		out = checkBadges(d.Body)
	}
	return out
}

// sitemapPaths returns the paths of the pages that a sitemap lists. It ignores their host: a sitemap names the site's
// public URL, which may differ from the address that the copy is read from.
func sitemapPaths(body []byte) (out []string) {
	var listed struct {
		Pages []struct {
			Address string `xml:"loc"`
		} `xml:"url"`
	}
	if xml.Unmarshal(body, &listed) != nil {
		return nil
	}
	for _, p := range listed.Pages {
		if u, err := url.Parse(p.Address); err == nil {
			out = append(out, u.EscapedPath())
		}
	}
	return out
}

// checkBadges returns the addresses of the badges of the checks that Statuspage's list of components has: each host is
// a group, and its checks are in it.
func checkBadges(body []byte) (out []string) {
	var list struct {
		Components []struct {
			ID, Name string
			Group    string `json:"group_id"`
		}
	}
	if json.Unmarshal(body, &list) != nil {
		return nil
	}
	hosts := map[string]string{}
	for _, c := range list.Components {
		hosts[c.ID] = c.Name
	}
	for _, c := range list.Components {
		if host := hosts[c.Group]; c.Group != "" && host != "" {
			out = append(out, badges("/badge/"+url.PathEscape(host)+"/"+url.PathEscape(web.Slug(c.Name)))...)
		}
	}
	return out
}
