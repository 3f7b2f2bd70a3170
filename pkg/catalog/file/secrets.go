package file

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// The keys that may hold secrets are url, body, body_match, body_json, banner, user, password, bearer and headers of
// checks. Their ${VAR} and file:PATH stay references in the catalog, which is stored for ever and sent to every agent;
// all other keys get the variable's value.

// secretReader parses the keys that may hold secrets, and collects the references of one check.
type secretReader struct {
	yaml  *reader
	check func(reference string) error // returns why a value cannot be read
	found []catalog.Reference
}

// text parses a key that may hold secrets, into text with references.
func (r *secretReader) text(m *mapping, key string, target *string) bool {
	return r.item(m, key, key, target)
}

// item is text for a key within the value of another; label is what references name it.
func (r *secretReader) item(m *mapping, key, label string, target *string) bool {
	n := m.get(key)
	if n == nil {
		return false
	}
	raw, ok := r.yaml.scalar(n, key)
	if !ok {
		return false
	}
	if file, isFile := secretFile(raw); isFile {
		*target = raw
		return r.path(n, label, file)
	}
	text, ok := r.references(n, label, raw)
	if ok {
		*target = text
	}
	return ok
}

// url is text for a URL. What precedes its path is an address, so variables there are replaced.
func (r *secretReader) url(m *mapping, key string, target *string) bool {
	n := m.get(key)
	if n == nil {
		return false
	}
	raw, ok := r.yaml.scalar(n, key)
	if !ok {
		return false
	}
	if _, isFile := secretFile(raw); isFile {
		r.yaml.mistake(n, "write the scheme and host here, and ${VAR} in the path or query",
			"a whole URL cannot be a secret: the catalog needs its host")
		return false
	}
	head, tail := splitURL(raw)
	head, ok = r.yaml.expand(n, key, head)
	if !ok {
		return false
	}
	if _, rest := splitURL(head); strings.Trim(rest, "/") != "" {
		// The value is not repeated: it may be the secret.
		r.yaml.mistake(n, "write the path and query here, with ${VAR} for their secret parts",
			"a variable in front of the URL's path holds a path or query too")
		return false
	}
	tail, ok = r.references(n, key, tail)
	if ok {
		*target = head + tail
	}
	return ok
}

// splitURL splits a URL in front of its path, query or fragment.
func splitURL(text string) (server, rest string) {
	begin := 0
	if i := strings.Index(text, "://"); i >= 0 {
		begin = i + len("://")
	}
	// A variable's name has none of these characters.
	if i := strings.IndexAny(text[begin:], "/?#"); i >= 0 {
		return text[:begin+i], text[begin+i:]
	}
	return text, ""
}

// references records the references of a text. Without any, the text is literal and its $$ are replaced.
func (r *secretReader) references(n ast.Node, key, raw string) (text string, ok bool) {
	var names []string
	for _, m := range variable.FindAllString(raw, -1) {
		if m == "$" || m == "$$" {
			continue
		}
		if _, valid := r.yaml.variableName(n, m); !valid {
			return "", false
		}
		if !catalog.ValidReference(m) {
			r.yaml.mistake(n, "give it a shorter name", "the variable %.40q… has a name of more than 128 characters", m)
			return "", false
		}
		if !slices.Contains(names, m) {
			names = append(names, m)
		}
	}
	if len(names) == 0 {
		return r.yaml.expand(n, key, raw)
	}
	if len(raw) > textMax {
		r.yaml.mistake(n, fmt.Sprintf("write at most %d bytes", textMax), "%s is too long", key)
		return "", false
	}
	for _, name := range names {
		r.reference(n, key, name)
	}
	return raw, true
}

// secretFile returns the path of a value that is file:PATH. Text such as "file: not found" is literal.
func secretFile(raw string) (path string, ok bool) {
	path, ok = strings.CutPrefix(raw, "file:")
	return path, ok && path != "" && !strings.ContainsAny(path[:1], " \t\r\n")
}

func (r *secretReader) path(n ast.Node, key, file string) bool {
	const mend = "write an absolute path, as in file:/etc/probemesh/token"
	if !path.IsAbs(file) || len(file) < 2 || strings.ContainsFunc(file, func(r rune) bool { return r < ' ' }) {
		r.yaml.mistake(n, mend, "%q is not the absolute path of a secret's file", file)
		return false
	}
	if !catalog.ValidReference("file:" + file) {
		r.yaml.mistake(n, "use a shorter path", "the path of a secret's file is longer than 1000 characters")
		return false
	}
	r.reference(n, key, "file:"+file)
	return true
}

func (r *secretReader) reference(n ast.Node, key, name string) {
	if err := r.check(name); err != nil {
		mend := "set it where the coordinator runs, or write the value here if it is no secret"
		if strings.HasPrefix(name, "file:") {
			mend = "write the value into the file, readable by the coordinator"
		}
		r.yaml.mistake(n, mend, "%s", err)
	}
	if len(r.found) == catalog.SecretsMax {
		r.yaml.mistake(n, "combine some of them into one", "the check has more than %d secrets", catalog.SecretsMax)
	}
	r.found = append(r.found, catalog.Reference{Key: key, Name: name})
}
