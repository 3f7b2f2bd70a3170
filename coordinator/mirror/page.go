package mirror

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/probemesh/probemesh/pkg/markdown"
)

// Page is a page of the site as a tree, to be changed into a page of a copy.
type Page struct{ root, head, body *html.Node }

// ParsePage parses a page.
func ParsePage(body []byte) (*Page, error) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("parse a page: %w", err)
	}
	p := &Page{root: root}
	for n := range root.Descendants() {
		switch {
		case n.DataAtom == atom.Head && p.head == nil:
			p.head = n
		case n.DataAtom == atom.Body && p.body == nil:
			p.body = n
		}
	}
	if p.head == nil || p.body == nil { // the parser adds both to any text
		return nil, fmt.Errorf("parse a page: it has no body")
	}
	return p, nil
}

// Render writes the page.
func (p *Page) Render() []byte {
	var out bytes.Buffer
	_ = html.Render(&out, p.root) // a buffer accepts everything
	return out.Bytes()
}

// reference returns the attribute in which an element has the address of another document.
func reference(n *html.Node) (key string, ok bool) {
	switch n.DataAtom {
	case atom.A, atom.Link:
		key = "href"
	case atom.Script, atom.Img:
		key = "src"
	}
	_, ok = attribute(n, key)
	return key, ok
}

// eachLink calls f with each address that the page leads to.
func (p *Page) eachLink(f func(href string)) {
	for n := range p.root.Descendants() {
		if key, ok := reference(n); ok {
			href, _ := attribute(n, key)
			f(href)
		}
	}
}

// rewriteLinks has each link to a document that copies have lead to what relink returns. Links to other addresses of
// the site lead nowhere in a copy, and are left out: their text stays, but for entries of the navigation.
func (p *Page) rewriteLinks(address func(href string) (string, bool), relink func(address string) string) {
	for _, n := range p.elements(atom.A, atom.Link, atom.Script, atom.Img) {
		key, ok := reference(n)
		href, _ := attribute(n, key)
		if !ok || !strings.HasPrefix(href, "/") || strings.HasPrefix(href, "//") {
			continue
		}
		plain, fragment, hasFragment := strings.Cut(href, "#")
		to, ok := address(plain)
		switch {
		case ok && hasFragment:
			setAttribute(n, key, relink(to)+"#"+fragment)
		case ok:
			setAttribute(n, key, relink(to))
		case n.DataAtom != atom.A || n.Parent.DataAtom == atom.Nav:
			n.Parent.RemoveChild(n)
		default:
			n.Data, n.DataAtom, n.Attr = "span", atom.Span, nil
		}
	}
}

// settle has a page of the archive show no status in its title and icon: it is copied less often than the others.
func (p *Page) settle() {
	for _, n := range p.elements(atom.Link) {
		if rel, _ := attribute(n, "rel"); rel == "icon" {
			n.Parent.RemoveChild(n)
		}
	}
	headings, titles := p.elements(atom.H1), p.elements(atom.Title)
	if len(headings) == 0 || len(titles) == 0 {
		return
	}
	title := strings.TrimSpace(content(headings[0]))
	for _, n := range p.elements(atom.A) {
		if class, _ := attribute(n, "class"); class == "brand" {
			title += " – " + strings.TrimSpace(content(n))
		}
	}
	setContent(titles[0], title)
}

// content is the text in an element.
func content(n *html.Node) string {
	var out strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			out.WriteString(c.Data)
		}
	}
	return out.String()
}

// removeForms removes what only a program can answer.
func (p *Page) removeForms() {
	for _, n := range p.elements(atom.Form) {
		n.Parent.RemoveChild(n)
	}
}

// elements lists the elements of a kind. The tree may change while they are used.
func (p *Page) elements(kinds ...atom.Atom) (out []*html.Node) {
	for n := range p.root.Descendants() {
		for _, kind := range kinds {
			if n.Type == html.ElementNode && n.DataAtom == kind {
				out = append(out, n)
			}
		}
	}
	return out
}

// byID returns the first element with an id, or nil.
func (p *Page) byID(id string) *html.Node {
	for n := range p.root.Descendants() {
		if v, ok := attribute(n, "id"); ok && v == id {
			return n
		}
	}
	return nil
}

// insert places elements before a part of the page, which is a child of its body.
func (p *Page) insert(text string, before *html.Node) {
	nodes, err := html.ParseFragment(strings.NewReader(text), p.body)
	if err != nil {
		return // a reader of a string does not fail
	}
	if before == nil || before.Parent != p.body {
		before = p.body.FirstChild
	}
	for _, n := range nodes {
		p.body.InsertBefore(n, before)
	}
}

// SetNotice shows a text of a person above everything on the page, in place of an earlier one; "" shows none.
func (p *Page) SetNotice(text string) {
	if old := p.byID(noticeID); old != nil {
		old.Parent.RemoveChild(old)
	}
	if strings.TrimSpace(text) != "" {
		p.insert(`<section id="`+noticeID+`" class="notice" aria-label="Notice"><div class="wrap">`+
			markdown.HTML(text, "")+`</div></section>`, p.body.FirstChild)
	}
}

