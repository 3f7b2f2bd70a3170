package mirror

import (
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Adopt makes the page one of a site that follows the original: it runs no script but ours, loads nothing from
// elsewhere, and its stream is the path of its own events. It returns the content of its main part, with which the
// stream begins.
func (p *Page) Adopt(o *Origin, script string, scriptFiles map[string]bool, events func(body string) string) string {
	for _, n := range p.elements(atom.Script, atom.Meta, atom.Iframe, atom.Object, atom.Embed, atom.Base, atom.Form) {
		if !p.harmless(n, script, scriptFiles) {
			n.Parent.RemoveChild(n)
		}
	}
	p.rewriteLinks(
		func(href string) (string, bool) { return Internal(href, o.Base) },
		func(to string) string { return to },
	)
	p.append(p.head, atom.Style, copyStyle)
	main := p.byID("main")
	if main == nil {
		return ""
	}
	var body strings.Builder
	for n := range main.ChildNodes() {
		_ = html.Render(&body, n) // a builder accepts everything
	}
	if live, _ := attribute(main, "data-live"); live != "" {
		setAttribute(main, "data-live", events(body.String()))
		return body.String()
	}
	return ""
}

// harmless reports whether an element may stay: data, our own scripts, and what says how the page is to be shown.
func (p *Page) harmless(n *html.Node, script string, files map[string]bool) bool {
	switch n.DataAtom {
	case atom.Script:
		kind, _ := attribute(n, "type")
		src, isFile := attribute(n, "src")
		return kind == "application/json" || isFile && files[src] || !isFile && content(n) == script
	case atom.Meta:
		_, acts := attribute(n, "http-equiv")
		return !acts
	}
	return false
}

// Policy is the header that has the browser use the page's own styles and scripts alone.
func (p *Page) Policy() string { return p.policy("'self'") + "; frame-ancestors 'none'" }

// MarkOutOfDate puts a line at the top of the page that it is out of date, and as of when.
func (p *Page) MarkOutOfDate(at time.Time) {
	if p.byID("stale") == nil {
		p.insert(`<div class="stale" role="status"><p id="stale" class="wrap"></p></div>`, p.byID("main"))
	}
	line := p.byID("stale")
	for i, a := range line.Attr {
		if a.Key == "hidden" {
			line.Attr = append(line.Attr[:i], line.Attr[i+1:]...)
			break
		}
	}
	setContent(line, "Out of date: as of ")
	heard := &html.Node{Type: html.ElementNode, Data: "span", DataAtom: atom.Span}
	setAttribute(heard, "id", "heard")
	setContent(heard, at.UTC().Format("15:04 UTC, 2 Jan 2006"))
	line.AppendChild(heard)
	line.AppendChild(&html.Node{Type: html.TextNode, Data: "."})
	if asOf := p.byID("asof"); asOf != nil {
		setAttribute(asOf, "datetime", at.UTC().Format(time.RFC3339))
		setContent(asOf, at.UTC().Format("2 Jan 2006 15:04 UTC"))
	}
	for _, n := range p.elements(atom.Title) {
		setContent(n, "Out of date – "+strings.TrimPrefix(content(n), "Out of date – "))
		break
	}
	for _, n := range p.elements(atom.Html) {
		setAttribute(n, "class", "old")
	}
}

// Title is the title of the page.
func (p *Page) Title() string {
	for _, n := range p.elements(atom.Title) {
		return strings.TrimPrefix(content(n), "Out of date – ")
	}
	return ""
}
