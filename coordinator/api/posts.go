package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Editor writes what people read. The errors have a kind of package errkind, and name the field that they are about.
type Editor interface {
	PublishPost(ctx context.Context, d editorial.Draft) (id string, err error)
	EditPost(ctx context.Context, c editorial.Edit) error
	PreviewPost(ctx context.Context, d editorial.Draft) (editorial.PostPreview, error)
	PreviewEdit(ctx context.Context, c editorial.Edit) (editorial.PostPreview, error)
	RemovePost(ctx context.Context, id string) (editorial.Removal, error)
	Post(ctx context.Context, id string) (ledger.Post, error)
	Posts(ctx context.Context, limit int) ([]ledger.Post, error)
}

// postDraft is a post that a client publishes.
type postDraft struct {
	previewing
	Title    string   `json:"title" required:"true" maxLength:"200"`
	Text     string   `json:"text" required:"true" description:"Markdown, at most 64 KiB"`
	Tags     []string `json:"tags,omitempty" maxItems:"10" nullable:"false"`
	Category string   `json:"category,omitempty"`
	Hosts    []string `json:"hosts,omitempty" maxItems:"100" nullable:"false" description:"as the catalog names them"`
}

// postEdit is what changes in a post; what is left out stays.
type postEdit struct {
	previewing
	Title      *string   `json:"title,omitempty" maxLength:"200"`
	Text       *string   `json:"text,omitempty"`
	Tags       *[]string `json:"tags,omitempty" maxItems:"10"`
	Category   *string   `json:"category,omitempty"`
	Hosts      *[]string `json:"hosts,omitempty" maxItems:"100"`
	ShowBefore bool      `json:"show_before,omitempty" description:"let the public read the text before, too"`
}

// postJSON is a post.
type postJSON struct {
	ID        string     `json:"id" required:"true"`
	Title     string     `json:"title" required:"true" description:"empty if the post was removed"`
	Text      string     `json:"text" required:"true" description:"Markdown; empty if the post was removed"`
	Tags      []string   `json:"tags" required:"true" nullable:"false"`
	Category  string     `json:"category" required:"true"`
	Hosts     []string   `json:"hosts" required:"true" nullable:"false"`
	Published time.Time  `json:"published_at" required:"true"`
	Edited    *time.Time `json:"edited_at" required:"true"`
	Removed   *time.Time `json:"removed_at" required:"true"`
	Before    []textJSON `json:"before" required:"true" nullable:"false" description:"texts before edits, newest first"`
}

// textJSON is a text of a post before an edit.
type textJSON struct {
	At      time.Time `json:"at" required:"true"`
	Title   string    `json:"title" required:"true"`
	Text    string    `json:"text" required:"true"`
	Public  bool      `json:"public" required:"true" description:"the public may read it"`
	Missing bool      `json:"missing" required:"true" description:"it is lost"`
}

// removalJSON is what is known of a removal.
type removalJSON struct {
	ID string `json:"id" required:"true"`
	// Erased is said only once no copy is left.
	Erased bool   `json:"erased" required:"true" description:"no copy of the text is left on any server's disk"`
	Why    string `json:"why,omitempty" description:"why it is not erased yet"`
}

func newPost(p ledger.Post) postJSON {
	out := postJSON{
		ID: p.ID, Tags: append([]string{}, p.Tags...), Category: p.Category, Hosts: append([]string{}, p.Hosts...),
		Published: p.Published.UTC(), Edited: optional(p.Edited), Removed: optional(p.Removed), Before: []textJSON{},
	}
	for i, t := range p.Texts {
		if i == 0 {
			out.Title, out.Text = t.Title, t.Body
			continue
		}
		out.Before = append(out.Before, textJSON{t.At.UTC(), t.Title, t.Body, t.Public, t.Missing})
	}
	return out
}

func (a *API) answerPost(ctx context.Context, id string) (postJSON, error) {
	p, err := a.config.Editor.Post(ctx, id)
	return newPost(p), err
}

func (a *API) publishPost(ctx context.Context, _ *http.Request, d postDraft) (outcome, error) {
	draft := editorial.Draft{Title: d.Title, Text: d.Text, Tags: d.Tags, Category: d.Category, Hosts: d.Hosts}
	if d.Preview {
		return ofPost(a.config.Editor.PreviewPost(ctx, draft))
	}
	id, err := a.config.Editor.PublishPost(ctx, draft)
	return outcome{id: id}, err
}

func (a *API) editPost(ctx context.Context, r *http.Request, c postEdit) (outcome, error) {
	edit := editorial.Edit{
		ID: r.PathValue("id"), Title: c.Title, Text: c.Text, Tags: c.Tags, Category: c.Category, Hosts: c.Hosts,
		ShowBefore: c.ShowBefore,
	}
	if c.Preview {
		return ofPost(a.config.Editor.PreviewEdit(ctx, edit))
	}
	return outcome{id: edit.ID}, a.config.Editor.EditPost(ctx, edit)
}

func ofPost(p editorial.PostPreview, err error) (outcome, error) {
	return outcome{preview: newPreview(p.Page, p.Text, "")}, err
}

// removePost is no change: its answer depends on what could be erased.
func (a *API) removePost(w http.ResponseWriter, r *http.Request) error {
	ctx, err := a.access.admit(w, r, "write")
	if err != nil {
		return err
	}
	removal, err := a.config.Editor.RemovePost(ctx, r.PathValue("id"))
	if err != nil {
		return failure(err)
	}
	return web.WriteJSON(w, http.StatusOK, newRemoval(r.PathValue("id"), removal))
}

func newRemoval(id string, removal editorial.Removal) removalJSON {
	out := removalJSON{ID: id, Erased: !removal.Pending && !removal.Replicated}
	switch {
	case removal.Pending:
		out.Why = "the text could not be erased yet; the coordinator tries again"
	case removal.Replicated:
		out.Why = "the NATS servers' logs keep the text until each has written its next snapshot"
	}
	return out
}

const postsMost = 1000

func (a *API) listPosts(ctx context.Context, _ *http.Request) (any, error) {
	posts, err := a.config.Editor.Posts(ctx, postsMost)
	out := make([]postJSON, len(posts))
	for i, p := range posts {
		out[i] = newPost(p)
	}
	return out, err
}

func (a *API) readPost(ctx context.Context, r *http.Request) (any, error) {
	return a.answerPost(ctx, r.PathValue("id"))
}

// auditLog answers with who did what, newest first.
func (a *API) auditLog(ctx context.Context, r *http.Request) (any, error) {
	limit, before := 100, uint64(0)
	var err error
	if text := r.FormValue("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > postsMost {
			return nil, errkind.In("limit", errkind.New(errkind.Invalid, "limit is not a number from 1 to 1000"))
		}
	}
	if text := r.FormValue("before"); text != "" {
		if before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, errkind.In("before", errkind.New(errkind.Invalid, "before is not a sequence of this log"))
		}
	}
	entries, err := a.access.tokens.AuditLog(ctx, before, limit)
	return append([]ledger.AuditEntry{}, entries...), err
}
