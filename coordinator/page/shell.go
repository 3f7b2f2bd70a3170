package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed templates assets
var files embed.FS

var (
	style  = mustRead("assets/style.css")
	script = mustRead("assets/live.js")

	templates = template.Must(template.New("").Funcs(template.FuncMap{"stamp": stamp, "words": words}).ParseFS(files, "templates/*.html"))

	// policy lets the browser run this page's own style and script and nothing else.
	policy = strings.Join([]string{
		"default-src 'none'", "style-src " + source(style), "script-src " + source(script), "img-src data:", "connect-src 'self'",
		"form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
)

func mustRead(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(data)
}

func source(inline string) string {
	sum := sha256.Sum256([]byte(inline))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Link is a named link in the head of a page.
type Link struct{ Name, URL string }

// Sheet is one page to be dressed: what stands between the head and the foot that all pages share.
type Sheet struct {
	Title, Description string
	Brand              string
	Nav                []Link
	Status             string    // a class: up, degraded, partial, down, unknown; the icon shows it
	Live               string    // where the page's events come from; empty: it does not update by itself
	At                 time.Time // what it shows is as of
	Body               template.HTML
}

// staleAfter is when a page says that what it shows may be out of date.
const staleAfter = 15 * time.Second

// Write dresses the sheet and sends it, with a policy that lets the browser load nothing else.
func (s Sheet) Write(w http.ResponseWriter, status int) error {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, "shell.html", map[string]any{
		"Title": s.Title, "Description": s.Description, "Brand": s.Brand, "Nav": s.Nav, "Live": s.Live, "Body": s.Body,
		"At": stamp(s.At), "AtWords": words(s.At), "Stale": time.Since(s.At) > staleAfter,
		"Style": template.CSS(style), "Script": template.JS(script), "Icon": icon(s.Status),
	})
	if err != nil {
		return fmt.Errorf("render %s: %w", s.Title, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, err = w.Write(out.Bytes())
	return err
}

// Render executes one of a caller's templates into what a Sheet carries.
func Render(t *template.Template, name string, data any) (template.HTML, error) {
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return template.HTML(out.String()), nil
}

// Funcs are the functions that templates of dressed pages use for times: stamp for machines, words for people.
func Funcs() template.FuncMap { return template.FuncMap{"stamp": stamp, "words": words} }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func words(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006 15:04:05 UTC")
}

// icon is a small picture of the overall status, in the page itself.
func icon(class string) template.URL {
	color := map[string]string{"up": "0f7b46", "degraded": "8a5a00", "partial": "b04a00", "down": "b3261e"}[class]
	if color == "" {
		color = "5b6570"
	}
	return template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23" + color + "'/%3E%3C/svg%3E")
}
