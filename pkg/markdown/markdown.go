// Package markdown is the one renderer of what people write: pages, feeds and mail show the same HTML of the same text.
// HTML returns sanitised HTML, Plain the text without markup, Summary that on one line, Line a title.
//
// Text is Markdown with GitHub's tables, strikethrough and bare links. HTML in it is shown as it was typed, so that
// "<host> is down" loses no word. Pages may load nothing from elsewhere, so an image becomes a link to it.
package markdown

import (
	"bytes"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

const (
	// textMax is in bytes: twice what a person may write. A longer text is cut.
	textMax = 128 << 10
	// depthMax bounds the markers of quotes and lists that a line begins with: the parser's time grows with the square of
	// them. Nobody quotes that deep.
	depthMax = 20
	// markersMax bounds the characters of emphasis, links and images in one paragraph, for the same reason.
	markersMax = 3000
)

// headingShift is how much lower headings of a text are than they say: the page's own are above them.
const headingShift = 2

var converter = goldmark.New(
	goldmark.WithExtensions(
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
		extension.Strikethrough,
		extension.NewLinkify(extension.WithLinkifyAllowedProtocols([]string{"http:", "https:", "mailto:"})),
	),
	goldmark.WithRendererOptions(
		goldmarkhtml.WithHardWraps(), // a line break of the writer is one of the reader
		renderer.WithNodeRenderers(util.Prioritized(safeNodes{}, 1)),
	),
)

// policy is applied to all that is rendered, whatever the parser let through.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "del", "sub", "sup", "code",
		"pre", "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^[0-9]{1,9}$`)).OnElements("ol")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|right|center)$`)).OnElements("th", "td")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^nofollow noopener$`)).OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	return p
}

// HTML renders a text. Links that name no site lead to base, which is an absolute URL, or "" for a page of the site
// itself. Its time grows with the text alone, whatever the text is.
func HTML(markdown, base string) string {
	source := []byte(bounded(markdown))
	if costly(source) {
		return "<pre>" + html.EscapeString(string(source)) + "</pre>"
	}
	document := parse(source)
	secureLinks(document, source, base)
	var out bytes.Buffer
	if err := converter.Renderer().Render(&out, source, document); err != nil {
		return "<pre>" + html.EscapeString(string(source)) + "</pre>"
	}
	return policy.Sanitize(out.String())
}

// Plain returns a text without its markup: the words that a reader sees, with a line break between paragraphs.
func Plain(markdown string) string {
	source := []byte(bounded(markdown))
	if costly(source) {
		return string(source)
	}
	var out []string
	for _, b := range blocksOf(source) {
		out = append(out, b.words)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// Summary returns a text without its markup on one line, for excerpts, descriptions and short messages. What stood by
// itself, such as an item of a list, is separated from what follows by a semicolon, and a heading by a colon, unless it
// ends with punctuation: otherwise they would read as one sentence.
func Summary(markdown string) string {
	source := []byte(bounded(markdown))
	if costly(source) {
		return strings.Join(strings.Fields(string(source)), " ")
	}
	var out strings.Builder
	separator := ""
	for _, b := range blocksOf(source) {
		words := strings.Join(strings.Fields(b.words), " ")
		out.WriteString(separator + words)
		switch {
		case endsSentence(words):
			separator = " "
		case b.heading:
			separator = ": "
		default:
			separator = "; "
		}
	}
	return out.String()
}

// endsSentence reports whether nothing needs to separate what follows the text.
func endsSentence(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(text, `"'’”»)`))
	return strings.ContainsRune(".,:;!?…–—。！？", last)
}

// Line returns a title or a name on one line: without characters that turn the direction of the text around them, that
// print nothing, or that XML forbids.
func Line(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case turnsDirection(r), unicode.IsControl(r), r == 0xFFFE, r == 0xFFFF:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// turnsDirection reports whether a character sets the direction of all text after it. The marks of a single letter's
// direction do not, and Arabic and Hebrew need them.
func turnsDirection(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// bounded returns the text as far as it is rendered, without the characters that Line removes too.
func bounded(s string) string {
	if len(s) > textMax {
		s = s[:textMax]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case turnsDirection(r), unicode.IsControl(r), r == 0xFFFE, r == 0xFFFF:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// costly reports whether parsing the text may take much longer than its length suggests.
func costly(source []byte) bool {
	markers, depth := 0, 0
	for line := range bytes.Lines(source) {
		content := bytes.TrimSpace(line)
		if len(content) == 0 {
			markers = 0
		}
		for _, c := range content {
			switch c {
			case '*', '_', '[', ']', '<', '`', '~', '!', '(', '&', '|', '\\':
				markers++
			}
		}
		depth = 0
		for _, c := range line {
			if strings.IndexByte(" \t>-+*0123456789.)", c) < 0 {
				break
			}
			if strings.IndexByte(">-+*.)", c) >= 0 {
				depth++
			}
		}
		if markers > markersMax || depth > depthMax && !isRule(content) {
			return true
		}
	}
	return false
}

// isRule reports whether a line is one character again and again: a thematic break, or the underline of a heading.
func isRule(line []byte) bool {
	return strings.Trim(string(line), string(line[0])) == "" && line[0] != '>'
}

func parse(source []byte) ast.Node {
	return converter.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext()))
}

// secureLinks marks each link as one that people wrote, resolves relative ones and lowers headings.
func secureLinks(document ast.Node, source []byte, base string) {
	root, _ := url.Parse(base)
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(6, n.Level+headingShift)
		case *ast.Link:
			n.Destination = absolute(root, n.Destination)
			n.Title = nil // a tooltip that keyboards and fingers do not reach
			markLink(n, n.Destination)
		case *ast.Image:
			n.Destination = absolute(root, n.Destination)
		case *ast.AutoLink:
			markLink(n, n.URL(source))
		}
		return ast.WalkContinue, nil
	})
}

// absolute resolves a destination. One that is no URL stays: the policy removes it.
func absolute(root *url.URL, destination []byte) []byte {
	if root == nil || root.Host == "" {
		return destination
	}
	u, err := url.Parse(string(destination))
	if err != nil {
		return destination
	}
	return []byte(root.ResolveReference(u).String())
}

// linkRel is what links that people wrote say of their destination: the site does not vouch for it.
const linkRel = "nofollow noopener"

// markLink marks a link whose destination the policy keeps. It removes others, if they have no attribute left.
func markLink(n ast.Node, destination []byte) {
	if followable(destination) {
		n.SetAttributeString("rel", []byte(linkRel))
	}
}

func followable(destination []byte) bool {
	u, err := url.Parse(string(util.URLEscape(destination, true))) // as it will be rendered
	return err == nil && slices.Contains([]string{"", "http", "https", "mailto"}, u.Scheme)
}
