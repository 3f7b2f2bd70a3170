package web

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"
)

// Answers are ready to be sent: rendered once for a state, with their validators, and compressed once for as long as
// their bytes stay the same. Sending one takes no lock. It is safe for concurrent use.
type Answers struct {
	view *View
	made perState[*answer]
	// kept has the latest answer of each key. States follow each other every two seconds, and most answers stay the
	// same: then their compressed bytes do too.
	kept      sync.Map
	keptCount int // guarded by keeping
	keeping   sync.Mutex
}

// NewAnswers returns Answers that are rendered from what the view shows.
func NewAnswers(v *View) *Answers { return &Answers{view: v} }

// KeyFunc names the answer to a request among those of one Answers. Requests with the same key get the same bytes. ok
// is false if the answer is for this request alone.
type KeyFunc func(r *http.Request) (key string, ok bool)

// ByPath is the key of answers that depend on nothing but the path.
func ByPath(r *http.Request) (string, bool) { return r.URL.Path, true }

// WithoutQuery is the key of answers that a query changes. Those with a query are not kept: anybody can invent queries.
func WithoutQuery(r *http.Request) (string, bool) { return r.URL.Path, r.URL.RawQuery == "" }

// Ready returns a handler that answers as render does. Render is called once for each key and state, and may not depend
// on anything else of the request. Its errors, and answers with another status than 200, are not kept.
func (a *Answers) Ready(key KeyFunc, render HandlerFunc) HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		name, ok := key(r)
		if !ok {
			one, err := record(r.Context(), r, render)
			if err == nil {
				one.serve(w, r)
			}
			return err
		}
		// The state comes before the render, or what is older could be kept for what is newer.
		state, now := a.view.State(), time.Now()
		all := a.made.of(state, now, validUntil)
		ready, ok := all.ready(name)
		if !ok {
			var err error
			if ready, err = a.make(all, name, r, render); err != nil {
				return err
			}
		}
		ready.serve(w, r)
		return nil
	}
}

// make renders the answer with a name, once for all who ask for it meanwhile.
func (a *Answers) make(all *madeOf[*answer], name string, r *http.Request, render HandlerFunc) (*answer, error) {
	return all.get(r.Context(), name, func(ctx context.Context) (*answer, bool, error) {
		next, err := record(ctx, r, render)
		if err != nil || next.status != http.StatusOK {
			return next, false, err
		}
		next.compressible = true
		return a.keep(name, next), true, nil
	})
}

// validUntil returns when a page changes though the state does not: it names the minute, and says when the state is too
// old to be called current.
func validUntil(s State, now time.Time) time.Time {
	until := now.Truncate(time.Minute).Add(time.Minute)
	if old := s.Snapshot.At.Add(staleAfter); old.After(now) && old.Before(until) {
		return old
	}
	return until
}

// keep returns the answer that was kept of this name if it is the same, with its compressed bytes. Else it keeps the
// new one.
func (a *Answers) keep(name string, next *answer) *answer {
	if old, ok := a.kept.Load(name); ok && old.(*answer).equal(next) {
		return old.(*answer)
	}
	a.keeping.Lock()
	defer a.keeping.Unlock()
	if a.keptCount >= cachedMax { // names of hosts and incidents come and go
		a.kept.Clear()
		a.keptCount = 0
	}
	if _, loaded := a.kept.Swap(name, next); !loaded {
		a.keptCount++
	}
	return next
}

// recorder is a http.ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// record renders the answer to a request, as to GET.
func record(ctx context.Context, r *http.Request, render HandlerFunc) (*answer, error) {
	r = r.WithContext(ctx)
	r.Method = http.MethodGet
	out := &recorder{header: http.Header{}}
	if err := render(out, r); err != nil {
		return nil, err
	}
	out.WriteHeader(http.StatusOK)
	return newAnswer(out.status, out.header, out.body.Bytes()), nil
}
