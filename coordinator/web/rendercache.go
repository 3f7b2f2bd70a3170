package web

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	cachedMax  = 1000 // values of one state: a few for each host and incident
	renderWait = 10 * time.Second
)

// perState keeps what is made from a state, once for each key, however many clients ask for it: when something changes,
// all of them do at the same moment. It is safe for concurrent use, and reading what is there takes no lock; the zero
// value is ready.
type perState[T any] struct {
	latest atomic.Pointer[madeOf[T]]
}

// madeOf is what was made of one state.
type madeOf[T any] struct {
	state  State
	until  time.Time // when it is made again though the state is the same; zero: never
	values sync.Map  // of *made[T] by key
	count  atomic.Int32
}

// made is one value, made by the first who asks.
type made[T any] struct {
	once  sync.Once
	value T
	err   error
	ready atomic.Bool // value may be read
}

// of returns what was made of the state, valid at a time.
func (p *perState[T]) of(s State, now time.Time, until func(State, time.Time) time.Time) *madeOf[T] {
	for {
		m := p.latest.Load()
		if m != nil && (m.until.IsZero() || now.Before(m.until)) && (m.state == s || m.state.after(s)) {
			return m
		}
		next := &madeOf[T]{state: s, until: until(s, now)}
		if p.latest.CompareAndSwap(m, next) {
			return next
		}
	}
}

// after reports whether the state is newer than another. A client that read its state just before a change gets what
// is made of the newer one. If the cache went back to the older state for it, two states would take turns and every
// client would render again. Mesh time decides which is newer, since the wall clock can be stepped back.
func (s State) after(old State) bool {
	if s.Snapshot == old.Snapshot {
		return s.Written > old.Written
	}
	return old.Snapshot.MeshTime().Before(s.Snapshot.MeshTime())
}

// never is the end of what changes with the state alone.
func never(State, time.Time) time.Time { return time.Time{} }

// get returns the value with the key, which produce makes once. Failures, and values of which produce says so, are not
// kept: asking for names that do not exist cannot fill the cache.
func (m *madeOf[T]) get(ctx context.Context, key string, produce func(context.Context) (T, bool, error)) (T, error) {
	v := m.slot(key)
	if v == nil {
		value, _, err := produce(ctx)
		return value, err
	}
	v.once.Do(func() {
		// Many clients wait for this value. That the first one disconnects must not fail it for the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renderWait)
		defer cancel()
		var keep bool
		if v.value, keep, v.err = produce(ctx); v.err == nil && keep {
			v.ready.Store(true)
		} else if m.values.CompareAndDelete(key, v) {
			m.count.Add(-1)
		}
	})
	return v.value, v.err
}

// ready returns the value with the key if it is made already.
func (m *madeOf[T]) ready(key string) (value T, ok bool) {
	if v, _ := m.values.Load(key); v != nil && v.(*made[T]).ready.Load() {
		return v.(*made[T]).value, true
	}
	return value, false
}

// slot returns the place of a value, or nil if there are too many.
func (m *madeOf[T]) slot(key string) *made[T] {
	if v, ok := m.values.Load(key); ok {
		return v.(*made[T])
	}
	if m.count.Load() >= cachedMax {
		return nil
	}
	v, loaded := m.values.LoadOrStore(key, &made[T]{})
	if !loaded {
		m.count.Add(1)
	}
	return v.(*made[T])
}

// RenderCache renders the body of each page once for a state: for the page and for all its event streams. It is safe
// for concurrent use; the zero value is ready.
type RenderCache struct{ bodies perState[body] }

type body struct {
	text  string
	found bool
}

// RenderFunc renders a page. found is false if what the page is about does not exist; body may say so.
type RenderFunc func(ctx context.Context) (body string, found bool, err error)

// Render returns the body with the key, as render makes it from the state.
func (c *RenderCache) Render(ctx context.Context, s State, key string, render RenderFunc) (string, bool, error) {
	b, err := c.bodies.of(s, time.Time{}, never).get(ctx, key, func(ctx context.Context) (body, bool, error) {
		text, found, err := render(ctx)
		return body{text, found}, found, err
	})
	return b.text, b.found, err
}
