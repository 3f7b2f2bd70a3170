package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

//go:embed templates assets
var files embed.FS

var (
	frontStyle  = palette() + readAsset("assets/style.css")
	frontScript = readAsset("assets/live.js")

	style  = frontStyle + readAsset("assets/controls.css")
	script = frontScript + readAsset("assets/chartloader.js")

	layoutTemplate = template.Must(template.New("layout.html").Funcs(Funcs()).ParseFS(files, "templates/*.html"))

	// plain is the theme of pages that add nothing.
	plain = NewTheme("", "", "")
	front = newTheme("", frontStyle, frontScript)
)

// Theme is the style and script of a kind of pages: those of all pages, and what the kind adds.
type Theme struct {
	name, style, script string
	policy, chartPolicy string
}

// NewTheme returns a theme. Its name is the class of the page's body; style and script come after those of all pages.
func NewTheme(name, addedStyle, addedScript string) *Theme {
	return newTheme(name, style+shorten(addedStyle), script+shorten(addedScript))
}

// FrontTheme returns the theme of a page without forms, buttons and charts, which lacks their style and script. Most
// readers open only the front page, and open it during an outage.
func FrontTheme() *Theme { return front }

func newTheme(name, style, script string) *Theme {
	t := &Theme{name: name, style: style, script: script}
	t.policy, t.chartPolicy = t.newPolicy(""), t.newPolicy(" 'self'")
	return t
}

// With returns the theme, or that of all pages for nil, with more style.
func (t *Theme) With(addedStyle string) *Theme {
	base := cmp.Or(t, plain)
	return newTheme(base.name, base.style+shorten(addedStyle), base.script)
}

// newPolicy lets the browser use the style and script of the layout and connect to this site, and nothing else: text
// that slipped through escaping could still not run. More are the sources that it may load files from besides.
func (t *Theme) newPolicy(more string) string {
	return strings.Join([]string{
		"default-src 'none'", "style-src " + hashSource(t.style) + more, "script-src " + hashSource(t.script) + more,
		"img-src data:", "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
}

// PageScript is the script of every page of the site.
func PageScript() string { return script }

// readAsset returns an embedded style or script, shortened.
func readAsset(name string) string { return shorten(mustRead(name)) }

// shorten returns a style or script without its comments, indentation and the ends of lines that end in {, ; or a
// comma: every page carries it, and a page should arrive over a slow line on the day of an outage. Comments of assets
// have lines of their own for this. The end of a line after } stays, as it may be what ends a statement.
func shorten(asset string) string {
	var out strings.Builder
	for line := range strings.Lines(asset) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "/*") {
			out.WriteString(line)
			if !strings.ContainsRune("{;,", rune(line[len(line)-1])) {
				out.WriteByte('\n')
			}
		}
	}
	return out.String()
}

