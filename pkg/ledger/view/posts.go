package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// postFold is the part of a fold that applies what people did to posts.
type postFold struct{ *fold }

// apply applies what a person did to a post.
func (f postFold) apply(ctx context.Context, r ledger.Record) error {
	var e ledger.PostEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	f.archive.touch(archive.Post, e.ID)
	at := nanoseconds(e.Wall())
	if e.Action == ledger.PostRemoved {
		return f.remove(ctx, e.ID, at)
	}
	if stored, err := f.store(ctx, e, at); !stored || err != nil {
		return err // a repeat, or an edit of a post that was removed meanwhile
	}
	if e.ShowBefore {
		_, err := f.tx.ExecContext(ctx, `UPDATE post_texts SET shown = 1 WHERE sequence =
			(SELECT max(sequence) FROM post_texts WHERE post = ?)`, e.ID)
		if err != nil {
			return err
		}
	}
	if e.Text == nil {
		return nil
	}
	return f.addText(ctx, r.Sequence, e, at)
}

// store stores all of a post but its text. stored is false if the event changes nothing.
func (f postFold) store(ctx context.Context, e ledger.PostEvent, at int64) (stored bool, err error) {
	tags, err := json.Marshal(append([]string{}, e.Tags...))
	if err != nil {
		return false, err
	}
	hosts, err := json.Marshal(append([]string{}, e.Hosts...))
	if err != nil {
		return false, err
	}
	published := at
	if !e.Published.IsZero() {
		published = nanoseconds(e.Published)
	}
	query, args := `UPDATE posts SET edited = ?, tags = ?, category = ?, hosts = ? WHERE id = ? AND removed = 0`,
		[]any{at, string(tags), e.Category, string(hosts), e.ID}
	if e.Action == ledger.PostPublished {
		query = `INSERT OR IGNORE INTO posts (published, tags, category, hosts, id) VALUES (?, ?, ?, ?, ?)`
		args[0] = published
	}
	done, err := f.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	if n, err := done.RowsAffected(); n == 0 || err != nil {
		return false, err
	}
	for _, address := range e.Permalinks {
		_, err := f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO permalinks (address, post) VALUES (?, ?)`, address, e.ID)
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// addText stores a post's new text. One that is gone leaves an empty row: the post is removed by a later event, or the
// text is lost.
func (f postFold) addText(ctx context.Context, sequence uint64, e ledger.PostEvent, at int64) error {
	title, body, err := f.text(ctx, e.Text)
	if err != nil {
		return err
	}
	_, err = f.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO post_texts (id, post, sequence, at, title, body) VALUES (?, ?, ?, ?, ?, ?)`,
		e.Text.ID, e.ID, sequence, at, title, body)
	return err
}

// text reads a text from beside the log. It returns nil for one that is gone.
func (f *fold) text(ctx context.Context, ref *ledger.TextRef) (title, body *string, err error) {
	if f.texts == nil {
		return nil, nil, nil
	}
	data, err := f.texts.Text(ctx, ref.ID)
	if errors.Is(err, ledger.ErrNoText) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	// A text that is not the one that the ledger names is as good as lost.
	t, err := ledger.OpenText(data, ref.Hash)
	if err != nil {
		return nil, nil, nil
	}
	return &t.Title, &t.Body, nil
}

// remove erases the texts of a post. Their ids stay, for the stream to erase them as well.
func (f postFold) remove(ctx context.Context, id string, at int64) error {
	_, err := f.tx.ExecContext(ctx, `UPDATE posts SET removed = ? WHERE id = ? AND removed = 0`, at, id)
	if err == nil {
		_, err = f.tx.ExecContext(ctx, `UPDATE post_texts SET title = NULL, body = NULL WHERE post = ?`, id)
	}
	return err
}

// renameHost has the posts of a host name it by its next id.
func (f postFold) renameHost(ctx context.Context, id, next string) error {
	if id == next {
		return nil
	}
	rows, err := f.tx.QueryContext(ctx, `UPDATE posts SET hosts = replace(hosts, json_quote(?), json_quote(?))
		WHERE instr(hosts, json_quote(?)) > 0 RETURNING id`, id, next, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var post string
		if err := rows.Scan(&post); err != nil {
			return err
		}
		f.archive.touch(archive.Post, post)
	}
	return rows.Err()
}

// Posts answers queries on posts.
type Posts struct{ db querier }

// querier is a database, or a transaction of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Posts returns the posts of the view.
func (d database) Posts() Posts { return Posts{d.db} }

