package archive

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode"
)

// Query selects entries, newest first. Its fields narrow each other; zero fields narrow nothing.
type Query struct {
	Text string // words and "phrases": all of them must be in one update or the title. See Terms
	// Named has terms of the text that name hosts, with the internal ids of those: such a term also selects the entries
	// that name one of the hosts, whatever their text calls it.
	Named    map[string][]string
	Kind     Kind
	Host     string // internal id
	Tag      string
	Category string
	From, To time.Time // entries that were published or began in [From, To)
	After    Cursor    // the page after this position; the zero Cursor is the first page
	Limit    int
}

// Narrows reports whether the query selects less than everything.
func (q Query) Narrows() bool {
	return q.Text != "" || q.Kind != "" || q.Host != "" || q.Tag != "" || q.Category != "" || !q.From.IsZero() ||
		!q.To.IsZero()
}

// Readers are those for whom an answer is. An entry that names hosts is for readers of at least one of them. The zero
// value reads only what names no host.
type Readers struct {
	Everything bool      // operators
	Hosts      []string  // internal ids of the hosts that they may see
	Now        time.Time // what is shown from later on, they do not see
}

// Found is an entry that a query selected.
type Found struct {
	Entry   Entry
	Excerpt []Fragment // around the words that were asked for; nil if the query has no text
}

// Fragment is a piece of an excerpt. Marked pieces are what was asked for.
type Fragment struct {
	Text   string
	Marked bool
}

// Page is one page of a query's entries.
type Page struct {
	Found []Found
	Next  Cursor // of the next page; zero if this is the last one
}

// Cursor is a position in the order of entries, which later entries do not move.
type Cursor struct {
	At  int64 // nanoseconds since 1970
	Row int64 // in the index
}

// String writes the cursor for an address; "" if it is zero.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	data := binary.BigEndian.AppendUint64(nil, uint64(c.At))
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(data, uint64(c.Row)))
}

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(data) < 9 {
		return Cursor{}, errCursor
	}
	row, n := binary.Uvarint(data[8:])
	if n <= 0 || 8+n != len(data) || row > 1<<62 {
		return Cursor{}, errCursor
	}
	return Cursor{int64(binary.BigEndian.Uint64(data)), int64(row)}, nil
}

var errCursor = errors.New("no position of the archive")

const (
	// termsMax and termMax bound what one search may ask for.
	termsMax = 12
	termMax  = 100 // characters
)

// Terms splits what a person typed into words and phrases. A phrase stands in quotation marks, of any kind. Signs
// without a letter or digit mean nothing, and an open quotation mark ends with the text, so that everything that can be
// typed is a query.
func Terms(text string) (terms []string) {
	var current strings.Builder
	quoted := false
	end := func() {
		if term := term(current.String()); term != "" && len(terms) < termsMax {
			terms = append(terms, term)
		}
		current.Reset()
	}
	for _, r := range text {
		switch {
		case isQuote(r):
			end()
			quoted = !quoted
		case unicode.IsSpace(r) && !quoted:
			end()
		default:
			current.WriteRune(r)
		}
	}
	end()
	return terms
}

// term returns the words of a term, which the index finds where they follow each other.
func term(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	out := []rune(strings.Join(words, " "))
	return strings.TrimSpace(string(out[:min(len(out), termMax)]))
}

// HasTerm reports whether a name contains a term of Terms, as whole words in any case.
func HasTerm(name, one string) bool {
	within := strings.ToLower(" " + term(name) + " ")
	return one != "" && strings.Contains(within, strings.ToLower(" "+one+" "))
}

func isQuote(r rune) bool {
	return r == '"' || unicode.In(r, unicode.Pi, unicode.Pf) && r != '\u2019' || r == '„'
}
