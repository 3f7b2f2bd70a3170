package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader walks the YAML tree and collects every mistake instead of stopping at the first.
type reader struct {
	file     string
	getenv   func(string) (string, bool)
	mistakes Mistakes
}

const mistakesMax = 100 // more tell nobody more

func (r *reader) wrong(at ast.Node, mend, what string, args ...any) {
	line, column := 1, 1
	if tk := firstToken(at); tk != nil && tk.Position != nil {
		line, column = tk.Position.Line, tk.Position.Column
	}
	r.wrongAt(line, column, mend, fmt.Sprintf(what, args...))
}

func (r *reader) wrongAt(line, column int, mend, what string) {
	if len(r.mistakes) < mistakesMax {
		r.mistakes = append(r.mistakes, Mistake{r.file, max(line, 1), max(column, 1), what, mend})
	}
}

// firstToken is where a node begins: a mapping's own token is its first colon, so its first key is taken.
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
	file, err := parser.ParseBytes(source, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
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
		r.wrongAt(1, 1, "write at least regions and hosts, as in the example in the README", "the catalog is empty")
		return nil
	case 1:
		return r.mapping(bodies[0], "the catalog")
	}
	r.wrong(bodies[1], "keep one document and take the '---' out", "a second document in one file")
	return nil
}

// syntax tells a YAML error with its place, which the library gives at the head of its message as [line:column].
func (r *reader) syntax(err error) {
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
	what, _, _ = strings.Cut(what, "\n")
	r.wrongAt(line, column, "mend the YAML at this place; indentation is by spaces", "not YAML: "+what)
}

// mapping is a YAML mapping being read: keys that nobody asked for are mistakes.
type mapping struct {
	*reader
	node   ast.Node
	what   string
	keys   []string // in the order written
	values map[string]ast.Node
	at     map[string]ast.Node // the key's own node
	known  []string
}

// mapping reads a node as a mapping, or tells that it is none and returns nil.
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
		r.wrong(n, "write it as 'key: value' lines or as {key: value}", "%s is not a mapping", what)
		return nil
	}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		if _, twice := m.values[key]; twice {
			r.wrong(p, "keep one of the two", "%q is said twice in %s", key, what)
			continue
		}
		m.keys = append(m.keys, key)
		m.values[key], m.at[key] = p.Value, p.Key
	}
	return m
}

// get returns the value of a key, or nil where it is missing or null.
func (m *mapping) get(key string) ast.Node {
	m.known = append(m.known, key)
	if _, null := m.values[key].(*ast.NullNode); null {
		return nil
	}
	return m.values[key]
}

// end tells every key that was never asked for.
func (m *mapping) end() {
	for _, key := range m.keys {
		if slices.Contains(m.known, key) {
			continue
		}
		mend := "the keys here are " + strings.Join(m.known, ", ")
		if like := nearest(key, m.known); like != "" {
			mend = fmt.Sprintf("did you mean %q?", like)
		}
		m.wrong(m.at[key], mend, "%s has no key %q", m.what, key)
	}
}

// plain refuses what this file format does without: anchors, aliases and tags.
func (r *reader) plain(n ast.Node) ast.Node {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.wrong(n, "write the value out", "anchors, aliases and tags are not read here")
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
		r.wrong(n, "write it as '- item' lines or as [item, item]", "%s is not a list", what)
		return nil
	}
}

var variable = regexp.MustCompile(`\$\$|\$\{[^}]*\}?|\$`)
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// text reads a scalar as text, with ${VAR} from the environment and $$ for a dollar sign. A dollar sign before anything else
// stands for itself, so that patterns read as usual.
func (r *reader) text(n ast.Node, what string) (string, bool) {
	raw, ok := r.scalar(n, what)
	if !ok {
		return "", false
	}
	const longest = 4096
	out := variable.ReplaceAllStringFunc(raw, func(m string) string {
		switch {
		case m == "$$":
			return "$"
		case m == "$":
			return m
		}
		name := strings.TrimSuffix(strings.TrimPrefix(m, "${"), "}")
		if !strings.HasSuffix(m, "}") || !variableName.MatchString(name) {
			r.wrong(n, "write ${NAME}, or $$ for a dollar sign", "%q is not a variable", m)
			ok = false
			return ""
		}
		value, set := r.getenv(name)
		if !set {
			r.wrong(n, "set it, or write the value here", "the environment has no variable %s", name)
			ok = false
		}
		return value
	})
	if len(out) > longest {
		r.wrong(n, fmt.Sprintf("keep it under %d bytes", longest), "%s is too long", what)
		return "", false
	}
	return out, ok
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
	default:
		r.wrong(n, "write a plain value", "%s is not text", what)
		return "", false
	}
}

// The readers of one key. Each leaves the target as it is where the key is missing.

func (m *mapping) text(key string, target *string) bool {
	n := m.get(key)
	if n == nil {
		return false
	}
	s, ok := m.reader.text(n, key)
	if ok {
		*target = s
	}
	return ok
}

func (m *mapping) boolean(key string, target *bool) {
	var s string
	if !m.text(key, &s) {
		return
	}
	switch s {
	case "true", "false":
		*target = s == "true"
	default:
		m.wrong(m.values[key], "write true or false", "%s is %q", key, s)
	}
}

func (m *mapping) integer(key string, target *int, least, most int) {
	var s string
	if !m.text(key, &s) {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		m.wrong(m.values[key], fmt.Sprintf("write a whole number from %d to %d", least, most), "%s is %q", key, s)
		return
	}
	*target = n
}

func (m *mapping) number(key string, target *float64, least, most float64) {
	var s string
	if !m.text(key, &s) {
		return
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= least && n <= most) {
		m.wrong(m.values[key], fmt.Sprintf("write a number from %v to %v", least, most), "%s is %q", key, s)
		return
	}
	*target = n
}

func (m *mapping) duration(key string, target *time.Duration, least, most time.Duration) {
	var s string
	if !m.text(key, &s) {
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		m.wrong(m.values[key], "write a number and a unit, as in 10s or 500ms", "%s is %q, which is no duration", key, s)
	case d < least || d > most:
		m.wrong(m.values[key], fmt.Sprintf("write from %v to %v", least, most), "%s of %v is impossible", key, d)
	default:
		*target = d
	}
}
