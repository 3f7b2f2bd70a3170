package site

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/probemesh/probemesh/pkg/archive"
)

// Addresses of the blog that a page continues, as WordPress has them.
var (
	labelPath   = regexp.MustCompile(`^/(tag|category)/(?:[^/]+/)*([a-z0-9][a-z0-9-]{0,39})$`)
	feedPath    = regexp.MustCompile(`/feed(?:/(atom|rss|rss2|rdf))?$`)
	archivePath = regexp.MustCompile(`^/([0-9]{4})(?:/(0[1-9]|1[0-2])(?:/[0-9]{2})?)?$`)
	labelForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
)

// moved returns the present address of what an imported blog had at the request's, or "".
func (p archivePages) moved(r *http.Request) (string, error) {
	if address := archive.Permalink(r.URL); address != "" {
		id, err := p.site.view.Archive().AtPermalink(r.Context(), address)
		if err != nil {
			return "", err
		}
		if id != "" {
			return archive.Path(archive.Post, id), nil
		}
	}
	path := strings.TrimRight(r.URL.Path, "/")
	if path == "" || path == "/index.php" {
		return movedQuery(r.URL.Query()), nil
	}
	feed := ""
	if m := feedPath.FindStringSubmatch(path); m != nil {
		path, feed = strings.TrimSuffix(path, m[0]), "/feed."+feedFormat(m[1])
	}
	if m := labelPath.FindStringSubmatch(strings.ToLower(path)); m != nil {
		return map[string]string{"tag": "/tags/", "category": "/categories/"}[m[1]] + m[2] + feed, nil
	}
	if feed != "" {
		if path == "" || path == "/index.php" {
			return feed, nil
		}
		return "", nil
	}
	if m := archivePath.FindStringSubmatch(path); m != nil {
		if m[2] == "" {
			return "/history", nil
		}
		return "/history/" + m[1] + "/" + m[2], nil
	}
	return "", nil
}

// movedQuery is moved for addresses of the front page with a query.
func movedQuery(q url.Values) string {
	tag := strings.ToLower(q.Get("tag"))
	switch {
	case labelForm.MatchString(tag):
		return "/tags/" + tag
	case q.Get("feed") != "":
		return "/feed." + feedFormat(q.Get("feed"))
	case q.Get("s") != "":
		return "/search?" + url.Values{"q": {q.Get("s")}}.Encode()
	}
	return ""
}

func feedFormat(of string) string {
	if of == "atom" {
		return "atom"
	}
	return "rss"
}

// orMoved answers with a redirect where an imported blog had something, else with the page.
func (p archivePages) orMoved(page func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter,
	*http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/" && r.URL.RawQuery == "" {
			return page(w, r)
		}
		to, err := p.moved(r)
		if err != nil {
			return err
		}
		if to == "" {
			return page(w, r)
		}
		http.Redirect(w, r, to, http.StatusMovedPermanently)
		return nil
	}
}
