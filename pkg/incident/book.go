package incident

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Book is the set of incidents that may still change: those that are open, and those resolved within ReopenWithin. It
// is not safe for concurrent use.
type Book struct {
	incidents []*Incident // oldest first
}

// NewBook returns a book with these incidents, oldest first.
func NewBook(incidents []*Incident) *Book { return &Book{incidents} }

// Apply applies a transition and returns the incident that it opened or changed, or nil if it concerns none. A
// transition that was applied before changes nothing, since a replay repeats them.
func (b *Book) Apply(t mesh.Transition) *Incident {
	b.removeSettled(t.Published)
	if !t.Public || b.applied(t) {
		return nil
	}
	i := b.find(t)
	if t.Maintenance != "" && (i == nil || t.Verdict != mesh.Up || !i.failing(t)) {
		return nil // it was announced: only a failure from before the maintenance may end in it
	}
	if i == nil {
		if !outage(t.To) {
			return nil
		}
		i = &Incident{ID: newID(t), Cause: t.Cause, Impact: None, Began: t.Began, Opened: t.Published}
		b.incidents = append(b.incidents, i)
	}
	i.apply(t)
	return i
}

// find returns the incident that a transition belongs to, or nil: the open one of its host; or, if the transition is an
// outage, the open one with its cause, or the one of its host that was resolved within ReopenWithin.
func (b *Book) find(t mesh.Transition) *Incident {
	for _, i := range b.incidents {
		if i.Open() && i.host(t) != nil {
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
		if !i.Open() && i.host(t) != nil && t.Published.Sub(i.Resolved) <= ReopenWithin {
			return i
		}
	}
	return nil
}

func (b *Book) applied(t mesh.Transition) bool {
	for _, i := range b.incidents {
		if slices.ContainsFunc(i.Updates, func(u Update) bool { return u.contains(t.ID, t.Published) }) {
			return true
		}
	}
	return false
}

// removeSettled removes incidents that cannot change any more.
func (b *Book) removeSettled(now time.Time) {
	b.incidents = slices.DeleteFunc(b.incidents, func(i *Incident) bool {
		return !i.Open() && now.Sub(i.Resolved) > ReopenWithin
	})
}

// CloseHidden ends the part of hosts that are no longer public in open incidents, and returns the incidents that this
// changed: no transition of them will follow, and they would stay open for ever. The offset is mesh time less the wall
// clock.
func (b *Book) CloseHidden(at time.Time, offset time.Duration, public func(*Host) bool) []*Incident {
	var changed []*Incident
	for _, i := range b.incidents {
		closed := false
		for n := range i.Hosts {
			h := &i.Hosts[n]
			if !i.Open() || h.Status == mesh.Operational || public(h) {
				continue
			}
			h.close(at)
			closed = true
			i.addUpdate(Update{
				ID: i.ID + "-" + at.UTC().Format(time.RFC3339), At: at, Offset: offset, State: i.State, Host: h.Name,
				HostID: h.ID,
				Body:   h.Name + " is no longer shown on this page.",
			})
		}
		if closed {
			i.resolveIfOver(at)
			i.Updates[len(i.Updates)-1].State = i.State
			changed = append(changed, i)
		}
	}
	return changed
}
