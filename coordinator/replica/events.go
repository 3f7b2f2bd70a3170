package replica

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/web"
)

// events streams the changes of a page to a reader. Its beats end when the original is not heard, or when what the page
// shows could not be confirmed.
func (r *Replica) events(w http.ResponseWriter, q *http.Request) error {
	path := q.FormValue("page")
	whole := path != "" // else the reader wants no bodies
	if !whole {
		path = "/"
	}
	address, ok := mirror.Internal(path, r.origin.Base)
	if !ok || !mirror.IsPage(address) {
		return web.Errorf(http.StatusNotFound, "this copy has no page %q", path)
	}
	update := func(send web.SendFunc) error {
		d, at := r.find(q.Context(), address)
		if d == nil || !at.IsZero() || !d.IsPage() {
			return nil // beats say so
		}
		r.prepare(d)
		if whole && d.answers.body != "" {
			if err := send("page", d.answers.body); err != nil {
				return err
			}
		}
		// The original's event has the time of the change too. It would be another one after each restart.
		status, err := json.Marshal(map[string]string{"title": d.answers.title})
		if err != nil {
			return err
		}
		return send("status", string(status))
	}
	reader := reader{replica: r, address: address}
	return r.streams.Serve(w, q, web.Feed{Changed: r.changes, Update: update, At: reader.shown})
}

// reader is somebody who has a page open.
type reader struct {
	replica *Replica
	address string
	unread  time.Time // since when the page could not be confirmed; zero: it is
}

// shown returns the moment that the open page shows. It asks for a page that is to be confirmed again: since the
// original's last change, or because the last time is long ago. One that cannot be read becomes no newer by further
// changes, or by anything else that is heard.
func (o *reader) shown() time.Time {
	heard, change := o.replica.times()
	d := o.replica.store.get(o.address)
	if d == nil || confirmed(d, change) {
		o.unread = time.Time{}
		return heard
	}
	if o.unread.IsZero() {
		o.unread = time.Now()
		if d.checkedAt().Before(change) {
			o.unread = change
		}
	}
	if time.Since(heard) <= o.replica.silent {
		o.replica.request(d.Address)
	}
	if time.Since(o.unread) > o.replica.silent {
		return d.checkedAt()
	}
	return heard
}
