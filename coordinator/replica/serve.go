package replica

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/web"
)

// answers are the rendered responses of a document: as current, and as out of date.
type answers struct {
	once    sync.Once
	current web.HandlerFunc
	body    string // of a page, which its stream begins with
	title   string
	past    atomic.Pointer[pastAnswer]
}

type pastAnswer struct {
	at     time.Time
	answer web.HandlerFunc
}

// Handler answers readers.
func (r *Replica) Handler() http.Handler {
	routes := append(web.FileRoutes(), web.Widget(),
		web.Route{Pattern: "GET " + web.EventsPath, Handler: r.events},
		web.Route{Pattern: "GET /healthz", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			web.WriteText(w, http.StatusOK, "ok\n")
			return nil
		}},
		web.Route{Pattern: "GET /readyz", Handler: r.ready},
		web.Route{Pattern: "GET /", Handler: r.serve},
	)
	return web.NewHandler(r.log, web.Public, routes...)
}

// ready reports whether the copy has a front page.
func (r *Replica) ready(w http.ResponseWriter, _ *http.Request) error {
	if r.store.get("/") == nil {
		return web.Errorf(http.StatusServiceUnavailable, "nothing is copied yet")
	}
	web.WriteText(w, http.StatusOK, "ready\n")
	return nil
}

// serve answers with the document at the request's address.
func (r *Replica) serve(w http.ResponseWriter, q *http.Request) error {
	address, ok := mirror.Internal(q.URL.RequestURI(), r.origin.Base)
	if !ok && mirror.IsPage(q.URL.EscapedPath()) { // with a query that no page depends on
		address, ok = mirror.Internal(q.URL.EscapedPath(), r.origin.Base)
	}
	if !ok {
		return web.Errorf(http.StatusNotFound, "this copy has no such address; the original is at %s", r.origin.Base)
	}
	d, at := r.find(q.Context(), address)
	switch {
	case d == nil && r.store.get("/") == nil:
		return web.Errorf(http.StatusServiceUnavailable, "nothing is copied yet: try again in a minute")
	case d == nil || d.Type == "text/javascript": // only our own scripts are served
		return web.Errorf(http.StatusNotFound, "this page does not exist")
	case d.Location != "":
		http.Redirect(w, q, d.Location, http.StatusFound)
		return nil
	}
	if at.IsZero() {
		r.prepare(d)
		return d.answers.current(w, q)
	}
	w.Header().Set("Warning", `110 - "Response is Stale"`) // for programs that know it
	return r.pastAnswer(d, at)(w, q)
}

// find returns the document at an address, and requests it from the original if the copy is not known to be current.
// at is zero for a current document; otherwise it is the time at which the document was last known to be current.
func (r *Replica) find(ctx context.Context, address string) (d *document, at time.Time) {
	d = r.store.get(address)
	heard, change := r.times()
	audible := time.Since(heard) <= r.silent
	if d != nil && audible && confirmed(d, change) {
		return d, time.Time{}
	}
	if audible && (d != nil || r.unknown.Allow()) { // a request to a silent original would only delay the reader
		if d != nil {
			address = d.Address
		}
		r.ask(ctx, address)
		if d = r.store.get(address); d != nil && confirmed(d, change) {
			return d, time.Time{}
		}
	}
	if d == nil {
		return nil, time.Time{}
	}
	// A document that was confirmed after the last change is of the time at which the original was last heard.
	at = d.checkedAt()
	if !audible && !at.Before(change) && heard.After(at) {
		at = heard
	}
	return d, at.UTC().Truncate(time.Minute)
}

// confirmed reports whether the original had the document since its last change, and lately.
func confirmed(d *document, change time.Time) bool {
	checked := d.checkedAt()
	return !checked.Before(change) && time.Since(checked) <= doubtAfter
}

// askWait bounds how long a reader waits for the original.
const askWait = 3 * time.Second

// ask reads one document of the original, and waits for it.
func (r *Replica) ask(ctx context.Context, address string) {
	select {
	case <-r.request(address):
	case <-ctx.Done():
	}
}

// request begins to read one document of the original, once for all readers who want it.
func (r *Replica) request(address string) (done <-chan singleflight.Result) {
	return r.asking.DoChan(address, func() (any, error) {
		r.asks.RLock()
		defer r.asks.RUnlock()
		if r.ended {
			return nil, context.Canceled
		}
		ctx, cancel := context.WithTimeout(r.askContext, askWait)
		defer cancel()
		if err := r.known.Wait(ctx); err != nil {
			return nil, err
		}
		gone, err := r.origin.Read(ctx, &copied{Replica: r}, address)
		if gone {
			r.store.remove(address)
		}
		return nil, err
	})
}

// prepare makes the answer with a current document.
func (r *Replica) prepare(d *document) {
	d.answers.once.Do(func() { d.answers.current = r.render(d, time.Time{}) })
}

// pastAnswer returns the answer with a document of a time.
func (r *Replica) pastAnswer(d *document, at time.Time) web.HandlerFunc {
	past := d.answers.past.Load()
	if past == nil || !past.at.Equal(at) {
		past = &pastAnswer{at, r.render(d, at)}
		d.answers.past.Store(past)
	}
	return past.answer
}

// scriptFiles are the paths of our own scripts.
var scriptFiles = func() map[string]bool {
	out := map[string]bool{}
	for _, f := range web.Files() {
		out[f.Path] = true
	}
	return out
}()

// render renders a document, as of a time or, if that is zero, as current.
func (r *Replica) render(d *document, at time.Time) web.HandlerFunc {
	h := http.Header{}
	web.SetMediaType(h, d.Type+"; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	if !d.IsPage() {
		out := d.Document
		if !at.IsZero() {
			out = mirror.OutOfDate(out, at)
		}
		return web.Fixed(h, out.Body)
	}
	p, err := mirror.ParsePage(d.Body)
	if err != nil {
		return func(http.ResponseWriter, *http.Request) error { return err }
	}
	body := p.Adopt(r.origin, web.PageScript(), scriptFiles, func(body string) string {
		return web.EventsPath + "?page=" + url.QueryEscape(d.Address) + "&after=" + web.PageID(body)
	})
	if at.IsZero() {
		d.answers.body, d.answers.title = body, p.Title()
	} else {
		p.MarkOutOfDate(at)
	}
	h.Set("Content-Security-Policy", p.Policy())
	return web.Fixed(h, p.Render())
}
