package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Archive answers queries on what people read about the past.
type Archive struct{ db querier }

// Archive returns the archive of the view.
func (d database) Archive() Archive { return Archive{d.db} }

const (
	// foundMax bounds the entries of one page.
	foundMax = 100
	// monthMax bounds the entries of one month.
	monthMax = 2000
)

// condition is a part of a WHERE clause with its arguments.
type condition struct {
	parts []string
	args  []any
}

func (c *condition) add(part string, args ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, args...)
}

// String writes the clause; it is never empty.
func (c *condition) String() string { return strings.Join(append([]string{"1"}, c.parts...), " AND ") }

// visible admits the entries e that the readers may see.
func (c *condition) visible(r archive.Readers) {
	if r.Everything {
		return
	}
	c.add(`e.shown <= ?`, nanoseconds(r.Now))
	c.add(`(e.hosts = 0 OR e.host IN (SELECT value FROM json_each(?)) OR e.hosts > 1 AND EXISTS (
		SELECT 1 FROM entry_hosts v WHERE v.entry = e.row AND v.host IN (SELECT value FROM json_each(?))))`,
		list(r.Hosts), list(r.Hosts))
}

// visibleDocuments admits the documents d that the readers may see, of entries that they may see.
func (c *condition) visibleDocuments(r archive.Readers) {
	if !r.Everything {
		c.add(`(d.host = '' OR d.host IN (SELECT value FROM json_each(?)))`, list(r.Hosts))
	}
}

// list is a JSON array for json_each.
func list(values []string) string {
	data, _ := json.Marshal(append([]string{}, values...)) // strings can always be encoded
	return string(data)
}

// filter admits the entries e that the query asks for, but for its text.
func (c *condition) filter(q archive.Query) {
	if q.Kind != "" {
		c.add(`e.kind = ?`, q.Kind)
	}
	if q.Category != "" {
		c.add(`e.category = ?`, q.Category)
	}
	if q.Host != "" {
		c.add(`EXISTS (SELECT 1 FROM entry_hosts h WHERE h.host = ? AND h.entry = e.row)`, q.Host)
	}
	if q.Tag != "" {
		c.add(`EXISTS (SELECT 1 FROM entry_tags t WHERE t.tag = ? AND t.entry = e.row)`, q.Tag)
	}
	if !q.From.IsZero() {
		c.add(`e.at >= ?`, nanoseconds(q.From))
	}
	if !q.To.IsZero() {
		c.add(`e.at < ?`, nanoseconds(q.To))
	}
	if q.After != (archive.Cursor{}) {
		c.add(`(e.at, e.row) < (?, ?)`, q.After.At, q.After.Row)
	}
}

// match writes terms in the query language of FTS5: all of them, each a string, in which no character means anything.
func match(terms []string) string {
	quoted := make([]string, len(terms))
	for i, t := range terms {
		quoted[i] = `"` + strings.ReplaceAll(t, `"`, `""`) + `"`
	}
	return strings.Join(quoted, " AND ")
}

// text admits the entries e with all terms in one of their documents; or that name hosts which some of the terms name,
// and have the other terms in one of their documents.
func (c *condition) text(q archive.Query, terms []string, r archive.Readers) {
	var named condition
	for _, t := range terms {
		if hosts := q.Named[t]; len(hosts) > 0 {
			named.add(`EXISTS (SELECT 1 FROM entry_hosts h WHERE h.entry = e.row AND
				h.host IN (SELECT value FROM json_each(?)))`, list(hosts))
		}
	}
	var all condition
	all.matches(terms, r)
	if len(named.parts) == 0 {
		c.add(all.String(), all.args...)
		return
	}
	if others := unnamed(terms, q); len(others) > 0 {
		named.matches(others, r)
	}
	c.add(`(`+all.String()+` OR `+named.String()+`)`, slices.Concat(all.args, named.args)...)
}

// matches admits the entries e with a document that has the terms and that the readers may see.
func (c *condition) matches(terms []string, r archive.Readers) {
	within := condition{}
	within.add(`texts MATCH ?`, match(terms))
	if !r.Everything {
		within.add(`(`+isUnrestricted+` OR (SELECT d.host FROM documents d WHERE d.row = texts.rowid) IN
			(SELECT value FROM json_each(?)))`, list(r.Hosts))
	}
	c.add(`+e.row IN (SELECT `+entryOfRow+` FROM texts WHERE `+within.String()+`)`, within.args...)
}

