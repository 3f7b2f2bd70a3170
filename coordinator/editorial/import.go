package editorial

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Imported is a post that was published elsewhere.
type Imported struct {
	Source     string    `json:"source"` // identifies it: it is imported once
	Title      string    `json:"title"`
	Text       string    `json:"text"` // Markdown
	Published  time.Time `json:"published"`
	Tags       []string  `json:"tags,omitempty"`
	Category   string    `json:"category,omitempty"`
	Permalinks []string  `json:"permalinks,omitempty"`
}

// Import is a part of an import.
type Import struct {
	Posts  []Imported `json:"posts"`
	DryRun bool       `json:"dry_run,omitempty"` // report, and publish nothing
}

// ImportReport is what became, or would become, of each post.
type ImportReport struct {
	Posts []ImportedPost `json:"posts"`
}

// ImportedPost is what became of a post.
type ImportedPost struct {
	ID       string   `json:"id"`
	Known    bool     `json:"known,omitempty"`    // it was imported before
	Host     string   `json:"host,omitempty"`     // the public host that the title begins with, to which it is tied
	Internal []string `json:"internal,omitempty"` // internal hosts that it names
	Refused  string   `json:"refused,omitempty"`  // why it cannot be imported
}

// importMax bounds the posts of one call.
const importMax = 100

// ImportPosts publishes posts with the times and permalinks that they had elsewhere. One that was imported before is
// left as it is, also if it was edited or removed since.
func (e *Editor) ImportPosts(ctx context.Context, in Import) (r ImportReport, err error) {
	if len(in.Posts) > importMax {
		return r, invalid("%d posts: import at most %d at once", len(in.Posts), importMax)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	names := newNames(e.config.Catalog())
	var events []ledger.PostEvent
	for _, p := range in.Posts {
		done := ImportedPost{ID: importedID(p.Source), Internal: names.internalIn(p.Title + "\n" + p.Text)}
		event, err := e.importedEvent(p, done.ID)
		switch host := names.begins(p.Title); {
		case err != nil:
			done.Refused = err.Error()
		case host != nil:
			done.Host, event.Hosts = host.Name, []string{host.Identity()}
		}
		if done.Refused == "" {
			if done.Known, err = e.known(ctx, done.ID, events); err != nil {
				return r, err
			}
		}
		r.Posts = append(r.Posts, done)
		if in.DryRun || done.Known || done.Refused != "" {
			continue
		}
		if event.Text, err = e.store(ctx, ledger.Text{Title: p.Title, Body: p.Text}); err != nil {
			return r, err
		}
		events = append(events, event)
	}
	return r, e.appendAll(ctx, events)
}

// known reports whether a post exists, or is among events that are about to be appended.
func (e *Editor) known(ctx context.Context, id string, events []ledger.PostEvent) (bool, error) {
	if slices.ContainsFunc(events, func(e ledger.PostEvent) bool { return e.ID == id }) {
		return true, nil
	}
	_, err := e.config.Posts.Get(ctx, id)
	if errors.Is(err, ledger.ErrNoPost) {
		return false, nil
	}
	return err == nil, err
}

// importedID makes the id of a post from what identifies it elsewhere, of the form of all ids.
func importedID(source string) string {
	sum := sha256.Sum256([]byte("imported\x00" + source))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// permalinksMax bounds the former addresses of one post.
const permalinksMax = 10

// importedEvent validates a post as describe does, and writes all but its text into an event.
func (e *Editor) importedEvent(p Imported, id string) (event ledger.PostEvent, err error) {
	event = ledger.PostEvent{ID: id, Action: ledger.PostPublished, Published: p.Published.UTC(), Permalinks: p.Permalinks}
	switch {
	case p.Source == "":
		return event, invalid("the post has no source")
	case p.Published.IsZero() || p.Published.Year() < 1970 || p.Published.Year() > 2200:
		return event, invalid("%s is no time of a post", p.Published.Format(time.RFC3339))
	case len(p.Permalinks) > permalinksMax:
		return event, invalid("%d former addresses: a post has at most %d", len(p.Permalinks), permalinksMax)
	}
	return event, e.describe(&event, Draft{Title: p.Title, Text: p.Text, Tags: p.Tags, Category: p.Category})
}

// appendAll appends events of one moment.
func (e *Editor) appendAll(ctx context.Context, events []ledger.PostEvent) error {
	at, offset := e.config.Clock()
	all := make([]ledger.Event, len(events))
	for i, event := range events {
		event.Event, event.Mesh, event.Offset = newID(), at.UTC(), offset
		all[i] = event
	}
	return e.config.Ledger.Append(ctx, all...)
}

// names finds the names of hosts in texts.
type names struct {
	catalog  *catalog.Catalog
	internal map[string]*regexp.Regexp // by name
}

func newNames(c *catalog.Catalog) names {
	n := names{c, map[string]*regexp.Regexp{}}
	for i := range c.Hosts {
		if h := &c.Hosts[i]; !h.Public {
			n.internal[h.Name] = regexp.MustCompile(fmt.Sprintf(`(?i)(^|[^\pL\pN-])%s($|[^\pL\pN-])`,
				regexp.QuoteMeta(h.Name)))
		}
	}
	return n
}

// begins returns the public host whose name a title begins with, as a whole word; nil if there is none.
func (n names) begins(title string) *catalog.Host {
	for i := range n.catalog.Hosts {
		h := &n.catalog.Hosts[i]
		if !h.Public || len(title) < len(h.Name) || !strings.EqualFold(title[:len(h.Name)], h.Name) {
			continue
		}
		rest := title[len(h.Name):]
		if rest == "" || !strings.ContainsAny(rest[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") {
			return h
		}
	}
	return nil
}

// internalIn lists the internal hosts that a text names, sorted.
func (n names) internalIn(text string) (out []string) {
	for name, pattern := range n.internal {
		if pattern.MatchString(text) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
