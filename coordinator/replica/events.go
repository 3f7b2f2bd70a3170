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
	reader := reader{replica: r, address: address}
	update := func(send web.SendFunc) error {
		reader.shown() // further changes follow while find waits for an original that answers slowly
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
	r.find(q.Context(), address) // or a page that is not confirmed yet would begin as one that is out of date
	return r.streams.Serve(w, q, web.Feed{Changed: r.changes, Update: update, At: reader.shown})
}

// reader is somebody who has a page open.
type reader struct {
	replica   *Replica
	address   string
	confirmed time.Time // when the page was last seen to be confirmed
}

// shown returns the moment that the open page shows. It asks for a page that is to be confirmed again: since the
// original's last change, or because the last time is long ago. One that cannot be read becomes no newer by further
// changes, or by anything else that is heard; nor does one that the copy no longer has.
func (o *reader) shown() time.Time {
	heard, change := o.replica.times()
	d := o.replica.store.get(o.address)
	if d != nil && confirmed(d, change) {
		o.confirmed = time.Now()
		return heard
	}
	if d != nil && time.Since(heard) <= o.replica.silent {
		o.replica.request(d.Address)
	}
	switch {
	case time.Since(o.confirmed) <= o.replica.silent:
		return heard
	case d == nil:
		return o.confirmed
	}
	return d.checkedAt()
}
