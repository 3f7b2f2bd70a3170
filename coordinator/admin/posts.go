package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Editor writes and reads posts.
type Editor interface {
	PublishPost(ctx context.Context, d editorial.Draft) (id string, err error)
	EditPost(ctx context.Context, c editorial.Edit) error
	RemovePost(ctx context.Context, id string) (editorial.Removal, error)
	PreviewPost(ctx context.Context, d editorial.Draft) (editorial.PostPreview, error)
	PreviewEdit(ctx context.Context, c editorial.Edit) (editorial.PostPreview, error)
	Posts(ctx context.Context, limit int) ([]ledger.Post, error)
	ImportPosts(ctx context.Context, in editorial.Import) (editorial.ImportReport, error)
}

const (
	postMax   = 1 << 20 // bytes of a request: several times the longest text in JSON
	postsMost = 1000
)

// importMax is in bytes of a request: a hundred of the longest texts, in JSON.
const importMax = 32 << 20

// addImport adds the command that imports posts.
func (h handler) addImport(mux *http.ServeMux) {
	mux.HandleFunc("POST /posts/import", func(w http.ResponseWriter, r *http.Request) {
		var in editorial.Import
		var report editorial.ImportReport
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, importMax)).Decode(&in)
		if err != nil {
			err = errkind.Wrap(errkind.Invalid, fmt.Errorf("read the posts: %w", err))
		} else {
			report, err = h.Editor.ImportPosts(r.Context(), in)
		}
		respond(w, report, err)
	})
}

// ImportPosts imports posts through a client, at most a hundred at once.
func ImportPosts(ctx context.Context, c *Client, in editorial.Import) (r editorial.ImportReport, err error) {
	data, err := json.Marshal(in)
	if err != nil {
		return r, err
	}
	return r, c.call(ctx, http.MethodPost, "/posts/import", nil, data, &r)
}

// addPosts adds the commands of posts.
func (h handler) addPosts(mux *http.ServeMux) {
	h.addImport(mux)
	mux.HandleFunc("GET /posts", func(w http.ResponseWriter, r *http.Request) {
		posts, err := h.Editor.Posts(r.Context(), postsMost)
		respond(w, posts, err)
	})
	mux.HandleFunc("POST /posts/publish", func(w http.ResponseWriter, r *http.Request) {
		var d editorial.Draft
		id, err := "", decode(w, r, &d)
		if err == nil {
			id, err = h.Editor.PublishPost(r.Context(), d)
		}
		respond(w, id, err)
	})
	mux.HandleFunc("POST /posts/edit", func(w http.ResponseWriter, r *http.Request) {
		var c editorial.Edit
		err := decode(w, r, &c)
		if err == nil {
			err = h.Editor.EditPost(r.Context(), c)
		}
		respond(w, nil, err)
	})
	mux.HandleFunc("POST /posts/preview", func(w http.ResponseWriter, r *http.Request) {
		var d editorial.Draft
		var preview editorial.PostPreview
		err := decode(w, r, &d)
		if err == nil {
			preview, err = h.Editor.PreviewPost(r.Context(), d)
		}
		respond(w, preview, err)
	})
	mux.HandleFunc("POST /posts/preview-edit", func(w http.ResponseWriter, r *http.Request) {
		var c editorial.Edit
		var preview editorial.PostPreview
		err := decode(w, r, &c)
		if err == nil {
			preview, err = h.Editor.PreviewEdit(r.Context(), c)
		}
		respond(w, preview, err)
	})
	mux.HandleFunc("POST /posts/delete", func(w http.ResponseWriter, r *http.Request) {
		removal, err := h.Editor.RemovePost(r.Context(), r.FormValue("id"))
		respond(w, removal, err)
	})
}

// decode reads the JSON of a request's body.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, postMax)).Decode(into); err != nil {
		return errkind.Wrap(errkind.Invalid, fmt.Errorf("read the request: %w", err))
	}
	return nil
}

// PublishPost publishes a post and returns its id.
func (c *Client) PublishPost(ctx context.Context, d editorial.Draft) (id string, err error) {
	data, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	return id, c.call(ctx, http.MethodPost, "/posts/publish", nil, data, &id)
}

// EditPost changes a post.
func (c *Client) EditPost(ctx context.Context, e editorial.Edit) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var nothing any
	return c.call(ctx, http.MethodPost, "/posts/edit", nil, data, &nothing)
}

// PreviewPost returns what PublishPost would publish, and publishes nothing.
func PreviewPost(ctx context.Context, c *Client, d editorial.Draft) (p editorial.PostPreview, err error) {
	return p, c.send(ctx, "/posts/preview", d, &p)
}

// PreviewEdit returns a post as EditPost would leave it, and changes nothing.
func PreviewEdit(ctx context.Context, c *Client, e editorial.Edit) (p editorial.PostPreview, err error) {
	return p, c.send(ctx, "/posts/preview-edit", e, &p)
}

// RemovePost removes a post and erases its texts.
func (c *Client) RemovePost(ctx context.Context, id string) (r editorial.Removal, err error) {
	return r, c.call(ctx, http.MethodPost, "/posts/delete", url.Values{"id": {id}}, nil, &r)
}

// Posts returns the newest posts, newest first.
func (c *Client) Posts(ctx context.Context) (posts []ledger.Post, err error) {
	return posts, c.call(ctx, http.MethodGet, "/posts", nil, nil, &posts)
}
