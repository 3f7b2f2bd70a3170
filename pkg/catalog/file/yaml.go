package file

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader walks the YAML tree and collects every mistake instead of stopping at the first.
type reader struct {
	file     string // its name, for messages
	getenv   func(string) (string, bool)
	mistakes Mistakes
}

const (
	// mistakesMax bounds the list of mistakes: the configuration file of another program would have thousands.
	mistakesMax = 100
	// depthMax bounds how deep lists and mappings nest. A catalog needs seven levels, and the YAML parser's memory
	// grows with the square of the depth.
	depthMax = 64
	// textMax bounds a value in bytes, after its variables are replaced.
	textMax = 4096
)

func (r *reader) mistake(at ast.Node, mend, what string, args ...any) {
	line, column := 1, 1
	if tk := firstToken(at); tk != nil && tk.Position != nil {
		line, column = tk.Position.Line, tk.Position.Column
	}
	r.mistakeAt(line, column, mend, fmt.Sprintf(what, args...))
}

func (r *reader) mistakeAt(line, column int, mend, what string) {
	if len(r.mistakes) < mistakesMax {
		r.mistakes = append(r.mistakes, Mistake{r.file, max(line, 1), max(column, 1), what, mend})
	}
}

// firstToken returns the token with which a node begins. A mapping's own token is its first colon: use its first key.
func firstToken(n ast.Node) *token.Token {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// document parses the YAML and returns its one mapping, or nil.
func (r *reader) document(source []byte) *mapping {
	text, ok := r.decode(source)
	if !ok || !r.shallow(text) {
		return nil
	}
	file, err := yamlparser.ParseBytes(text, 0, yamlparser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err, text)
		return nil
	}
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		r.mistakeAt(1, 1, "write at least regions and hosts, as in the README's example", "the catalog is empty")
		return nil
	case 1:
		return r.mapping(bodies[0], "the catalog")
	}
	r.mistake(bodies[1], "keep one document and take the '---' out", "a second document in one file")
	return nil
}

// decode returns the file's text without a byte order mark. Other encodings than UTF-8 are a mistake.
func (r *reader) decode(source []byte) ([]byte, bool) {
	const mend = "save the file as UTF-8"
	text := bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")),
		len(text) > 1 && (text[0] == 0 || text[1] == 0):
		r.mistakeAt(1, 1, mend, "the file is UTF-16 or UTF-32")
		return nil, false
	case !utf8.Valid(text):
		line, column := 1, 1
		for rest := text; len(rest) > 0; {
			letter, size := utf8.DecodeRune(rest)
			if letter == utf8.RuneError && size == 1 {
				break
			}
			if column++; letter == '\n' {
				line, column = line+1, 1
			}
			rest = rest[size:]
		}
		r.mistakeAt(line, column, mend, "the file is not UTF-8, from this letter on")
		return nil, false
	}
	return text, true
}

// shallow reports a mistake if lists and mappings nest deeper than a catalog needs. It is checked before the file is
// parsed. Only files in which the brackets alone could nest so deep are split into tokens for it.
func (r *reader) shallow(text []byte) bool {
	if bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) <= depthMax {
		return true
	}
	depth := 0
	for _, tk := range lexer.Tokenize(string(text)) {
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > depthMax {
			r.mistakeAt(tk.Position.Line, tk.Position.Column, "close the brackets that are open",
				fmt.Sprintf("lists and mappings nest deeper than %d", depthMax))
			return false
		}
	}
	return true
}

// ipv6 is what looks like an IPv6 address with a double colon, which YAML may read as a key.
var ipv6 = regexp.MustCompile(`(?:^|[\s,\[{])[0-9A-Fa-f:]*::[0-9A-Fa-f:]*(?:[\s,\]}]|$)`)

// syntax reports a YAML error at its place.
func (r *reader) syntax(err error, text []byte) {
	line, column, what := 1, 1, err.Error()
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &placed) {
		what = placed.GetMessage()
		if tk := placed.GetToken(); tk != nil && tk.Position != nil {
			line, column = tk.Position.Line, tk.Position.Column
		}
	}
	mend := "correct the YAML at this place; indentation is by spaces"
	if lines := bytes.Split(text, []byte{'\n'}); line <= len(lines) && ipv6.Match(lines[line-1]) {
		mend = `put the IPv6 address in quotes, as in "2001:db8::36"`
	}
	what, _, _ = strings.Cut(what, "\n")
	r.mistakeAt(line, column, mend, "not YAML: "+what)
}

// mapping is a YAML mapping that is being parsed. It records which keys the parser uses, so that end can report the
// others: a misspelled key must not be ignored.
type mapping struct {
	reader *reader
	node   ast.Node
	what   string   // in words, for messages
	keys   []string // in the order of the file
	values map[string]ast.Node
	at     map[string]ast.Node // the key's own node
	known  []string            // the keys that get was called with
}

