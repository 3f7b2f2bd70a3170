package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// named is a host or check, as far as its identity depends on it.
type named struct{ name, was string }

// matcher finds out which of the new hosts, or checks of a host, is which of the old ones.
type matcher struct {
	what     string // "host" or "check"
	host, of string // the host's name, and that and a space, for checks
	old, new []named
	same     func(old, new int) bool  // whether both ask the same at the same address
	former   func(name string) string // the present name of what had the name before, among the old ones; or empty

	mistakes []error
	notes    []Note
}

// note adds a note about one of the new ones.
func (m *matcher) note(n int, format string, args ...any) {
	note := Note{Host: m.new[n].name, Text: m.of + m.new[n].name + fmt.Sprintf(format, args...)}
	if m.host != "" {
		note.Host, note.Check = m.host, m.new[n].name
	}
	m.notes = append(m.notes, note)
}

// matches says, for each of the new ones, which of the old ones it was.
type matches struct {
	before []int  // -1: none
	stated []bool // `was:` says so
}

// match applies `was:` first, then equal names, then what alone left and alone came.
func (m *matcher) match() matches {
	claims := m.claims()
	out := matches{before: slices.Clone(claims), stated: make([]bool, len(m.new))}
	for n, p := range claims {
		out.stated[n] = p >= 0
	}
	for n, next := range m.new {
		if p := find(m.old, next.name); out.before[n] < 0 && p >= 0 && !slices.Contains(out.before, p) {
			out.before[n] = p
		}
	}
	m.recognize(out.before)
	return out
}

// find returns the one of this name: as spelled, or else by its key. Early versions permitted checks that differ in
// case alone.
func find(all []named, name string) int {
	if i := slices.IndexFunc(all, func(o named) bool { return o.name == name }); i >= 0 {
		return i
	}
	return slices.IndexFunc(all, func(o named) bool { return mesh.Key(o.name) == mesh.Key(name) })
}

// claims returns which of the old ones each new one claims to be by `was:`, -1 where it claims nothing, and refuses
// claims that would join two histories or divide one.
func (m *matcher) claims() []int {
	claims := make([]int, len(m.new))
	for n := range m.new {
		claims[n] = m.claim(n)
	}
	for n, p := range claims {
		if p < 0 {
			continue
		}
		next, old := m.new[n], m.old[p]
		if slices.Index(claims, p) != n {
			m.refuse(next, "another one was %s, too, and a history cannot be divided", old.name)
		}
		if own := find(m.old, next.name); own >= 0 && own != p && !slices.Contains(claims, own) {
			m.refuse(next, "%s is there already, with a history of its own, and two cannot become one; "+
				"take was out, or give %s another name first", next.name, next.name)
		}
		if stays := find(m.new, old.name); stays >= 0 && stays != n && claims[stays] < 0 {
			m.refuse(next, "%s is still in the catalog; take it out, or give it a was of its own, "+
				"and add another of that name later", old.name)
		}
	}
	return claims
}

func (m *matcher) refuse(next named, format string, args ...any) {
	m.mistakes = append(m.mistakes, fmt.Errorf("the %s %s%s was %s: %s", m.what, m.of, next.name, next.was,
		fmt.Sprintf(format, args...)))
}

// claim returns the old one that the new one was, by its `was:`; -1 if it has none, or one that was applied before.
func (m *matcher) claim(n int) int {
	next := m.new[n]
	own := find(m.old, next.name)
	switch {
	case next.was == "" || mesh.Key(next.was) == mesh.Key(next.name):
		return -1
	case own >= 0 && mesh.Key(m.old[own].was) == mesh.Key(next.was):
		return -1 // it applies once, however long it stays in the file
	}
	p := find(m.old, next.was)
	if p < 0 && own < 0 {
		if name := m.former(next.was); name != "" {
			p = find(m.old, name)
		}
	}
	if p < 0 && len(m.old) > 0 {
		m.note(n, ": was %s has no effect, since there was no such %s", next.was, m.what)
	}
	return p
}

// recognize matches what left and what came without `was:`, where exactly one of each asks the same at the same
// address.
func (m *matcher) recognize(before []int) {
	var left, came []int
	for p := range m.old {
		if !slices.Contains(before, p) {
			left = append(left, p)
		}
	}
	for n := range m.new {
		if before[n] < 0 {
			came = append(came, n)
		}
	}
	if len(left) == 0 || len(came) == 0 {
		return
	}
	found := map[int]int{}
	for _, n := range came {
		olds := slices.DeleteFunc(slices.Clone(left), func(p int) bool { return !m.same(p, n) })
		if len(olds) == 1 {
			rivals := slices.DeleteFunc(slices.Clone(came), func(o int) bool { return !m.same(olds[0], o) })
			if len(rivals) == 1 {
				found[n] = olds[0]
				continue
			}
		}
		if len(olds) == 0 && len(left) == 1 && len(came) == 1 {
			olds = left
		}
		m.suggest(n, olds)
	}
	for n, p := range found {
		before[n] = p
	}
}

// suggest notes which of the old ones the new one may have been.
func (m *matcher) suggest(n int, olds []int) {
	if len(olds) == 0 {
		return
	}
	const most = 3
	var names []string
	for _, p := range olds[:min(len(olds), most)] {
		names = append(names, m.old[p].name)
	}
	m.note(n, " is new; if it was %s before, write was: %s, and it keeps that %s's history",
		strings.Join(names, " or "), names[0], m.what)
}
