package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/archive"
)

// The marks of an excerpt's matches, which no text has: markdown.Summary removes control characters.
const (
	markBegin = "\x02"
	markEnd   = "\x03"
	// excerptTokens is how many words an excerpt has.
	excerptTokens = 32
)

// excerpt returns the words around the matches in the first of an entry's documents that has them: all terms, or else
// those that name no host. It is nil if there is none.
func (a Archive) excerpt(
	ctx context.Context, entry int64, terms []string, q archive.Query, r archive.Readers,
) ([]archive.Fragment, error) {
	for _, wanted := range [][]string{terms, unnamed(terms, q)} {
		if len(wanted) == 0 {
			continue
		}
		var c condition
		c.add(`texts MATCH ?`, match(wanted))
		c.add(`texts.rowid IN (SELECT row FROM documents WHERE entry = ?)`, entry)
		c.add(`d.row = texts.rowid`)
		c.visibleDocuments(r)
		var text string
		err := a.db.QueryRowContext(ctx, `SELECT snippet(texts, 1, ?, ?, '…', ?) FROM texts, documents d WHERE `+
			c.String()+` ORDER BY d.at LIMIT 1`,
			append([]any{markBegin, markEnd, excerptTokens}, c.args...)...).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read an excerpt: %w", err)
		}
		return fragments(text), nil
	}
	return nil, nil
}

// fragments splits an excerpt at its marks.
func fragments(text string) (out []archive.Fragment) {
	for i, part := range strings.Split(text, markBegin) {
		marked, after, ended := strings.Cut(part, markEnd)
		if i == 0 || !ended {
			after, marked = part, ""
		}
		if marked != "" {
			out = append(out, archive.Fragment{Text: marked, Marked: true})
		}
		if after != "" {
			out = append(out, archive.Fragment{Text: after})
		}
	}
	return out
}
