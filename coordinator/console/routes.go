package console

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// page makes the view of one address. An error of web.Errorf is shown to the reader.
type page func(s *console, r request) (view, error)

// pages are the console's own pages by the pattern of their paths.
var pages = map[string]page{
	"/{$}":     overviewPage,
	"/matrix":  matrixPage,
	"/agents":  agentsPage,
	"/catalog": catalogPage,

	"/hosts/{host}":                        hostPage,
	"/hosts/{host}/checks/{check}":         checkPage,
	"/hosts/{host}/checks/{check}/minutes": minutesPage,
	"/hosts/{host}/checks/{check}/year":    yearPage,
	"/pairs/{vantage}/{host}/{check}":      pairPage,
	"/regions/{region}":                    regionPage,
	"/transitions/{sequence}":              transitionPage,
}

// newPages returns the mux of the console's own pages.
func (s *console) newPages() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, p := range pages {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			if found, ok := w.(*foundPage); ok {
				found.page, found.request = p, r
				return
			}
			if err := s.answer(w, r, p); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return mux
}

// foundPage is the writer with which find has the mux look for a page.
type foundPage struct {
	http.ResponseWriter
	page    page
	request *http.Request // as the mux matched it, with the values of wildcards
}

func (f *foundPage) Header() http.Header         { return http.Header{} }
func (f *foundPage) WriteHeader(int)             {}
func (f *foundPage) Write(b []byte) (int, error) { return len(b), nil }

// find returns the page at an address and the request for it; a nil page if the console has none there.
func (s *console) find(r *http.Request, address *url.URL) (page, *http.Request) {
	asked := r.Clone(r.Context())
	asked.Method, asked.URL, asked.RequestURI, asked.Form = http.MethodGet, address, address.RequestURI(), nil
	found := &foundPage{}
	s.pages.ServeHTTP(found, asked)
	return found.page, found.request
}

// orSite serves the console's own pages, and the site for all other addresses. A path that ends in .csv or .json is
// that of the page without it, in this format.
func (s *console) orSite(site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := withFormat(r.URL); address != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			if p, asked := s.find(r, address); p != nil && !namesCheck(s, r) {
				if err := s.answer(w, asked, p); err != nil {
					s.fail(w, asked, err)
				}
				return
			}
		}
		if _, pattern := s.pages.Handler(r); pattern != "" {
			s.pages.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	})
}

// withFormat returns the address without the format at its end, which is in its query instead; nil if it has none.
func withFormat(of *url.URL) *url.URL {
	extension := path.Ext(of.Path)
	format := strings.TrimPrefix(extension, ".")
	if format != formatCSV && format != formatJSON {
		return nil
	}
	address := *of
	address.Path = strings.TrimSuffix(of.Path, extension)
	address.RawPath = strings.TrimSuffix(of.RawPath, extension) // it has the slashes in names
	query := address.Query()
	query.Set("format", format)
	address.RawQuery = query.Encode()
	return &address
}

// namesCheck reports whether a path names a check to its end: one may be called dump.json.
func namesCheck(s *console, r *http.Request) bool {
	p, asked := s.find(r, r.URL)
	if p == nil {
		return false
	}
	_, c, err := s.newRequest(asked).hostAndCheck()
	return err == nil && c.Name == asked.PathValue("check")
}

// The addresses of the console's pages.
func hostPath(host string) string             { return "/hosts/" + url.PathEscape(host) }
func checkPath(host, check string) string     { return hostPath(host) + "/checks/" + url.PathEscape(check) }
func regionPath(region string) string         { return "/regions/" + url.PathEscape(region) }
func pairPath(vantage, host, c string) string { return pathOf("/pairs", vantage, host, c) }

func pathOf(first string, parts ...string) string {
	for _, p := range parts {
		first += "/" + url.PathEscape(p)
	}
	return first
}
