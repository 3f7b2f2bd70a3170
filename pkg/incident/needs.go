package incident

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// DependentWithin is how long before a host the hosts that need it may be published as failing: each is probed at its
// own times, so that the cause is not always confirmed first.
const DependentWithin = 9 * time.Second

// ofNeeded returns the open incident of a host that the transition's check needs, and that fails now; or nil.
func (b *Book) ofNeeded(t mesh.Transition) *Incident {
	needed := b.needs(t.HostID, t.CheckID)
	if len(needed) == 0 {
		return nil
	}
	return b.first(func(i *Incident) bool {
		return i.Open() && i.Internal == !t.Public && slices.ContainsFunc(i.Hosts, func(h Host) bool {
			return slices.Contains(needed, h.ID) && slices.ContainsFunc(h.Windows, func(w Window) bool {
				return w.To.IsZero() && w.Severe()
			})
		})
	})
}

// Severe reports whether the check could not be used, so that what needs its host may fail with it.
func (w Window) Severe() bool { return w.Verdict == mesh.Down || w.Verdict == mesh.Partial }

// Dependents returns the other incidents that a transition explains, which made a host fail: they opened just before,
// and all that fails in them needs the host. Those that somebody wrote about are left out.
func (b *Book) Dependents(of *Incident, t mesh.Transition) (out []*Incident) {
	if t.Verdict != mesh.Down && t.Verdict != mesh.Partial {
		return nil
	}
	for _, i := range b.incidents {
		if i == of || !i.Open() || i.TakenOver() || i.Internal != of.Internal ||
			t.Published.Sub(i.Opened) > DependentWithin {
			continue
		}
		explained := true
		for _, h := range i.Hosts {
			explained = explained && h.ID != t.HostID && !slices.ContainsFunc(h.Windows, func(w Window) bool {
				return !slices.Contains(b.needs(h.ID, w.CheckID), t.HostID)
			})
		}
		if explained {
			out = append(out, i)
		}
	}
	return out
}

// Episode is a time during which hosts of an incident failed without a break. The times are those at which it was
// published.
type Episode struct{ From, To time.Time } // To is zero while it lasts

// Episodes returns when hosts of an incident failed with one of the verdicts, oldest first. A check that nobody could
// look at did not recover.
func Episodes(i *Incident, hosts func(id string) bool, verdicts ...mesh.Verdict) (out []Episode) {
	failing := map[string]bool{}
	for _, u := range i.Updates {
		for _, p := range u.Parts() {
			if p.Check == "" || !hosts(p.HostID) {
				continue
			}
			check := p.HostID + " " + p.CheckID
			switch {
			case slices.Contains(verdicts, p.Verdict):
				if len(failing) == 0 {
					out = append(out, Episode{From: p.At})
				}
				failing[check] = true
			case p.Verdict == mesh.Up || p.Verdict == mesh.Degraded:
				if delete(failing, check); len(failing) == 0 && len(out) > 0 && out[len(out)-1].To.IsZero() {
					out[len(out)-1].To = p.At
				}
			}
		}
		if u.Over && len(out) > 0 && out[len(out)-1].To.IsZero() {
			clear(failing)
			out[len(out)-1].To = u.At
		}
	}
	return out
}
