// Package blog reads what another program exported of a blog: WordPress's WXR, or an RSS, Atom or JSON feed. Parse
// returns the published posts with Markdown texts, and counts what it left out. Nothing in a file stops it: an item
// that cannot be read is counted.
package blog

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mmcdole/gofeed"
	"golang.org/x/text/unicode/norm"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/markdown"
)

// Post is a published post of the blog.
type Post struct {
	Source     string // identifies it: the same in every export
	Title      string
	Text       string // Markdown
	Published  time.Time
	Tags       []string
	Category   string
	Permalinks []string // as archive.Permalink writes them
	Images     []string // addresses of those that the text had: it has links to them
	Cut        bool     // the text was longer than a post may be
}

// Export is what a file has.
type Export struct {
	Posts   []Post         // oldest first
	LeftOut map[string]int // by what it was, in plural: "drafts", "pages"
	Notes   []string       // what was odd, by post
}

// Bounds of what is read.
const (
	titleMax   = 200      // characters, as of every post
	textMax    = 64 << 10 // bytes, as of every post
	tagsMax    = 10
	notesMax   = 200
	sourceHTML = 512 << 10 // bytes of HTML of one post that are converted
)

// ErrFormat means that the data is neither an export nor a feed.
var ErrFormat = errors.New("this is neither an export of WordPress nor an RSS, Atom or JSON feed")

// Parse reads an export or a feed.
func Parse(data []byte) (Export, error) {
	out := Export{LeftOut: map[string]int{}}
	head := data[:min(len(data), 64<<10)]
	if bytes.Contains(head, []byte("wordpress.org/export/")) || bytes.Contains(head, []byte("<wp:wxr_version")) {
		out.parseWXR(data)
	} else if err := out.parseFeed(data); err != nil {
		return out, err
	}
	slices.SortStableFunc(out.Posts, func(a, b Post) int { return a.Published.Compare(b.Published) })
	return out, nil
}

func (x *Export) note(format string, args ...any) {
	if len(x.Notes) < notesMax {
		x.Notes = append(x.Notes, fmt.Sprintf(format, args...))
	}
}

func (x *Export) parseFeed(data []byte) error {
	f, err := gofeed.NewParser().Parse(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, item := range f.Items {
		p := Post{Source: item.GUID, Title: item.Title}
		for _, at := range []*time.Time{item.PublishedParsed, item.UpdatedParsed} {
			if at != nil && p.Published.IsZero() {
				p.Published = at.UTC()
			}
		}
		if p.Source == "" {
			p.Source = item.Link
		}
		for n, c := range item.Categories {
			if n == 0 {
				p.Category = label(c)
			} else {
				p.addTag(label(c))
			}
		}
		p.addPermalinks(item.Link, item.GUID)
		body := item.Content
		if body == "" {
			body = item.Description
		}
		x.add(p, body)
	}
	return nil
}

// add finishes a post and adds it.
func (x *Export) add(p Post, body string) {
	p.Title = title(p.Title)
	switch {
	case p.Published.Year() < 1990 || p.Published.Year() > 2200:
		x.LeftOut["posts without a date"]++
		x.note("%q has no date", p.Title)
		return
	case p.Source == "":
		p.Source = p.Published.Format(time.RFC3339) + " " + p.Title
	}
	p.Text, p.Images = convert(body)
	if strings.TrimSpace(p.Text) == "" {
		p.Text = p.Title
	}
	if p.Text, p.Cut = cut(p.Text); p.Cut {
		x.note("%q is longer than %d KiB and was cut", p.Title, textMax>>10)
	}
	x.Posts = append(x.Posts, p)
}

// title returns a title on one line, within its bound.
func title(s string) string {
	s = markdown.Line(s)
	if runes := []rune(s); len(runes) > titleMax {
		s = string(runes[:titleMax-1]) + "…"
	}
	if s == "" {
		return "Untitled"
	}
	return s
}

// cut shortens a text that is longer than a post may be.
func cut(s string) (string, bool) {
	const rest = "\n\n*The rest of this text was not imported.*"
	if len(s) <= textMax {
		return s, false
	}
	s = s[:textMax-len(rest)]
	for !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > 0 { // within a letter
		s = s[:len(s)-1]
	}
	return s + rest, true
}

func (p *Post) addTag(tag string) {
	if tag != "" && len(p.Tags) < tagsMax && !slices.Contains(p.Tags, tag) {
		p.Tags = append(p.Tags, tag)
	}
}

func (p *Post) addPermalinks(addresses ...string) {
	for _, address := range addresses {
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "" {
			continue
		}
		if u.Scheme == "" && !strings.HasPrefix(address, "?") && !strings.HasPrefix(address, "/") {
			continue // an id that is no address
		}
		if l := archive.Permalink(u); l != "" && !slices.Contains(p.Permalinks, l) {
			p.Permalinks = append(p.Permalinks, l)
		}
	}
}

const labelMax = 40

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// label returns the name of a tag or category as the archive has it; "" if nothing of it is left.
func label(name string) string {
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1 // the accent of a decomposed letter
		}
		return r
	}, norm.NFD.String(strings.ToLower(name)))
	name = strings.Trim(notLabel.ReplaceAllString(name, "-"), "-")
	return strings.Trim(name[:min(len(name), labelMax)], "-")
}

// Runs finds posts that seem to be updates of one event: those of one host within a day of each other. It returns their
// indexes. host names the host that a title begins with; "" if it begins with none.
func Runs(posts []Post, host func(title string) string) (runs [][]int) {
	const gap = 24 * time.Hour
	open := map[string][]int{}
	var order []string
	end := func(name string) {
		if len(open[name]) > 1 {
			runs = append(runs, open[name])
		}
		delete(open, name)
	}
	for i, p := range posts {
		name := host(p.Title)
		if name == "" {
			continue
		}
		if run := open[name]; len(run) > 0 && p.Published.Sub(posts[run[len(run)-1]].Published) > gap {
			end(name)
		}
		if len(open[name]) == 0 {
			order = append(order, name)
		}
		open[name] = append(open[name], i)
	}
	for _, name := range order {
		end(name)
	}
	return runs
}
