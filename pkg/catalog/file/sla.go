package file

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/sla"
)

// sla parses the terms of the service level agreement; nil if there are none. A key that is missing has its default.
func (r *reader) sla(n ast.Node) *sla.Method {
	if n == nil {
		return nil
	}
	m := r.mapping(n, "sla")
	if m == nil {
		return nil
	}
	method := sla.DefaultMethod()
	m.number("target", &method.Target, 0, 100)
	m.count("maintenance", &method.Maintenance, sla.CountsExcluded, sla.CountsUp, sla.CountsDown)
	m.count("partial", &method.Partial, sla.CountsDown, sla.CountsUp)
	if credits := m.get("credits"); credits != nil {
		r.credits(credits, &method)
	}
	m.end()
	return &method
}

func (r *reader) credits(n ast.Node, method *sla.Method) {
	items := r.sequence(n, "credits")
	if len(items) > sla.CreditsMax {
		r.mistake(n, "keep the steps that differ most", "more than %d credits", sla.CreditsMax)
		return
	}
	for _, item := range items {
		m := r.mapping(item, "a credit")
		if m == nil {
			continue
		}
		var c sla.Credit
		m.number("below", &c.Below, 0, 100)
		m.number("percent", &c.Percent, 0, 100)
		m.required("below", "a credit")
		m.required("percent", "a credit")
		m.end()
		method.Credits = append(method.Credits, c)
	}
}

// count parses a key that is one of the words.
func (m *mapping) count(key string, target *sla.Count, words ...sla.Count) {
	var s string
	if !m.text(key, &s) {
		return
	}
	mend := "write "
	for i, word := range words {
		if s == string(word) {
			*target = word
			return
		}
		if i > 0 {
			mend += " or "
		}
		mend += string(word)
	}
	m.reader.mistake(m.values[key], mend, "%s is %q", key, s)
}