// PostsMax bounds the posts of one answer.
const PostsMax = 1000

// List returns the newest posts, newest first, removed ones too: at most limit, and at most PostsMax. Posts of one
// moment are in the order of the log.
func (p Posts) List(ctx context.Context, limit int) ([]ledger.Post, error) {
	return p.query(ctx, `SELECT id, published, edited, removed, tags, category, hosts FROM posts
		ORDER BY published DESC, rowid DESC LIMIT ?`, max(0, min(limit, PostsMax)))
}

// Get returns the post with the id, or ledger.ErrNoPost.
func (p Posts) Get(ctx context.Context, id string) (ledger.Post, error) {
	found, err := p.query(ctx, `SELECT id, published, edited, removed, tags, category, hosts FROM posts WHERE id = ?`, id)
	if err == nil && len(found) == 0 {
		err = ledger.ErrNoPost
	}
	if err != nil {
		return ledger.Post{}, err
	}
	return found[0], nil
}

func (p Posts) query(ctx context.Context, query string, arg any) ([]ledger.Post, error) {
	rows, err := p.db.QueryContext(ctx, query, arg)
	if err != nil {
		return nil, fmt.Errorf("read posts: %w", err)
	}
	out, err := scanPosts(rows)
	if err != nil {
		return nil, fmt.Errorf("read posts: %w", err)
	}
	for i := range out {
		if !out[i].Removed.IsZero() {
			continue
		}
		if out[i].Texts, err = p.texts(ctx, out[i].ID); err != nil {
			return nil, fmt.Errorf("read posts: %w", err)
		}
	}
	return out, nil
}

// scanPosts reads the rows and closes them.
func scanPosts(rows *sql.Rows) (out []ledger.Post, err error) {
	defer rows.Close()
	for rows.Next() {
		var post ledger.Post
		var published, edited, removed int64
		var tags, hosts string
		if err := rows.Scan(&post.ID, &published, &edited, &removed, &tags, &post.Category, &hosts); err != nil {
			return nil, err
		}
		post.Published, post.Edited, post.Removed = wall(published), wall(edited), wall(removed)
		err := errors.Join(json.Unmarshal([]byte(tags), &post.Tags), json.Unmarshal([]byte(hosts), &post.Hosts))
		if err != nil {
			return nil, err
		}
		out = append(out, post)
	}
	return out, rows.Err()
}

// wall is a time of a row; 0 is the zero time.
func wall(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

// texts returns a post's texts, newest first.
func (p Posts) texts(ctx context.Context, id string) (out []ledger.PostText, err error) {
	rows, err := p.db.QueryContext(ctx,
		`SELECT at, shown, title, body FROM post_texts WHERE post = ? ORDER BY sequence DESC`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var title, body sql.NullString
		var t ledger.PostText
		if err := rows.Scan(&at, &t.Public, &title, &body); err != nil {
			return nil, err
		}
		t.At, t.Missing, t.Title, t.Body = wall(at), !title.Valid, title.String, body.String
		t.Public = t.Public || len(out) == 0 // the present text
		out = append(out, t)
	}
	return out, rows.Err()
}

// TruncateLog empties the write-ahead log, which still has the texts of posts that were removed since it was last
// emptied. A reader that does not end fails it.
func (p Posts) TruncateLog(ctx context.Context) error {
	var busy, pages, moved int
	err := p.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		err = errors.New("a reader holds it")
	}
	if err != nil {
		return fmt.Errorf("truncate the view's write-ahead log: %w", err)
	}
	return nil
}

// Removed returns the ids of all texts that people removed, of posts, incidents and maintenance: Texts must not have
// them any more.
func (p Posts) Removed(ctx context.Context) ([]string, error) {
	return p.ids(ctx, `SELECT t.id FROM post_texts t JOIN posts p ON p.id = t.post WHERE p.removed > 0
		UNION ALL SELECT id FROM erased_texts`)
}

// noteErased remembers that a text of an incident or a maintenance was removed.
func (f *fold) noteErased(ctx context.Context, id string) error {
	_, err := f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO erased_texts (id) VALUES (?)`, id)
	return err
}

// TextsOf returns the ids of a post's texts.
func (p Posts) TextsOf(ctx context.Context, id string) ([]string, error) {
	return p.ids(ctx, `SELECT id FROM post_texts WHERE post = ?`, id)
}

func (p Posts) ids(ctx context.Context, query string, args ...any) (out []string, err error) {
	rows, err := p.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read texts: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
