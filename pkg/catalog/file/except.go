package file

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// excepted is a check with the key except.
type excepted struct {
	node  ast.Node
	host  string // its key
	check string
}

// exceptParser parses which regions leave checks out.
type exceptParser struct{ *parser }

// parse parses the regions that leave a check out, one or a list.
func (p exceptParser) parse(m *mapping, h *catalog.Host, c *catalog.Check) {
	n := m.get("except")
	if n == nil {
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	if len(items) == 0 {
		p.yaml.mistake(n, "name a region, or take the key out", "except of a check of %s names no region", h.Name)
	}
	for _, item := range items {
		name, ok := p.yaml.text(item, "a region")
		switch {
		case !ok:
		case p.out.Region(name) == nil:
			p.yaml.mistake(item, regionMend(&p.out, name), "there is no region %q", name)
		case slices.Contains(c.Except, name):
			p.yaml.mistake(item, "keep one of the two", "the region %s is given twice", name)
		default:
			c.Except = append(c.Except, name)
		}
	}
	slices.Sort(c.Except)
	if len(c.Except) > 0 {
		p.excepted = append(p.excepted, excepted{n, h.Key(), ""})
	}
}

// checkVoters reports checks that no region is left to look at. Those that too few are left for are warnings of the
// catalog: agents may join in other regions later.
func (p exceptParser) checkVoters() {
	for _, e := range p.excepted {
		h := p.out.Host(e.host)
		if h == nil {
			continue
		}
		c := h.Check(e.check)
		if c == nil || len(catalog.Voters(&p.out, h, c)) > 0 || len(catalog.Voters(&p.out, h, &catalog.Check{})) == 0 {
			continue
		}
		p.yaml.mistake(e.node, "leave at least one region in, or remove the check",
			"all regions leave out %s %s, so no region probes it", h.Name, c.Name)
	}
}

// regionMend says what to write instead of the name of a region that does not exist.
func regionMend(c *catalog.Catalog, name string) string {
	var names []string
	for _, r := range c.Regions {
		names = append(names, r.Name)
	}
	if like := nearest(name, names); like != "" {
		return fmt.Sprintf("did you mean %q?", like)
	}
	if len(names) == 0 {
		return "add it to regions"
	}
	return "add it to regions, or use one of " + strings.Join(names, ", ")
}