// unnamed returns the terms that name no host.
func unnamed(terms []string, q archive.Query) []string {
	return slices.DeleteFunc(slices.Clone(terms), func(t string) bool { return len(q.Named[t]) > 0 })
}

// Find returns a page of the entries that readers find, newest first.
func (a Archive) Find(ctx context.Context, q archive.Query, r archive.Readers) (archive.Page, error) {
	var c condition
	c.visible(r)
	c.filter(q)
	terms := archive.Terms(q.Text)
	if len(terms) > 0 {
		c.text(q, terms, r)
	}
	limit := max(1, min(q.Limit, foundMax))
	rows, err := a.db.QueryContext(ctx, `SELECT e.row, e.at, e.data FROM entries e WHERE `+c.String()+
		` ORDER BY e.at DESC, e.row DESC LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return archive.Page{}, fmt.Errorf("search the archive: %w", err)
	}
	found, cursors, err := scanEntries(rows)
	if err != nil {
		return archive.Page{}, fmt.Errorf("search the archive: %w", err)
	}
	var page archive.Page
	if len(found) > limit {
		found, page.Next = found[:limit], cursors[limit-1]
	}
	for i, e := range found {
		f := archive.Found{Entry: e}
		if len(terms) > 0 {
			if f.Excerpt, err = a.excerpt(ctx, cursors[i].Row, terms, q, r); err != nil {
				return archive.Page{}, err
			}
		}
		page.Found = append(page.Found, f)
	}
	return page, nil
}

// scanEntries reads the rows and closes them.
func scanEntries(rows *sql.Rows) (out []archive.Entry, cursors []archive.Cursor, err error) {
	defer rows.Close()
	for rows.Next() {
		var e archive.Entry
		var c archive.Cursor
		var data []byte
		if err := rows.Scan(&c.Row, &c.At, &data); err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, nil, err
		}
		out, cursors = append(out, e), append(cursors, c)
	}
	return out, cursors, rows.Err()
}

// Between lists the entries that were published or began in [from, to), newest first: at most some thousands, so that
// a month is one page.
func (a Archive) Between(ctx context.Context, from, to time.Time, r archive.Readers) ([]archive.Entry, error) {
	var c condition
	c.visible(r)
	c.filter(archive.Query{From: from, To: to})
	return a.entries(ctx, `SELECT e.row, e.at, e.data FROM entries e WHERE `+c.String()+
		` ORDER BY e.at DESC, e.row DESC LIMIT ?`, append(c.args, monthMax)...)
}

func (a Archive) entries(ctx context.Context, query string, args ...any) ([]archive.Entry, error) {
	rows, err := a.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	out, _, err := scanEntries(rows)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	return out, nil
}

// Latest lists the entries with the newest updates that the query's host, tag and category narrow, in no order: among
// their updates are the n newest ones.
func (a Archive) Latest(ctx context.Context, q archive.Query, r archive.Readers, n int) ([]archive.Entry, error) {
	var c condition
	c.visible(r)
	c.visibleDocuments(r)
	c.filter(archive.Query{Kind: q.Kind, Host: q.Host, Tag: q.Tag, Category: q.Category})
	n = max(0, min(n, foundMax))
	rows, err := a.db.QueryContext(ctx, `SELECT e.row FROM documents d CROSS JOIN entries e ON e.row = d.entry
		WHERE `+c.String()+` ORDER BY d.at DESC`, c.args...)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	newest, err := firstDistinct(rows, n)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	ids, _ := json.Marshal(newest) // numbers can always be encoded
	return a.entries(ctx, `SELECT row, at, data FROM entries WHERE row IN (SELECT value FROM json_each(?))`, string(ids))
}

// firstDistinct returns the first n different numbers of the rows, and closes them.
func firstDistinct(rows *sql.Rows, n int) ([]int64, error) {
	defer rows.Close()
	seen, out := map[int64]bool{}, []int64{}
	for len(out) < n && rows.Next() {
		var row int64
		if err := rows.Scan(&row); err != nil {
			return nil, err
		}
		if !seen[row] {
			seen[row], out = true, append(out, row)
		}
	}
	return out, rows.Err()
}

// Entry returns an entry; ok is false if readers see none.
func (a Archive) Entry(
	ctx context.Context, kind archive.Kind, id string, r archive.Readers,
) (e archive.Entry, ok bool, err error) {
	var c condition
	c.add(`e.kind = ? AND e.id = ?`, kind, id)
	c.visible(r)
	out, err := a.entries(ctx, `SELECT e.row, e.at, e.data FROM entries e WHERE `+c.String(), c.args...)
	if err != nil || len(out) == 0 {
		return archive.Entry{}, false, err
	}
	return out[0], true, nil
}

// Paths lists the addresses of the newest entries, at most limit.
func (a Archive) Paths(ctx context.Context, r archive.Readers, limit int) (out []string, err error) {
	var c condition
	c.visible(r)
	rows, err := a.db.QueryContext(ctx, `SELECT e.kind, e.id FROM entries e WHERE `+c.String()+
		` ORDER BY e.at DESC, e.row DESC LIMIT ?`, append(c.args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind archive.Kind
		var id string
		if err := rows.Scan(&kind, &id); err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		out = append(out, archive.Path(kind, id))
	}
	return out, rows.Err()
}

// Months counts the entries of each month that has some, newest first.
func (a Archive) Months(ctx context.Context, r archive.Readers) ([]archive.Count, error) {
	var c condition
	c.visible(r)
	// Entries of one host are counted before it is asked whether the readers may see the host.
	return a.counts(ctx, `SELECT e.month, '', sum(e.n) FROM (
			SELECT month, host, hosts, shown, 0 AS row, count(*) AS n FROM entries WHERE hosts < 2
				GROUP BY month, host, hosts, shown
			UNION ALL SELECT month, host, hosts, shown, row, 1 FROM entries WHERE hosts > 1
		) e WHERE `+c.String()+` GROUP BY e.month ORDER BY e.month DESC`, c.args)
}

// Tags counts the entries of each tag, by name.
func (a Archive) Tags(ctx context.Context, r archive.Readers) ([]archive.Count, error) {
	var c condition
	c.visible(r)
	return a.counts(ctx, `SELECT 0, t.tag, count(*) FROM entry_tags t JOIN entries e ON e.row = t.entry WHERE `+
		c.String()+` GROUP BY t.tag ORDER BY t.tag`, c.args)
}

// Categories counts the entries of each category, by name.
func (a Archive) Categories(ctx context.Context, r archive.Readers) ([]archive.Count, error) {
	var c condition
	c.visible(r)
	c.add(`e.category <> ''`)
	return a.counts(ctx, `SELECT 0, e.category, count(*) FROM entries e WHERE `+c.String()+
		` GROUP BY e.category ORDER BY e.category`, c.args)
}

func (a Archive) counts(ctx context.Context, query string, args []any) (out []archive.Count, err error) {
	rows, err := a.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("count the archive: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n archive.Count
		var month int
		if err := rows.Scan(&month, &n.Name, &n.Entries); err != nil {
			return nil, fmt.Errorf("count the archive: %w", err)
		}
		n.Month = archive.Month{Year: month / 12, Month: time.Month(month%12 + 1)}
		out = append(out, n)
	}
	return out, rows.Err()
}

// Gone reports whether there was a post with the id, whose text nobody can read any more.
func (a Archive) Gone(ctx context.Context, id string) (bool, error) {
	post, err := Posts(a).Get(ctx, id)
	if errors.Is(err, ledger.ErrNoPost) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, readable := post.Entry()
	return !readable, nil
}

// AtPermalink returns the id of the post that had an address, as archive.Permalink writes it; "" if none had.
func (a Archive) AtPermalink(ctx context.Context, address string) (id string, err error) {
	err = a.db.QueryRowContext(ctx, `SELECT post FROM permalinks WHERE address = ?`, address).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read a permalink: %w", err)
	}
	return id, nil
}
