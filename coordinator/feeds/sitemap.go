package feeds

import (
	"encoding/xml"
	"net/http"
	"net/url"

	"github.com/probemesh/probemesh/coordinator/web"
)

// pagesMax bounds the entries of a sitemap, which may have 50,000 addresses.
const pagesMax = 45000

type sitemap struct {
	XMLName xml.Name  `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
	Pages   []mapPage `xml:"url"`
}

type mapPage struct {
	Address string `xml:"loc"`
}

// sitemap lists every page that a search engine should know.
func (f *Feeds) sitemap(w http.ResponseWriter, r *http.Request) error {
	base, state, a := f.base(r), f.view.State(), f.view.Archive()
	paths := []string{"/", "/history", "/matrix"}
	for _, h := range state.Hosts() {
		paths = append(paths, "/hosts/"+url.PathEscape(h.Name))
	}
	months, err := a.Months(r.Context())
	if err != nil {
		return err
	}
	for _, m := range months {
		paths = append(paths, m.Month.Begin().Format("/history/2006/01"))
	}
	tags, err := a.Tags(r.Context())
	if err != nil {
		return err
	}
	for _, t := range tags {
		paths = append(paths, "/tags/"+t.Name)
	}
	categories, err := a.Categories(r.Context())
	if err != nil {
		return err
	}
	for _, c := range categories {
		paths = append(paths, "/categories/"+c.Name)
	}
	entries, err := a.Paths(r.Context(), pagesMax)
	if err != nil {
		return err
	}
	var out sitemap
	for _, p := range append(paths, entries...) {
		out.Pages = append(out.Pages, mapPage{base + p})
	}
	data, err := encodeXML(out)
	if err == nil {
		write(w, "application/xml", data)
	}
	return err
}

// robots asks search engines to leave out what has no text of its own.
func (f *Feeds) robots(w http.ResponseWriter, r *http.Request) error {
	web.WriteText(w, http.StatusOK, "User-agent: *\nDisallow: /search\nDisallow: /api/\n\nSitemap: "+f.base(r)+
		"/sitemap.xml\n")
	return nil
}
