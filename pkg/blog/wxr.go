package blog

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// wxrItem is one item of WordPress's export, of any version: the versions differ in the namespace alone.
type wxrItem struct {
	Title      string        `xml:"title"`
	Link       string        `xml:"link"`
	GUID       string        `xml:"guid"`
	PubDate    string        `xml:"pubDate"`
	Content    string        `xml:"content encoded"`
	ID         string        `xml:"wp post_id"`
	Date       string        `xml:"wp post_date"`
	DateGMT    string        `xml:"wp post_date_gmt"`
	Status     string        `xml:"wp status"`
	Type       string        `xml:"wp post_type"`
	Password   string        `xml:"wp post_password"`
	Categories []wxrCategory `xml:"category"`
	Comments   []struct{}    `xml:"wp comment"`
}

type wxrCategory struct {
	Domain   string `xml:"domain,attr"`
	Nicename string `xml:"nicename,attr"`
	Name     string `xml:",chardata"`
}

// parseWXR reads the items one by one, so that one with broken markup is the only one that is lost.
func (x *Export) parseWXR(data []byte) {
	data = decoded(data)
	for item := range items(data) {
		var w wxrItem
		d := xml.NewDecoder(bytes.NewReader(printable(item)))
		d.Strict, d.Entity = false, xml.HTMLEntity
		if err := d.Decode(&w); err != nil && w.Type == "" {
			x.LeftOut["items that cannot be read"]++
			x.note("an item cannot be read: %v", err)
			continue
		}
		x.LeftOut["comments"] += len(w.Comments)
		if what := w.leftOut(); what != "" {
			x.LeftOut[what]++
			continue
		}
		x.add(w.post(), w.Content)
	}
	if x.LeftOut["comments"] == 0 {
		delete(x.LeftOut, "comments")
	}
}

// decoded returns the text in UTF-8, as the declaration at its beginning says.
func decoded(data []byte) []byte {
	head, _, _ := bytes.Cut(data[:min(len(data), 200)], []byte("?>"))
	_, after, ok := bytes.Cut(head, []byte("encoding="))
	name := strings.Trim(string(after), ` "'`)
	if !ok || strings.EqualFold(name, "utf-8") || name == "" {
		return data
	}
	r, err := charset.NewReaderLabel(name, bytes.NewReader(data))
	if err != nil {
		return data
	}
	if text, err := io.ReadAll(r); err == nil {
		return text
	}
	return data
}

var (
	itemBegin, itemEnd   = []byte("<item"), []byte("</item>")
	cdataBegin, cdataEnd = []byte("<![CDATA["), []byte("]]>")
)

// items yields the items. What a CDATA section has is no markup: a post may be about XML.
func items(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		begin := -1
		for at := 0; at < len(data); {
			n := bytes.IndexByte(data[at:], '<')
			if n < 0 {
				return
			}
			at += n
			rest := data[at:]
			switch {
			case bytes.HasPrefix(rest, cdataBegin):
				end := bytes.Index(rest, cdataEnd)
				if end < 0 { // it never ends: what follows may be items all the same
					at += len(cdataBegin)
					continue
				}
				at += end + len(cdataEnd)
				continue
			case bytes.HasPrefix(rest, itemBegin) && len(rest) > len(itemBegin) && strings.IndexByte("> \t\r\n", rest[5]) >= 0:
				begin = at
			case bytes.HasPrefix(rest, itemEnd) && begin >= 0:
				if !yield(data[begin : at+len(itemEnd)]) {
					return
				}
				begin = -1
			}
			at++
		}
	}
}

// printable replaces the bytes that XML forbids: exports have them, and a decoder would stop.
func printable(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r != 0xFFFE && r != 0xFFFF && r != utf8.RuneError:
			return r
		}
		return ' '
	}, data)
}

// leftOut names what an item is that is no published post, in plural.
func (w wxrItem) leftOut() string {
	switch kind, status := strings.TrimSpace(w.Type), strings.TrimSpace(w.Status); {
	case kind == "page":
		return "pages"
	case kind == "attachment":
		return "attachments"
	case kind != "post" && kind != "":
		return "other items"
	case w.Password != "":
		return "posts with a password"
	case status == "draft" || status == "auto-draft" || status == "pending":
		return "drafts"
	case status == "private":
		return "private posts"
	case status == "future":
		return "scheduled posts"
	case status == "trash":
		return "posts in the trash"
	case status != "publish" && status != "":
		return "other items"
	}
	return ""
}

func (w wxrItem) post() Post {
	p := Post{Source: strings.TrimSpace(w.GUID), Title: w.Title, Published: w.published()}
	if p.Source == "" {
		p.Source = strings.TrimSpace(w.Link)
	}
	for _, c := range w.Categories {
		name := label(c.Nicename)
		if name == "" {
			name = label(c.Name)
		}
		switch {
		case name == "uncategorized":
		case c.Domain == "category" && p.Category == "":
			p.Category = name
		default: // an entry has one category; the others are tags
			p.addTag(name)
		}
	}
	p.addPermalinks(w.Link, w.GUID)
	if id := strings.TrimSpace(w.ID); id != "" {
		p.addPermalinks("?p=" + id)
	}
	return p
}

// published returns the time of a post: that of the fields which is one.
func (w wxrItem) published() time.Time {
	for _, field := range []struct{ layout, value string }{
		{time.DateTime, w.DateGMT}, {time.RFC1123Z, w.PubDate}, {time.RFC1123, w.PubDate}, {time.DateTime, w.Date},
	} {
		if at, err := time.Parse(field.layout, strings.TrimSpace(field.value)); err == nil && at.Year() > 1 {
			return at.UTC()
		}
	}
	return time.Time{}
}
