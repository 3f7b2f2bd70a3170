package engine

import (
	"context"
	"errors"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// namer finds the internal ids of what batches name. An agent calls hosts and checks as the catalog does that it had
// when it observed them: the name may be another check's by now.
type namer struct {
	view    *view.View
	inForce *catalog.Catalog
	known   map[string]*catalog.Catalog // by revision
	order   []string                    // the revisions, the oldest first
	checks  map[*catalog.Catalog]map[checkName]string

	batch  *catalog.Catalog // of the batch, or that in force if its own is unknown
	agent  string           // key of the host of the batch's agent, as the catalog in force calls it
	former bool             // the batch's own catalog is unknown
}

type checkName struct{ host, check string }

// revisionsMax bounds the catalogs that are remembered.
const revisionsMax = 16

func newNamer(v *view.View, c *catalog.Catalog) *namer {
	n := &namer{view: v, known: map[string]*catalog.Catalog{}, checks: map[*catalog.Catalog]map[checkName]string{}}
	n.setCatalog(c)
	return n
}

// setCatalog sets the catalog in force.
func (n *namer) setCatalog(c *catalog.Catalog) {
	n.inForce = c
	n.remember(c.Revision, c)
}

func (n *namer) remember(revision string, c *catalog.Catalog) {
	if old, known := n.known[revision]; known {
		delete(n.checks, old)
	} else {
		n.order = append(n.order, revision)
	}
	n.known[revision] = c
	for len(n.order) > revisionsMax {
		delete(n.checks, n.known[n.order[0]])
		delete(n.known, n.order[0])
		n.order = n.order[1:]
	}
}

// setBatch sets the host of the agent whose batch is next, and the revision of the catalog that the agent had.
func (n *namer) setBatch(ctx context.Context, agent, revision string) error {
	c, known := n.known[revision]
	if !known && revision != "" {
		var err error
		c, err = n.view.CatalogOf(ctx, revision)
		switch {
		case err == nil:
			n.remember(revision, c)
		case !errors.Is(err, view.ErrNoCatalog):
			return err
		}
	}
	n.agent, n.batch, n.former = agent, c, c == nil
	if c == nil {
		n.batch = n.inForce
	}
	return nil
}

// Vantage implements rollup.Names.
func (n *namer) Vantage() (id, region string) {
	h := n.inForce.Host(n.agent)
	if h == nil {
		return "", ""
	}
	return h.Identity(), h.Region
}

// CheckID implements rollup.Names.
func (n *namer) CheckID(host, check string) string {
	ids := n.checks[n.batch]
	if ids == nil {
		ids = map[checkName]string{}
		for i := range n.batch.Hosts {
			h := &n.batch.Hosts[i]
			for k := range h.Checks {
				ids[checkName{h.Key(), h.Checks[k].Name}] = h.IdentityOf(&h.Checks[k])
			}
		}
		n.checks[n.batch] = ids
	}
	if id := ids[checkName{host, check}]; id != "" || !n.former {
		return id
	}
	h := n.batch.HostOnceNamed(mesh.Key(host))
	if h == nil {
		return ""
	}
	c := n.batch.CheckOnceNamed(h, check)
	if c == nil {
		return ""
	}
	return h.IdentityOf(c)
}