// hashSource names an inline style or script in a Content-Security-Policy.
func hashSource(inline string) string {
	sum := sha256.Sum256([]byte(inline))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Link is a link in the navigation of a page.
type Link struct {
	Name, URL string
	Current   bool // the page belongs to it
}

// Layout is a whole page: a body with the header and the footer that all pages share.
type Layout struct {
	Title, Description string
	Brand              string // the name at the top, which links to the front page
	Nav                []Link
	Feeds              []FeedLink // that a reader of the page may subscribe to
	Class              string     // Look.Class of what the page shows; the icon has its color
	Events             string     // path of the page's event stream; empty if the page does not update by itself
	Titled             bool       // the title is the page's own, and events do not replace it
	At                 time.Time  // the moment that the body shows
	Body               template.HTML
	DownShare          float64 // of the rule in force, which the footer explains; 0: the default
	Accent, Logo       string  // of the catalog's page; empty for none
	Private            bool    // no cache may keep the page
	Theme              *Theme  // nil: that of the status site
}

// staleAfter is the age at which a page says that it is out of date, and at which beats end. The judge moves on every
// two seconds.
const staleAfter = 15 * time.Second

// Stream is the path of the page's event stream, which begins with what comes after this body; empty if there is none.
func (l Layout) Stream() string {
	if l.Events == "" {
		return ""
	}
	separator := "?"
	if strings.Contains(l.Events, "?") {
		separator = "&"
	}
	return l.Events + separator + afterParam + "=" + PageID(string(l.Body))
}

// DownWords is the share of all regions that must fail before a service counts as down.
func (l Layout) DownWords() string {
	if l.DownShare == 0 {
		return quorum.Share(catalog.DefaultRule().DownShare)
	}
	return quorum.Share(l.DownShare)
}

// Write answers a request with the page. It returns an error only before it wrote anything.
func (l Layout) Write(w http.ResponseWriter, status int) error {
	var out bytes.Buffer
	stale := l.Events != "" && time.Since(l.At) > staleAfter
	if stale { // the tab shows no status that may have ended
		l.Class, l.Title = classUnknown, OutOfDateLook().Word+" – "+l.Title
	}
	// A page is the same bytes for a whole minute, unless what it shows changes. Its script writes the seconds.
	l.At = l.At.Truncate(time.Minute)
	theme := cmp.Or(l.Theme, plain)
	if catalog.CheckAccent(l.Accent) == nil {
		theme = theme.With(strings.ReplaceAll(accentStyle, "ACCENT", l.Accent))
	}
	if catalog.CheckLogo(l.Logo) != nil {
		l.Logo = ""
	}
	csp, charts := theme.policy, []File(nil)
	if strings.Contains(string(l.Body), chartClass) {
		csp, charts = theme.chartPolicy, []File{chartStyle, chartScript}
	}
	err := layoutTemplate.Execute(&out, struct {
		Layout
		Stale  bool
		Kind   string
		Style  template.CSS
		Script template.JS
		Icon   template.URL
		Charts []File
		Image  template.URL
	}{
		l, stale, theme.name, template.CSS(theme.style), template.JS(theme.script), icon(l.Class), charts,
		template.URL(l.Logo),
	})
	if err != nil {
		return fmt.Errorf("render page %q: %w", l.Title, err)
	}
	h := w.Header()
	SetMediaType(h, "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", csp)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	if l.Private {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // fails only if the client has gone
	return nil
}

// accentStyle is the style of pages with an accent color, which is in the place of ACCENT.
const accentStyle = `:root{--focus:ACCENT}
body{border-top:4px solid ACCENT}
nav a:hover,main a:hover{text-decoration-color:ACCENT;text-decoration-thickness:2px}`

// Render executes a template of the caller's for Layout.Body.
func Render(t *template.Template, name string, data any) (template.HTML, error) {
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return "", fmt.Errorf("render template %s: %w", name, err)
	}
	return template.HTML(out.String()), nil
}

// Funcs are the functions of templates: "stamp" writes a time for the datetime attribute, "words" for people,
// "minute" without seconds, "hour" without the date either, "day" and "short" without the year. "count" writes a number
// with its noun.
func Funcs() template.FuncMap {
	return template.FuncMap{
		"stamp": stamp, "words": words, "minute": minute, "hour": hour, "day": day, "short": short, "count": mesh.Count,
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func words(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006 15:04:05 UTC")
}

func minute(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

func hour(t time.Time) string { return t.UTC().Format("15:04 UTC") }

func day(t time.Time) string { return t.UTC().Format("2 Jan") }

func short(t time.Time) string { return t.UTC().Format("2 Jan 15:04") }

// icon is a dot in the color of the class, as a data URL: a page is one request.
func icon(class string) template.URL {
	const svg = "data:image/svg+xml,%%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%%3E" +
		"%%3Ccircle cx='8' cy='8' r='7' fill='%s'/%%3E%%3C/svg%%3E"
	return template.URL(fmt.Sprintf(svg, strings.Replace(Color(class), "#", "%23", 1)))
}
