package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// statusEvent is the data of a "status" event.
type statusEvent struct {
	At       time.Time              `json:"at"` // when a title or a status last changed, as far as this process knows
	Title    string                 `json:"title"`
	Statuses map[string]mesh.Status `json:"statuses"` // by host
}

// statusData is an encoded statusEvent.
type statusData struct {
	of      *mesh.Snapshot
	written uint64
	content string // without its time
	data    string
}

// events streams a "status" event after every change of a status. With ?page=PATH the body of that page comes before
// it, as a "page" event, if it changed. A stream for a page that does not exist ends at once.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	path := r.FormValue("page")
	update := func(send web.SendFunc) error {
		s := a.view.State() // one state for both events, so that a page and its title match
		if path != "" {
			body, found, err := a.pages.Body(r.Context(), s, path)
			if err != nil || !found {
				return err
			}
			if err := send("page", string(body)); err != nil {
				return err
			}
		}
		status, err := a.statusEvent(r.Context(), s)
		if err != nil {
			return err
		}
		return send("status", status)
	}
	at := func() time.Time { return a.view.State().Snapshot.At }
	return a.streams.Serve(w, r, web.Feed{
		Changed: a.view.Changed, Update: update, At: at, Urgent: func() string { return a.urgent(a.view.State()).of(path) },
	})
}

// statusEvent returns the "status" event of a state, encoded once for all streams. Its time is part of the data, so as
// long as nothing else changes it stays as it was: what clients have already is not sent again.
func (a *API) statusEvent(ctx context.Context, s web.State) (string, error) {
	last := a.latest.Load()
	if last != nil && last.of == s.Snapshot && last.written == s.Written {
		return last.data, nil
	}
	open, err := a.view.Open(ctx)
	if err != nil {
		return "", err
	}
	e := statusEvent{Title: s.Title(s.Overall(open)), Statuses: map[string]mesh.Status{}}
	for _, h := range s.Hosts() {
		e.Statuses[h.Name] = h.Status
	}
	content, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	next := &statusData{of: s.Snapshot, written: s.Written, content: string(content)}
	if last != nil && last.content == next.content {
		next.data = last.data
	} else {
		e.At = s.Snapshot.At.UTC().Truncate(time.Second)
		data, err := json.Marshal(e)
		if err != nil {
			return "", err
		}
		next.data = string(data)
	}
	a.latest.Store(next)
	return next.data, nil
}

// urgentKeys are the keys of what the readers of a state see at once; empty where nothing may wait.
type urgentKeys struct {
	snapshot *mesh.Snapshot
	written  uint64
	verdicts string // and what was written
	votes    string // and all that
}

// of returns the key of the page at a path. The front page shows votes only when something is wrong.
func (k *urgentKeys) of(path string) string {
	if path == "/" {
		return k.verdicts
	}
	return k.votes
}

// urgent returns the keys of a state. Other measurements may wait, unless something is wrong: then readers watch.
func (a *API) urgent(s web.State) *urgentKeys {
	if last := a.urgentOf.Load(); last != nil && last.snapshot == s.Snapshot && last.written == s.Written {
		return last
	}
	verdicts, votes, calm := fnv.New128a(), fnv.New128a(), s.Audience == web.Public
	for _, host := range s.Hosts() {
		calm = calm && host.Status == mesh.Operational
		fmt.Fprint(verdicts, host.Name, host.Status)
		for _, c := range host.Checks {
			fmt.Fprint(verdicts, c.Name, c.Verdict, c.Maintenance)
			for _, v := range c.Votes {
				fmt.Fprint(votes, v.Region, v.Vote)
			}
		}
	}
	next := &urgentKeys{snapshot: s.Snapshot, written: s.Written}
	if calm {
		next.verdicts = fmt.Sprint(s.Written, s.Catalog.Revision, hex.EncodeToString(verdicts.Sum(nil)))
		next.votes = next.verdicts + hex.EncodeToString(votes.Sum(nil))
	}
	a.urgentOf.Store(next)
	return next
}
