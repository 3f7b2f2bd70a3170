package incident

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Book holds the incidents that may still change: those that are open, and those resolved within ReopenWithin.
type Book struct {
	incidents []*Incident // oldest first
}

// NewBook is a book with these incidents, oldest first.
func NewBook(incidents []*Incident) *Book { return &Book{incidents} }

// Take adds a transition and returns the incident it changed; nil when it belongs to none. A transition that was taken before
// changes nothing.
func (b *Book) Take(t mesh.Transition) *Incident {
	b.forget(t.Published)
	if !t.Public || b.taken(t) {
		return nil
	}
	i := b.of(t)
	if i == nil {
		if !outage(t.To) {
			return nil
		}
		i = &Incident{ID: newID(t), Cause: t.Cause, Impact: None, Began: t.Began, Opened: t.Published}
		b.incidents = append(b.incidents, i)
	}
	i.take(t)
	return i
}

// of is the incident that the transition belongs to: the open one of its host, the open one of its cause, or the one of its
// host that was resolved just now, when the host falls again.
func (b *Book) of(t mesh.Transition) *Incident {
	for _, i := range b.incidents {
		if i.Open() && i.host(t.Host) != nil {
			return i
		}
	}
	if !outage(t.To) {
		return nil
	}
	for _, i := range b.incidents {
		if i.Open() && t.Cause != "" && i.Cause == t.Cause {
			return i
		}
	}
	for _, i := range slices.Backward(b.incidents) {
		if !i.Open() && i.host(t.Host) != nil && t.Published.Sub(i.Resolved) <= ReopenWithin {
			return i
		}
	}
	return nil
}

func (b *Book) taken(t mesh.Transition) bool {
	for _, i := range b.incidents {
		if slices.ContainsFunc(i.Updates, func(u Update) bool { return u.ID == t.ID && u.At.Equal(t.Published) }) {
			return true
		}
	}
	return false
}

// forget drops what cannot change any more.
func (b *Book) forget(now time.Time) {
	b.incidents = slices.DeleteFunc(b.incidents, func(i *Incident) bool {
		return !i.Open() && now.Sub(i.Resolved) > ReopenWithin
	})
}

// Keep ends what is told of hosts that the catalog does not show to the public any more, and returns the incidents that this
// changed. The offset is mesh time less the wall clock; watched reports whether a host is still shown.
func (b *Book) Keep(at time.Time, offset time.Duration, watched func(host string) bool) []*Incident {
	var changed []*Incident
	for _, i := range b.incidents {
		gone := false
		for n := range i.Hosts {
			if h := &i.Hosts[n]; i.Open() && h.Status != mesh.Operational && !watched(h.Name) {
				h.end(at)
				gone = true
				i.say(Update{ID: i.ID + "-" + at.UTC().Format(time.RFC3339), At: at, Offset: offset, State: i.State, Host: h.Name, Body: h.Name + " is not shown on this page any more."})
			}
		}
		if gone {
			i.settle(at)
			i.Updates[len(i.Updates)-1].State = i.State
			changed = append(changed, i)
		}
	}
	return changed
}
