// Package archive is what everything has in common that people read about the past: posts, incidents and maintenance.
// Pages, feeds and the search list entries, whatever their kind. A kind makes its Entry; nothing else has to know it.
package archive

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is what an entry is.
type Kind string

// The kinds.
const (
	Post        Kind = "post"
	Incident    Kind = "incident"
	Maintenance Kind = "maintenance"
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{Post, Incident, Maintenance} }

// Entry is a post, an incident or a maintenance, as readers see it. All times are wall time.
type Entry struct {
	Kind     Kind      `json:"kind"`
	ID       string    `json:"id"` // unique within its kind
	Title    string    `json:"title"`
	At       time.Time `json:"at"`      // when it was published, or began: the month it belongs to
	Updated  time.Time `json:"updated"` // its latest update or correction
	Ended    time.Time `json:"ended,omitzero"`
	State    string    `json:"state,omitempty"` // "resolved"; a post has none
	Shown    time.Time `json:"shown,omitzero"`  // from when on the public may read it; zero: always
	Hosts    []string  `json:"hosts,omitempty"` // internal ids. An entry that names hosts is for readers of one of them
	Tags     []string  `json:"tags,omitempty"`
	Category string    `json:"category,omitempty"`
	Updates  []Update  `json:"updates"` // oldest first
}

// Never is when the public may read what is for operators only.
var Never = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Update is one thing that was said in an entry.
type Update struct {
	ID     string    `json:"id"` // unique within the entry, and never another one
	At     time.Time `json:"at"`
	Edited time.Time `json:"edited,omitzero"`
	State  string    `json:"state,omitempty"` // "investigating"; a post has none
	Text   string    `json:"text"`            // Markdown
	// Plain means that the text is a sentence of ours and no Markdown.
	Plain bool `json:"plain,omitempty"`
	// Before are the texts before corrections that the public may read, newest first.
	Before []Earlier `json:"before,omitempty"`
}

// Earlier is a text before a correction.
type Earlier struct {
	At    time.Time `json:"at"` // when it was published
	Title string    `json:"title,omitempty"`
	Text  string    `json:"text"` // Markdown
}

// Path is the permanent address of the entry.
func (e Entry) Path() string { return Path(e.Kind, e.ID) }

// Path is the permanent address of the entry of a kind with an id.
func Path(kind Kind, id string) string {
	switch kind {
	case Incident:
		return "/incidents/" + id
	case Maintenance:
		return "/maintenance/" + id
	}
	return "/posts/" + id
}

// Document is a part of an entry as the search finds it.
type Document struct {
	Host  string    // internal id: only readers of this host find it; "": all readers of the entry
	At    time.Time // of the update
	Title string
	Text  string // without markup
}

// Documents are the entry's documents, one for each update. plain removes the markup of Markdown.
func (e Entry) Documents(plain func(markdown string) string) []Document {
	out := make([]Document, 0, len(e.Updates))
	for _, u := range e.Updates {
		text := u.Text
		if !u.Plain {
			text = plain(u.Text)
		}
		out = append(out, Document{At: u.At, Title: e.Title, Text: text})
	}
	return out
}

// Month is a month of a year in UTC.
type Month struct {
	Year  int
	Month time.Month
}

// MonthOf returns the month of a time.
func MonthOf(t time.Time) Month { return Month{t.UTC().Year(), t.UTC().Month()} }

// Begin is the first moment of the month.
func (m Month) Begin() time.Time { return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.UTC) }

// End is the first moment after the month.
func (m Month) End() time.Time { return m.Begin().AddDate(0, 1, 0) }

// Compare orders months by time.
func (m Month) Compare(other Month) int { return m.Begin().Compare(other.Begin()) }

// Count is how many entries a month, a tag or a category has.
type Count struct {
	Month   Month  // of a month
	Name    string // of a tag or a category
	Entries int
}

// Neighbours returns the months before and after one that have entries, in a list that is sorted newest first. A month
// without a neighbour has a zero Month.
func Neighbours(months []Count, of Month) (before, after Month) {
	for _, c := range months {
		switch order := c.Month.Compare(of); {
		case order > 0:
			after = c.Month
		case order < 0:
			return c.Month, after
		}
	}
	return before, after
}

// permalinkMax bounds an address, in bytes.
const permalinkMax = 500

// Permalink returns the form in which the address of a post of another program is kept: its path, or "?p=123" where a
// number names the post. It is "" for an address that names no post.
func Permalink(u *url.URL) string {
	if p := u.Query().Get("p"); p != "" && len(p) < 20 && strings.Trim(p, "0123456789") == "" {
		return "?p=" + p
	}
	path := strings.TrimRight(u.Path, "/")
	if path == "" || path == "/index.php" || len(path) > permalinkMax || !utf8.ValidString(path) {
		return ""
	}
	return path
}

// HasHost reports whether the entry names the host with the id.
func (e Entry) HasHost(id string) bool { return slices.Contains(e.Hosts, id) }
