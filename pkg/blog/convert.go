package blog

import (
	"regexp"
	"slices"
	"strings"

	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

var (
	// sanitizer removes what runs or restyles before the text is converted: the words within a script are no text.
	sanitizer = bluemonday.UGCPolicy()
	toText    = bluemonday.StrictPolicy()

	shortcode = regexp.MustCompile(`\[/?(?:caption|gallery|embed|audio|video)[^\]]{0,500}\]`)
	paragraph = regexp.MustCompile(`\n[ \t]*\n`)
	block     = regexp.MustCompile(`(?i)^\s*<(?:p|div|h[1-6]|ul|ol|table|blockquote|pre|figure|hr)\b`)
)

// imagesMax bounds the images of one post that are listed.
const imagesMax = 100

// convert returns the Markdown of a post's HTML, and the addresses of its images, to which the Markdown has links.
func convert(body string) (text string, images []string) {
	body = strings.ToValidUTF8(body[:min(len(body), sourceHTML)], "\uFFFD")
	body = strings.ReplaceAll(body, "\r\n", "\n")
	body = sanitizer.Sanitize(paragraphs(shortcode.ReplaceAllString(body, "")))
	images = imagesOf(body)
	c := converter.NewConverter(converter.WithPlugins(
		base.NewBasePlugin(), commonmark.NewCommonmarkPlugin(), table.NewTablePlugin(),
	))
	text, err := c.ConvertString(body)
	if err != nil {
		text = html.UnescapeString(toText.Sanitize(body))
	}
	return strings.TrimSpace(text), images
}

// paragraphs makes the paragraphs that WordPress does not store: an empty line ends one, and a line break is one.
func paragraphs(body string) string {
	if strings.Contains(strings.ToLower(body), "<p>") {
		return body
	}
	var out strings.Builder
	for _, part := range paragraph.Split(body, -1) {
		if block.MatchString(part) || strings.Contains(part, "<pre") {
			out.WriteString(part + "\n\n")
			continue
		}
		out.WriteString("<p>" + strings.ReplaceAll(strings.TrimSpace(part), "\n", "<br>") + "</p>\n")
	}
	return out.String()
}

func imagesOf(body string) (out []string) {
	z := html.NewTokenizer(strings.NewReader(body))
	for kind := z.Next(); kind != html.ErrorToken && len(out) < imagesMax; kind = z.Next() {
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := z.Token()
		for _, a := range token.Attr {
			if token.Data == "img" && a.Key == "src" && !slices.Contains(out, a.Val) {
				out = append(out, a.Val)
			}
		}
	}
	return out
}
