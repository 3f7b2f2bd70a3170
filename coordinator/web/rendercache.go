package web

import (
	"context"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	cachedMax  = 1000 // pages of one snapshot: a few for each host and incident
	renderWait = 10 * time.Second
)

// RenderCache renders each page of a snapshot once, however many clients ask for it: when something changes, all of
// them do at the same moment. It is safe for concurrent use; the zero value is ready.
type RenderCache struct {
	mu       sync.Mutex
	snapshot *mesh.Snapshot
	pages    map[string]*cachedPage
}

// cachedPage is the result of one RenderFunc.
type cachedPage struct {
	once  sync.Once
	body  string
	found bool
	err   error
}

// RenderFunc renders a page. found is false if what the page is about does not exist; body may say so.
type RenderFunc func(ctx context.Context) (body string, found bool, err error)

// Render returns the page with the key, as render makes it from the snapshot of the state. Failures and pages that are
// not found are not cached, so that asking for names that do not exist cannot fill the cache.
func (c *RenderCache) Render(ctx context.Context, s State, key string, render RenderFunc) (string, bool, error) {
	p := c.page(s.Snapshot, key)
	if p == nil {
		return render(ctx)
	}
	p.once.Do(func() {
		// Many clients wait for this page. That the first one disconnects must not fail it for the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renderWait)
		defer cancel()
		p.body, p.found, p.err = render(ctx)
	})
	if p.err != nil || !p.found {
		c.remove(key, p)
	}
	return p.body, p.found, p.err
}

// page returns the place of a page, or nil if there are too many.
func (c *RenderCache) page(s *mesh.Snapshot, key string) *cachedPage {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A client that read its snapshot just before a change gets the page of the newer one. If the cache went back to
	// the older snapshot for it, two snapshots would take turns and every client would render again. Mesh time decides
	// which is newer, since the wall clock can be stepped back.
	if c.snapshot == nil || c.snapshot != s && !s.MeshTime().Before(c.snapshot.MeshTime()) {
		c.snapshot, c.pages = s, map[string]*cachedPage{}
	}
	p := c.pages[key]
	if p == nil && len(c.pages) < cachedMax {
		p = &cachedPage{}
		c.pages[key] = p
	}
	return p
}

func (c *RenderCache) remove(key string, p *cachedPage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages[key] == p {
		delete(c.pages, key)
	}
}
