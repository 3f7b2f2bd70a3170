package file

import (
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// match parses what a route matches. A name that the catalog does not have is a mistake: nobody would ever be
// notified.
func (p notifyParser) match(n ast.Node) (out catalog.Match) {
	m := p.yaml.mapping(n, "match")
	if m == nil {
		return out
	}
	var hosts, groups, regions []string
	for _, h := range p.out.Hosts {
		hosts = append(hosts, h.Name)
		if h.Group != "" && !slices.Contains(groups, h.Group) {
			groups = append(groups, h.Group)
		}
	}
	for _, r := range p.out.Regions {
		regions = append(regions, r.Name)
	}
	out.Hosts = p.known(m, "host", hosts)
	out.Groups = p.known(m, "group", groups)
	out.Regions = p.known(m, "region", regions)
	out.Kinds = p.known(m, "kind", catalog.Kinds())
	out.Advisories = p.known(m, "advisory", catalog.Advisories())
	out.Severity = p.severity(m, "severity")
	if labels := m.get("label"); labels != nil {
		out.Labels = map[string]string{}
		if l := p.yaml.mapping(labels, "label"); l != nil {
			for _, key := range l.keys {
				var value string
				l.text(key, &value)
				out.Labels[key] = value
			}
		}
	}
	m.end()
	return out
}

// known parses words each of which is one of a list, as the list spells it.
func (p notifyParser) known(m *mapping, key string, all []string) (out []string) {
	for _, w := range m.words(key) {
		i := slices.IndexFunc(all, func(name string) bool { return mesh.Key(name) == mesh.Key(w.text) })
		if i < 0 {
			p.yaml.mistake(w.node, oneOf(w.text, all), "there is no %s %q", key, w.text)
			continue
		}
		out = append(out, all[i])
	}
	return out
}

func (p notifyParser) severity(m *mapping, key string) catalog.Severity {
	var text string
	if !m.text(key, &text) {
		return ""
	}
	if !slices.Contains(catalog.Severities(), catalog.Severity(text)) {
		p.yaml.mistake(m.values[key], "write minor, major or critical", "%s is %q", key, text)
		return ""
	}
	return catalog.Severity(text)
}

func (p notifyParser) quiet(n ast.Node) *catalog.Quiet {
	m := p.yaml.mapping(n, "quiet")
	if m == nil {
		return nil
	}
	out := &catalog.Quiet{}
	for _, end := range []struct {
		key    string
		target *string
	}{{"from", &out.From}, {"to", &out.To}} {
		if !m.text(end.key, end.target) {
			m.required(end.key, "quiet")
		} else if _, err := time.Parse(catalog.QuietLayout, *end.target); err != nil {
			p.yaml.mistake(m.values[end.key], `write hours and minutes in quotes, as in "22:00"`, "%s is %q", end.key,
				*end.target)
		}
	}
	if m.text("zone", &out.Zone) {
		if _, err := time.LoadLocation(out.Zone); err != nil || strings.EqualFold(out.Zone, "local") {
			p.yaml.mistake(m.values["zone"], "write a name as in Africa/Lusaka", "there is no time zone %q", out.Zone)
		}
	}
	out.Unless = p.severity(m, "unless")
	m.end()
	return out
}

// announce parses where the public part is published.
func (p notifyParser) announce(n ast.Node) {
	for _, item := range p.yaml.bounded(n, "announce", catalog.AnnouncesMax) {
		m := p.yaml.mapping(item, "an account of announce")
		if m == nil {
			continue
		}
		a := catalog.Announce{URL: p.secretText(m, "url"), What: p.known(m, "what", catalog.AnnounceKinds())}
		if !a.URL.Given() {
			m.required("url", "an account of announce")
		}
		p.usable(m, "url", a.URL)
		if m.get("what") == nil {
			a.What = catalog.AnnounceKinds()
		}
		m.end()
		p.out.Announce = append(p.out.Announce, a)
	}
}