// mapping returns a node as a mapping. If the node is none it reports the mistake and returns nil.
func (r *reader) mapping(n ast.Node, what string) *mapping {
	m := &mapping{reader: r, node: n, what: what, values: map[string]ast.Node{}, at: map[string]ast.Node{}}
	var pairs []*ast.MappingValueNode
	switch n := r.plain(n).(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.mistake(n, "write it as 'key: value' lines or as {key: value}", "%s is not a mapping", what)
		return nil
	}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		if _, twice := m.values[key]; twice {
			r.mistake(p, "keep one of the two", "%q is given twice in %s", key, what)
			continue
		}
		m.keys = append(m.keys, key)
		m.values[key], m.at[key] = p.Value, p.Key
		if isNull(p.Value) {
			r.mistake(p.Key, "write a value after the colon, or take the key out", "%q has no value in %s", key, what)
		}
	}
	return m
}

func isNull(n ast.Node) bool {
	_, null := n.(*ast.NullNode)
	return n == nil || null
}

// get returns the value of a key, or nil if the key is missing. A key without a value was reported as a mistake.
func (m *mapping) get(key string) ast.Node {
	m.known = append(m.known, key)
	if isNull(m.values[key]) {
		return nil
	}
	return m.values[key]
}

// end reports every key that get was never called with. The caller has used all valid keys by then.
func (m *mapping) end() {
	for _, key := range m.keys {
		if slices.Contains(m.known, key) {
			continue
		}
		mend := "the keys here are " + strings.Join(m.known, ", ")
		if like := nearest(key, m.known); like != "" {
			mend = fmt.Sprintf("did you mean %q?", like)
		}
		m.reader.mistake(m.at[key], mend, "%s has no key %q", m.what, key)
	}
}

// missing reports that a key is missing, unless it is there without a value: that was reported already.
func (m *mapping) missing(key, mend, what string, args ...any) {
	if _, there := m.values[key]; !there {
		m.reader.mistake(m.node, mend, what, args...)
	}
}

// required reports that a key without a default is missing.
func (m *mapping) required(key, what string) {
	m.missing(key, fmt.Sprintf("add '%s: ...'", key), "%s has no %s", what, key)
}

// plain reports YAML anchors, aliases and tags as mistakes: a few nested aliases can expand to gigabytes.
func (r *reader) plain(n ast.Node) ast.Node {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.mistake(n, "write the value out", "anchors, aliases and tags are not read here")
		return nil
	}
	return n
}

func (r *reader) sequence(n ast.Node, what string) []ast.Node {
	switch n := r.plain(n).(type) {
	case nil:
		return nil
	case *ast.SequenceNode:
		return n.Values
	default:
		r.mistake(n, "write it as '- item' lines or as [item, item]", "%s is not a list", what)
		return nil
	}
}

var variable = regexp.MustCompile(`\$\$|\$\{[^}]*\}?|\$`)
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// text returns a scalar as text. It replaces ${VAR} by the value from the environment, and $$ by a dollar sign. A
// dollar sign before anything else is unchanged, so that regular expressions need no escapes.
func (r *reader) text(n ast.Node, what string) (string, bool) {
	raw, ok := r.scalar(n, what)
	if !ok {
		return "", false
	}
	return r.expand(n, what, raw)
}

func (r *reader) expand(n ast.Node, what, raw string) (string, bool) {
	ok := true
	out := variable.ReplaceAllStringFunc(raw, func(m string) string {
		switch {
		case m == "$$":
			return "$"
		case m == "$":
			return m
		}
		name, valid := r.variableName(n, m)
		if !valid {
			ok = false
			return ""
		}
		value, set := r.getenv(name)
		if !set {
			r.mistake(n, "set it, or write the value here", "the environment has no variable %s", name)
			ok = false
		}
		return value
	})
	if len(out) > textMax {
		r.mistake(n, fmt.Sprintf("write at most %d bytes", textMax), "%s is too long", what)
		return "", false
	}
	return out, ok
}

// variableName returns NAME of ${NAME}, or reports a mistake.
func (r *reader) variableName(n ast.Node, text string) (string, bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(text, "${"), "}")
	if !strings.HasSuffix(text, "}") || !variableName.MatchString(name) {
		r.mistake(n, "write ${NAME}, or $$ for a dollar sign", "%q is not a variable", text)
		return "", false
	}
	return name, true
}

func (r *reader) scalar(n ast.Node, what string) (string, bool) {
	switch n := r.plain(n).(type) {
	case nil:
		return "", false
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		r.mistake(n, "write a value, or take the item out", "%s has no value", what)
		return "", false
	case *ast.MappingNode, *ast.MappingValueNode:
		mend := "write a plain value"
		if ipv6.MatchString(n.String()) {
			mend = `put the IPv6 address in quotes, as in "2001:db8::36"`
		}
		r.mistake(n, mend, "%s is not text", what)
		return "", false
	default:
		r.mistake(n, "write a plain value", "%s is not text", what)
		return "", false
	}
}
