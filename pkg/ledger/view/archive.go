package view

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/markdown"
)

// entryKey names an entry of the archive.
type entryKey struct {
	kind archive.Kind
	id   string
}

// indexer brings the archive up to what the events of one transaction change.
type indexer struct {
	tx      *sql.Tx
	touched map[entryKey]bool
}

// touch remembers that an entry changed. It is indexed once, when all events are applied: an incident of many hosts
// changes with each of them.
func (x *indexer) touch(kind archive.Kind, id string) {
	if x.touched == nil {
		x.touched = map[entryKey]bool{}
	}
	x.touched[entryKey{kind, id}] = true
}

// write indexes what was touched.
func (x *indexer) write(ctx context.Context) error {
	for key := range x.touched {
		e, documents, err := x.entry(ctx, key)
		if err != nil {
			return err
		}
		if e == nil {
			err = x.unindex(ctx, key)
		} else {
			err = x.index(ctx, e, documents)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry makes the entry from the rows of its kind, and what the search finds of it; nil if readers have no such entry.
func (x *indexer) entry(ctx context.Context, key entryKey) (*archive.Entry, []archive.Document, error) {
	switch key.kind {
	case archive.Post:
		post, err := Posts{x.tx}.Get(ctx, key.id)
		if errors.Is(err, ledger.ErrNoPost) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		e, ok := post.Entry()
		if !ok {
			return nil, nil, nil
		}
		return &e, e.Documents(markdown.Summary), nil
	case archive.Incident:
		i, err := incidentByID(ctx, x.tx, key.id)
		if err != nil || i == nil || i.Merged != "" {
			return nil, nil, err
		}
		if err := fillTexts(ctx, x.tx, []*incident.Incident{i}); err != nil {
			return nil, nil, err
		}
		e := i.Entry()
		return &e, i.Documents(markdown.Summary), nil
	case archive.Maintenance:
		m, err := readMaintenance(x.tx.QueryRowContext(ctx, `SELECT data FROM maintenances WHERE id = ?`, key.id))
		if err != nil || m == nil {
			return nil, nil, err
		}
		e := m.Entry(m.Updated()) // what happens later by itself, readers add
		return &e, e.Documents(markdown.Summary), nil
	}
	return nil, nil, nil
}

// index stores an entry. Its row stays the same, so that positions of pages do.
func (x *indexer) index(ctx context.Context, e *archive.Entry, documents []archive.Document) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	month := archive.MonthOf(e.At)
	first := ""
	if len(e.Hosts) > 0 {
		first = e.Hosts[0]
	}
	shown := int64(0)
	if !e.Shown.IsZero() {
		shown = nanoseconds(e.Shown)
	}
	var row int64
	err = x.tx.QueryRowContext(ctx,
		`INSERT INTO entries (kind, id, at, month, category, hosts, host, shown, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind, id) DO UPDATE SET at = excluded.at, month = excluded.month,
			category = excluded.category, hosts = excluded.hosts, host = excluded.host,
			shown = excluded.shown, data = excluded.data
		RETURNING row`,
		e.Kind, e.ID, nanoseconds(e.At), month.Year*12+int(month.Month)-1, e.Category, len(e.Hosts), first, shown,
		data).Scan(&row)
	if err != nil {
		return err
	}
	if err := x.setLabels(ctx, "entry_hosts", "host", row, e.Hosts); err != nil {
		return err
	}
	if err := x.setLabels(ctx, "entry_tags", "tag", row, e.Tags); err != nil {
		return err
	}
	return x.setDocuments(ctx, row, documents)
}

func (x *indexer) setLabels(ctx context.Context, table, column string, row int64, labels []string) error {
	list, err := json.Marshal(append([]string{}, labels...))
	if err != nil {
		return err
	}
	if _, err := x.tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE entry = ?`, row); err != nil {
		return err
	}
	_, err = x.tx.ExecContext(ctx, `INSERT OR IGNORE INTO `+table+` (entry, `+column+`)
		SELECT ?, value FROM json_each(?)`, row, string(list))
	return err
}

// A document's row says of which entry it is, and whether only some readers of the entry find it: a search reads that
// of thousands of rows.
const (
	documentBits   = 20 // of the number within the entry
	restrictedBit  = 1
	entryOfRow     = "texts.rowid >> 21"
	isUnrestricted = "texts.rowid & 1 = 0"
)

func documentRow(entry, number int64, restricted bool) int64 {
	row := entry<<(documentBits+1) | number<<1
	if restricted {
		row |= restrictedBit
	}
	return row
}

// setDocuments writes the documents that are new and erases those that are gone. Most of an incident's stay when it
// goes on.
func (x *indexer) setDocuments(ctx context.Context, entry int64, documents []archive.Document) error {
	stored, err := x.documents(ctx, entry)
	if err != nil {
		return err
	}
	var next int64
	for _, row := range stored {
		next = max(next, row>>1&(1<<documentBits-1)+1)
	}
	for _, d := range documents {
		digest := digestOfDocument(d)
		if _, ok := stored[digest]; ok {
			delete(stored, digest)
			continue
		}
		if next == 1<<documentBits {
			return fmt.Errorf("entry %d has more than %d documents", entry, next)
		}
		row := documentRow(entry, next, d.Host != "")
		next++
		_, err := x.tx.ExecContext(ctx, `INSERT INTO documents (row, entry, host, at, digest) VALUES (?, ?, ?, ?, ?)`,
			row, entry, d.Host, nanoseconds(d.At), digest[:])
		if err != nil {
			return err
		}
		_, err = x.tx.ExecContext(ctx, `INSERT INTO texts (rowid, title, text) VALUES (?, ?, ?)`, row, d.Title, d.Text)
		if err != nil {
			return err
		}
	}
	for _, row := range stored {
		if err := x.eraseDocument(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func digestOfDocument(d archive.Document) (out [16]byte) {
	data, _ := json.Marshal(d) // strings and a time can always be encoded
	sum := sha256.Sum256(data)
	copy(out[:], sum[:])
	return out
}

// documents returns the rows of an entry's documents by their digests.
func (x *indexer) documents(ctx context.Context, entry int64) (map[[16]byte]int64, error) {
	rows, err := x.tx.QueryContext(ctx, `SELECT row, digest FROM documents WHERE entry = ?`, entry)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[[16]byte]int64{}
	for rows.Next() {
		var row int64
		var data []byte
		var digest [16]byte
		if err := rows.Scan(&row, &data); err != nil {
			return nil, err
		}
		copy(digest[:], data)
		out[digest] = row
	}
	return out, rows.Err()
}

// eraseDocument erases a text from the index. The index overwrites what it deletes: see archive.sql.
func (x *indexer) eraseDocument(ctx context.Context, row int64) error {
	_, err := x.tx.ExecContext(ctx, `DELETE FROM texts WHERE rowid = ?`, row)
	if err == nil {
		_, err = x.tx.ExecContext(ctx, `DELETE FROM documents WHERE row = ?`, row)
	}
	return err
}

// unindex erases an entry.
func (x *indexer) unindex(ctx context.Context, key entryKey) error {
	var row int64
	err := x.tx.QueryRowContext(ctx, `SELECT row FROM entries WHERE kind = ? AND id = ?`, key.kind, key.id).Scan(&row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := x.setDocuments(ctx, row, nil); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM entry_hosts WHERE entry = ?`, `DELETE FROM entry_tags WHERE entry = ?`,
		`DELETE FROM entries WHERE row = ?`,
	} {
		if _, err := x.tx.ExecContext(ctx, query, row); err != nil {
			return err
		}
	}
	return nil
}
