package file

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// needsParser parses the key needs of hosts and checks. The hosts that it names may come later in the file, so that
// resolve runs after all.
type needsParser struct {
	yaml  *reader
	found []need
}

// need is one host that another one, or one of its checks, needs.
type need struct {
	node ast.Node
	host string // that needs it, or one of its checks does
	name string // of the host that is needed
}

// parse reads the key of a host, or of a check.
func (p *needsParser) parse(m *mapping, host string, target *[]string) {
	words := m.words("needs")
	if len(words) > catalog.NeedsMax {
		p.yaml.mistake(m.values["needs"], "name the one that fails first", "more than %d hosts are needed", catalog.NeedsMax)
		return
	}
	for _, w := range words {
		*target = append(*target, w.text)
		p.found = append(p.found, need{w.node, host, w.text})
	}
}

// resolve spells the names as the hosts do, and reports hosts that do not exist, and hosts that need one another.
func (p *needsParser) resolve(c *catalog.Catalog) {
	var all []string
	spelled := map[string]string{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		all, spelled[h.Key()] = append(all, h.Name), h.Name
	}
	valid := true
	for _, n := range p.found {
		name, known := spelled[mesh.Key(n.name)]
		switch {
		case !known:
			p.yaml.mistake(n.node, oneOf(n.name, all), "there is no host %q", n.name)
			valid = false
		case name == spelled[mesh.Key(n.host)]:
			p.yaml.mistake(n.node, "name the host without which it cannot work", "the host %s needs itself", n.host)
			valid = false
		}
	}
	if !valid {
		return
	}
	respell := func(names []string) {
		for i := range names {
			names[i] = spelled[mesh.Key(names[i])]
		}
	}
	for i := range c.Hosts {
		respell(c.Hosts[i].Needs)
		for k := range c.Hosts[i].Checks {
			respell(c.Hosts[i].Checks[k].Needs)
		}
	}
	p.cycle(c)
}

// cycle reports hosts that need one another, at the line that closes the circle.
func (p *needsParser) cycle(c *catalog.Catalog) {
	names := catalog.NeedsCycle(c)
	if names == nil {
		return
	}
	last, first := names[len(names)-2], names[len(names)-1]
	i := slices.IndexFunc(p.found, func(n need) bool {
		return mesh.Key(n.host) == mesh.Key(last) && mesh.Key(n.name) == mesh.Key(first)
	})
	p.yaml.mistake(p.found[i].node, "remove one of them: no failure in the cycle would be notified",
		"hosts need one another: %s", strings.Join(names, " needs "))
}