const (
	noticeID = "notice"
	copyID   = "copy"
)

//go:embed assets/copy.js
var copyScript string

// copyStyle is of what copies add to pages.
const copyStyle = `.copy{padding:.3rem 0;color:var(--soft);font-size:.9rem}.copy p{margin:0 auto}` +
	`.old .copy{position:sticky;top:0;z-index:2;background:#4a5560;color:#fff}` +
	`#notice{border:solid var(--degraded);border-width:2px 0;background:var(--card);margin:.5rem 0}` +
	`#notice h3,#notice h4{font-size:1.1rem}#notice a{color:inherit}`

// Freeze makes the page one of a static copy: it says when it was copied, its links lead to other files of the copy,
// and it leaves out what needs a program.
func (p *Page) Freeze(o *Origin, address string, at time.Time) {
	if main := p.byID("main"); main != nil {
		setAttribute(main, "data-live", "")
	}
	if asOf := p.byID("asof"); asOf != nil && asOf.Parent.Parent != nil {
		asOf.Parent.Parent.RemoveChild(asOf.Parent) // the line says that the page updates by itself
	}
	p.removeForms()
	if archived.MatchString(address) {
		p.settle()
	}
	p.rewriteLinks(
		func(href string) (string, bool) { return Internal(href, o.Base) },
		func(to string) string { return relative(address, to) },
	)
	line := `<div class="copy" role="status"><p id="%s" class="wrap" data-root="%s"></p></div>`
	p.insert(fmt.Sprintf(line, copyID, Root(address)), p.byID("main"))
	p.SetTime(at)
	p.append(p.head, atom.Style, copyStyle)
	p.append(p.body, atom.Script, copyScript)
	p.secure()
}

// SetTime says when a page of a static copy was copied.
func (p *Page) SetTime(at time.Time) {
	if line := p.byID(copyID); line != nil {
		setAttribute(line, "data-at", at.UTC().Format(time.RFC3339))
		setContent(line, "Copy of "+at.UTC().Format("15:04 UTC, 2 Jan 2006")+".")
	}
}

// setContent replaces all that is in an element by a text.
func setContent(n *html.Node, text string) {
	for n.FirstChild != nil {
		n.RemoveChild(n.FirstChild)
	}
	n.AppendChild(&html.Node{Type: html.TextNode, Data: text})
}

// append adds an element with a text.
func (p *Page) append(to *html.Node, kind atom.Atom, text string) {
	n := &html.Node{Type: html.ElementNode, Data: kind.String(), DataAtom: kind}
	setContent(n, text)
	to.AppendChild(n)
}

// policy lets a browser use the page's own styles and scripts alone.
func (p *Page) policy(forms string) string {
	return "default-src 'none'; style-src" + sources(p.elements(atom.Style, atom.Link)) + "; script-src" +
		sources(p.elements(atom.Script)) + "; img-src 'self' data:; connect-src 'self'; form-action " + forms +
		"; base-uri 'none'"
}

// secure puts the policy into the page, since static servers send no header with it.
func (p *Page) secure() {
	meta := &html.Node{Type: html.ElementNode, Data: "meta", DataAtom: atom.Meta, Attr: []html.Attribute{
		{Key: "http-equiv", Val: "Content-Security-Policy"}, {Key: "content", Val: p.policy("'none'")},
	}}
	before := p.head.FirstChild
	if titles := p.elements(atom.Title); len(titles) > 0 && titles[0].Parent == p.head {
		before = titles[0] // the encoding comes first, or the browser guesses it
	}
	p.head.InsertBefore(meta, before)
}

// sources names styles or scripts in a Content-Security-Policy: those in the page by their digests, and the site itself
// if the page loads files.
func sources(elements []*html.Node) string {
	var out strings.Builder
	files := false
	for _, n := range elements {
		rel, isLink := attribute(n, "rel")
		_, isFile := attribute(n, "src")
		_, typed := attribute(n, "type") // data that is not run
		switch {
		case isFile || rel == "stylesheet":
			files = true
		case !isLink && !typed:
			sum := sha256.Sum256([]byte(content(n)))
			out.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
		}
	}
	if files {
		out.WriteString(" 'self'")
	}
	if out.Len() == 0 {
		return " 'none'"
	}
	return out.String()
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key && a.Namespace == "" {
			return a.Val, true
		}
	}
	return "", false
}

func setAttribute(n *html.Node, key, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == key {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

// Redirect is the page of a static copy at an address that leads to another one.
func Redirect(from, to string) []byte {
	link := html.EscapeString(relative(from, to))
	return fmt.Appendf(nil, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Moved</title>\n"+
		"<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n<p>This page is <a href=\"%s\">here</a> now.</p>\n</html>\n",
		link, link)
}
