package page

import (
	"context"
	"html/template"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	madeMax  = 1000 // pages kept of one moment; there are a few of each host and incident
	makeWait = 10 * time.Second
)

// made are the pages of one moment, each made once however many readers wait for it: when something changes, all of them do.
type made struct {
	mu     sync.Mutex
	of     *mesh.Snapshot
	bodies map[string]*once
	status func() (string, error)
}

// once is one page, or that there is none.
type once struct {
	sync.Once
	body  template.HTML
	found bool
	err   error
}

// at begins anew where the moment is a later one: a reader who came a moment ago is told what is newer, or two moments would
// be made in turns, for one reader each. Its caller holds the lock.
func (k *made) at(m moment) {
	if k.of == nil || k.of != m.snapshot && !m.snapshot.MeshTime().Before(k.of.MeshTime()) {
		k.of, k.bodies, k.status = m.snapshot, map[string]*once{}, sync.OnceValues(m.statusEvent)
	}
}

// page is where the page of a path is, or is to be, kept; nil where there are too many.
func (k *made) page(m moment, path string) *once {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at(m)
	o := k.bodies[path]
	if o == nil && len(k.bodies) < madeMax {
		o = &once{}
		k.bodies[path] = o
	}
	return o
}

// forget has a page that failed, or that is none, made anew by who asks next.
func (k *made) forget(path string, o *once) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bodies[path] == o {
		delete(k.bodies, path)
	}
}

// body is what stands between head and foot of the page with this path. It is made for everybody: that the first one who asks
// goes away does not stop it.
func (s *site) body(ctx context.Context, m moment, path string) (template.HTML, bool, error) {
	if name, ok := hostOf(path); ok {
		path = "/hosts/" + mesh.Key(name) // however it is spelt, it is one page
	}
	o := s.made.page(m, path)
	if o == nil {
		return s.makeBody(ctx, m, path)
	}
	o.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeWait)
		defer cancel()
		o.body, o.found, o.err = s.makeBody(ctx, m, path)
	})
	if o.err != nil || !o.found {
		s.made.forget(path, o)
	}
	return o.body, o.found, o.err
}

// statusEvent is what readers of events are told of the moment.
func (s *site) statusEvent(m moment) (string, error) {
	s.made.mu.Lock()
	s.made.at(m)
	status := s.made.status
	s.made.mu.Unlock()
	return status()
}
