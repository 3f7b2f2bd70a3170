// Package editorial turns what people write into events: it validates a command, stores the text in the stream TEXT and
// appends an event with the text's id to the ledger. It erases the texts of what is removed.
package editorial

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Config configures an Editor.
type Config struct {
	Texts  Texts
	Logs   Logs // of the servers of Texts
	Ledger Ledger
	Posts  Posts
	// Incidents reads incidents as the events left them.
	Incidents Incidents
	// Maintenances reads maintenances as the events left them.
	Maintenances Maintenances
	// MaintenanceChanged is called when an event of a maintenance was appended. Readers see it when it returns.
	MaintenanceChanged func(ctx context.Context)
	// Acknowledged returns the latest acknowledgement of each incident, by its id; nil: there are none.
	Acknowledged func(ctx context.Context) (map[string]ledger.NotifyEvent, error)
	Catalog      func() *catalog.Catalog                     // in force
	Clock        func() (at time.Time, offset time.Duration) // mesh time, and mesh time less the wall clock
	Warn         func(subject, text string)                  // sets a subject's warning for operators; "" clears it
	Logger       zerolog.Logger
}

// Texts stores what people wrote.
type Texts interface {
	Put(ctx context.Context, id string, data []byte) error
	// Erase overwrites a text. It reports whether the copies of replicas outlive it for a while.
	Erase(ctx context.Context, id string) (replicated bool, err error)
}

// Ledger appends events.
type Ledger interface {
	Append(ctx context.Context, events ...ledger.Event) error
}

// Posts reads posts as the events left them.
type Posts interface {
	List(ctx context.Context, limit int) ([]ledger.Post, error)
	Get(ctx context.Context, id string) (ledger.Post, error)
	TextsOf(ctx context.Context, id string) ([]string, error)
	Removed(ctx context.Context) ([]string, error)
	TruncateLog(ctx context.Context) error
}

// Editor writes posts and incidents. It is safe for concurrent use.
type Editor struct {
	config Config
	mu     sync.Mutex // one change at a time, so that an edit is of the post that it was checked against
	failed chan struct{}
	inLogs atomic.Uint64 // the position of what the servers' logs have of erased texts; 0: nothing
}

// New makes an Editor.
func New(c Config) *Editor { return &Editor{config: c, failed: make(chan struct{}, 1)} }

// Draft is a post as a person writes it.
type Draft struct {
	Title    string   `json:"title"`
	Text     string   `json:"text"` // Markdown
	Tags     []string `json:"tags,omitempty"`
	Category string   `json:"category,omitempty"`
	Hosts    []string `json:"hosts,omitempty"` // as the catalog spells them
}

// Edit is what changes in a post; nil stays as it is.
type Edit struct {
	ID       string    `json:"id"`
	Title    *string   `json:"title,omitempty"`
	Text     *string   `json:"text,omitempty"`
	Tags     *[]string `json:"tags,omitempty"`
	Category *string   `json:"category,omitempty"`
	Hosts    *[]string `json:"hosts,omitempty"`
	// ShowBefore lets the public read the text before.
	ShowBefore bool `json:"show_before,omitempty"`
}

// Removal is what is known of a removal when it is answered.
type Removal struct {
	// Pending means that a text could not be erased yet; the Editor tries again.
	Pending bool `json:"pending,omitempty"`
	// Replicated means that the NATS servers' raft logs keep the texts until their next snapshots.
	Replicated bool `json:"replicated,omitempty"`
}

// PublishPost publishes a post and returns its id.
func (e *Editor) PublishPost(ctx context.Context, d Draft) (id string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	event := ledger.PostEvent{ID: newID(), Action: ledger.PostPublished}
	if err := e.describe(&event, d); err != nil {
		return "", err
	}
	if event.Text, err = e.store(ctx, ledger.Text{Title: d.Title, Body: d.Text}); err != nil {
		return "", err
	}
	return event.ID, e.append(ctx, event)
}

// EditPost changes a post. Its text before is kept.
func (e *Editor) EditPost(ctx context.Context, c Edit) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	post, err := editable(ctx, e.config.Posts, c)
	if err != nil {
		return err
	}
	before, d := post.Texts[0], c.applied(post)
	event := ledger.PostEvent{ID: c.ID, Action: ledger.PostEdited, ShowBefore: c.ShowBefore}
	if err := e.describe(&event, d); err != nil {
		return err
	}
	if c.Hosts == nil {
		event.Hosts = post.Hosts
	}
	if text := (ledger.Text{Title: d.Title, Body: d.Text}); text != before.Text || before.Missing {
		if event.Text, err = e.store(ctx, text); err != nil {
			return err
		}
	}
	return e.append(ctx, event)
}

// editable returns the post that an edit is of.
func editable(ctx context.Context, posts Posts, c Edit) (ledger.Post, error) {
	post, err := posts.Get(ctx, c.ID)
	switch {
	case err != nil:
		return post, fmt.Errorf("post %q: %w", c.ID, err)
	case !post.Removed.IsZero():
		return post, errkind.New(errkind.Conflict, fmt.Sprintf("post %s was removed at %s: publish a new one", c.ID,
			post.Removed.Format(time.RFC3339)))
	case post.Texts[0].Missing && (c.Title == nil || c.Text == nil):
		return post, errkind.New(errkind.Conflict,
			fmt.Sprintf("the text of post %s is lost: give --title and --text", c.ID))
	}
	return post, nil
}

// applied returns the post as the edit leaves it, without hosts unless the edit names them.
func (c Edit) applied(post ledger.Post) Draft {
	before := post.Texts[0]
	return Draft{
		Title: or(c.Title, before.Title), Text: or(c.Text, before.Body), Tags: or(c.Tags, post.Tags),
		Category: or(c.Category, post.Category), Hosts: or(c.Hosts, nil),
	}
}

func or[T any](changed *T, before T) T {
	if changed != nil {
		return *changed
	}
	return before
}

// RemovePost removes a post and erases all its texts. Removing it again erases what a failure left.
func (e *Editor) RemovePost(ctx context.Context, id string) (Removal, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	post, err := e.config.Posts.Get(ctx, id)
	if err != nil {
		return Removal{}, fmt.Errorf("post %q: %w", id, err)
	}
	if post.Removed.IsZero() {
		if err := e.append(ctx, ledger.PostEvent{ID: id, Action: ledger.PostRemoved}); err != nil {
			return Removal{}, err
		}
	}
	texts, err := e.config.Posts.TextsOf(ctx, id)
	if err != nil {
		return Removal{}, err
	}
	return e.eraseNow(ctx, "post", id, texts), nil
}

// store stores a text under a new id.
func (e *Editor) store(ctx context.Context, t ledger.Text) (*ledger.TextRef, error) {
	data, hash, err := ledger.SealText(t)
	if err != nil {
		return nil, err
	}
	ref := &ledger.TextRef{ID: newID(), Hash: hash}
	return ref, e.config.Texts.Put(ctx, ref.ID, data)
}

func (e *Editor) append(ctx context.Context, event ledger.PostEvent) error {
	event.Event = newID()
	event.Mesh, event.Offset = e.config.Clock()
	event.Mesh = event.Mesh.UTC()
	return e.config.Ledger.Append(ctx, event)
}

// newID returns an id that nobody can guess.
func newID() string { return strings.ToLower(rand.Text()) }
