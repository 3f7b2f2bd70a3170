package editorial

import (
	"context"
	"fmt"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// Post returns a post, with the hosts' names.
func (e *Editor) Post(ctx context.Context, id string) (ledger.Post, error) {
	post, err := e.config.Posts.Get(ctx, id)
	if err != nil {
		return post, fmt.Errorf("post %q: %w", id, err)
	}
	e.nameHosts(&post)
	return post, nil
}

// Posts returns the newest posts, newest first, with the hosts' names.
func (e *Editor) Posts(ctx context.Context, limit int) ([]ledger.Post, error) {
	posts, err := e.config.Posts.List(ctx, limit)
	for i := range posts {
		e.nameHosts(&posts[i])
	}
	return posts, err
}

// nameHosts replaces the ids of a post's hosts by the names that the catalog has for them now.
func (e *Editor) nameHosts(p *ledger.Post) {
	c := e.config.Catalog()
	for n, id := range p.Hosts {
		if h := c.HostByID(id); h != nil {
			p.Hosts[n] = h.Name
		}
	}
}

// Show returns a maintenance, or one occurrence of it.
func (m MaintenanceEditor) Show(ctx context.Context, id string) (MaintenanceEntry, error) {
	whole, _ := maintenance.ParseID(id)
	found, err := m.editor.config.Maintenances.Get(ctx, whole)
	if err != nil {
		return MaintenanceEntry{}, fmt.Errorf("maintenance %q: %w", id, err)
	}
	var now ledger.MaintenanceEvent
	m.stamp(&now)
	return newMaintenanceEntry(m.editor.config.Catalog(), found, now.Wall()), nil
}
