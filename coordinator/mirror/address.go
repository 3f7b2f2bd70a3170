package mirror

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// segment is a name in an address: of a host, a check or a tag, or an id.
const segment = `/[^/?#]{1,200}`

var (
	// pages are the addresses of pages. All others are files.
	pages = regexp.MustCompile(`^(/|/matrix|/rule|/history|/history/[0-9]{4}/[0-9]{2}|/maintenance` +
		`|/maintenance` + segment + `|/(hosts|incidents|posts)` + segment + `|/hosts` + segment + `/checks` + segment +
		`|/(tags|categories)` + segment + `(\?after=[A-Za-z0-9_-]{1,60})?)$`)
	files = regexp.MustCompile(`^(|/(hosts|tags|categories)` + segment + `)/feed\.(rss|atom|json)$` +
		`|^/assets/[A-Za-z0-9._-]{1,100}\.(js|css|svg|png)$` +
		`|^/(sitemap\.xml|robots\.txt|maintenance\.ics|badge\.svg|widget\.js)$` +
		`|^/badge(` + segment + `){1,2}\.(svg|json)$` +
		`|^/api/v2/[a-z-]+(/(upcoming|active|unresolved))?\.json$` +
		`|^/api/v2/(incidents|scheduled-maintenances)` + segment + `\.json$` +
		`|^/api/v1/(matrix|transitions|uptime|latency|openapi\.json)$|^/api/v1/hosts` + segment + `/votes$`)
	// archived are the addresses of what changes only when somebody writes.
	archived = regexp.MustCompile(`^/(incidents|posts|tags|categories|history/[0-9]+)/|^/api/v2/incidents/|^/maintenance/`)
)

// first are the addresses at which a walk begins, in the order in which readers miss them.
var first = []string{
	"/", "/api/v2/summary.json", "/api/v2/status.json", "/api/v2/components.json", "/badge.svg", "/matrix",
	"/maintenance", "/feed.atom", "/feed.rss", "/feed.json", "/maintenance.ics", WidgetAddress,
	"/api/v2/incidents/unresolved.json", "/api/v2/incidents.json", "/api/v2/history.json",
	"/api/v2/scheduled-maintenances.json", "/api/v2/scheduled-maintenances/upcoming.json",
	"/api/v2/scheduled-maintenances/active.json", "/api/v1/matrix", "/api/v1/transitions", "/api/v1/uptime",
	"/api/v1/latency", "/api/v1/openapi.json", "/history", sitemapAddress, "/robots.txt",
}

// WidgetAddress is that of the script which shows the status on pages of other sites.
const WidgetAddress = "/widget.js"

const (
	sitemapAddress    = "/sitemap.xml"
	componentsAddress = "/api/v2/components.json"
)

// Internal returns the address that a link leads to, if the link is to a document of the site that copies have.
func Internal(href string, base *url.URL) (address string, ok bool) {
	u, err := url.Parse(href)
	if err != nil || u.Opaque != "" || u.Host != "" && u.Host != base.Host || u.Path == "" {
		return "", false
	}
	var segments []string
	for s := range strings.SplitSeq(strings.TrimPrefix(u.EscapedPath(), base.EscapedPath()), "/") {
		if s, err = url.PathUnescape(s); err != nil {
			return "", false
		}
		segments = append(segments, url.PathEscape(s)) // one address, however it is escaped
	}
	address = strings.Join(segments, "/")
	if u.RawQuery != "" {
		address += "?" + u.RawQuery
	}
	return address, Copied(address)
}

// Copied reports whether copies have the document at an address.
func Copied(address string) bool {
	_, ok := File(address)
	return ok && (pages.MatchString(address) || files.MatchString(address))
}

// IsPage reports whether an address is that of a page for people.
func IsPage(address string) bool { return pages.MatchString(address) }

// Archived reports whether the document at an address changes only when somebody writes.
func Archived(address string) bool { return archived.MatchString(address) }

// Live reports whether the document at an address is a page of what is true now.
func Live(address string) bool { return IsPage(address) && !Archived(address) }

// File returns the path of the file, below the directory of a copy, that a static server answers an address with.
func File(address string) (file string, ok bool) {
	plain, query, _ := strings.Cut(address, "?")
	if after, found := strings.CutPrefix(query, "after="); found {
		plain += "/after/" + after
	}
	decoded, err := url.PathUnescape(plain)
	// A name that is decoded to more segments, or to one that begins with a dot, would be elsewhere.
	if err != nil || strings.Count(decoded, "/") != strings.Count(plain, "/") || strings.Contains(decoded, "/.") ||
		strings.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) ||
		strings.HasSuffix(decoded, "/index.html") || path.Clean(decoded) != decoded || !strings.HasPrefix(decoded, "/") {
		return "", false
	}
	decoded = strings.TrimPrefix(decoded, "/")
	if pages.MatchString(address) {
		decoded = path.Join(decoded, "index.html")
	}
	return decoded, true
}

// relative returns the link to an address from the page at another one, for static servers: they may serve the copy
// below a path of their own.
func relative(from, to string) string {
	root := Root(from)
	plain, query, _ := strings.Cut(to, "?")
	if after, found := strings.CutPrefix(query, "after="); found {
		plain += "/after/" + after
	}
	plain = strings.TrimPrefix(plain, "/")
	if pages.MatchString(to) && plain != "" {
		plain += "/"
	}
	if root+plain == "" {
		return "./"
	}
	return root + plain
}

// Root is the link to the front page's directory from the page at an address; empty on the front page.
func Root(address string) string {
	file, _ := File(address)
	return strings.Repeat("../", strings.Count(file, "/"))
}

// OfArchive reports whether the document at an address changes whenever somebody writes, or when something else enters
// the archive, and at no other time.
func OfArchive(address string) bool { return address == sitemapAddress || address == "/feed.json" }

// related are the addresses of the other documents about what a page is about.
func related(address string) (out []string) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(address, "/"), "/")
	host, check, isCheck := strings.Cut(name, "/checks/")
	switch {
	case name == "" || strings.Contains(address, "?"):
	case isCheck && kind == "hosts":
		out = badges("/badge/" + host + "/" + check)
	case kind == "hosts" && !strings.Contains(name, "/"):
		out = append(append(feeds(address), badges("/badge/"+name)...), "/api/v1/hosts/"+name+"/votes")
	case kind == "tags" || kind == "categories":
		out = feeds(address)
	case kind == "incidents":
		out = []string{"/api/v2/incidents/" + name + ".json"}
	case kind == "maintenance":
		out = []string{"/api/v2/scheduled-maintenances/" + name + ".json"}
	}
	return out
}

func feeds(below string) []string {
	return []string{below + "/feed.atom", below + "/feed.rss", below + "/feed.json"}
}

func badges(name string) []string { return []string{name + ".svg", name + ".json"} }
