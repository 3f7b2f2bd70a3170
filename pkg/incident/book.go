package incident

import (
	"slices"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Book is the set of incidents that may still change: those that are open, and those resolved within ReopenWithin. It
// is not safe for concurrent use.
type Book struct {
	incidents []*Incident // oldest first
	delay     time.Duration
	needs     Needs
}

// Needs returns the ids of the hosts without which a host's check cannot work, by the ids of host and check.
type Needs func(host, check string) []string

// ByHand is the delay of incidents that the public sees once somebody publishes them.
const ByHand time.Duration = -1

// NewBook returns a book with these incidents, oldest first. What opens is public after the delay, or ByHand.
func NewBook(incidents []*Incident, delay time.Duration) *Book {
	return &Book{incidents: incidents, delay: delay, needs: func(string, string) []string { return nil }}
}

// WithNeeds makes what fails with a host that it needs join the incident of that host, and returns the book.
func (b *Book) WithNeeds(needs Needs) *Book {
	b.needs = needs
	return b
}

// Apply applies a transition and returns the incident that it opened or changed, or nil if it concerns none. A
// transition that was applied before changes nothing, since a replay repeats them.
func (b *Book) Apply(t mesh.Transition) *Incident {
	b.removeSettled(t.Published)
	if b.applied(t) {
		return nil
	}
	i := b.find(t)
	if t.Maintenance != "" && (i == nil || t.Verdict != mesh.Up || !failing(i, t)) {
		return nil // it was announced: only a failure from before the maintenance may end in it
	}
	if i == nil {
		if !outage(t.To) {
			return nil
		}
		i = b.open(newID(t), t.Began, t.Published, !t.Public)
		i.Cause = t.Cause
	}
	apply(i, t)
	return i
}

// open adds a new incident to the book.
func (b *Book) open(id string, began, opened time.Time, internal bool) *Incident {
	i := &Incident{ID: id, Impact: None, Began: began, Opened: opened, Internal: internal}
	if b.delay != ByHand && !internal {
		i.Public = opened.Add(b.delay)
	}
	b.incidents = append(b.incidents, i)
	return i
}

// find returns the incident that a transition belongs to, or nil: the open one of its host; or, if the transition is an
// outage, the open one in which a person named the host, that with its cause, that of a host which it needs, or the one
// of its host that was resolved within ReopenWithin. Public and internal hosts are never in one incident.
func (b *Book) find(t mesh.Transition) *Incident {
	part := func(i *Incident) *Host {
		if i.Internal != !t.Public {
			return nil
		}
		return i.host(t)
	}
	if i := b.first(func(i *Incident) bool { h := part(i); return i.Open() && h != nil && h.ongoing() }); i != nil {
		return i
	}
	if i := b.first(func(i *Incident) bool { h := part(i); return i.Open() && h != nil && h.Status != "" }); i != nil {
		return i
	}
	if !outage(t.To) {
		return nil
	}
	named := b.first(func(i *Incident) bool { h := part(i); return i.Open() && h != nil && h.names(t.CheckID) })
	if named == nil {
		named = b.first(func(i *Incident) bool { return i.Open() && part(i) != nil })
	}
	if named == nil {
		named = b.first(func(i *Incident) bool {
			return i.Open() && i.Internal == !t.Public && t.Cause != "" && i.Cause == t.Cause
		})
	}
	if named == nil {
		named = b.ofNeeded(t)
	}
	if named != nil {
		return named
	}
	for _, i := range slices.Backward(b.incidents) {
		if !i.Open() && part(i) != nil && t.Published.Sub(i.Resolved) <= ReopenWithin {
			return i
		}
	}
	return nil
}

func (b *Book) first(matches func(*Incident) bool) *Incident {
	n := slices.IndexFunc(b.incidents, matches)
	if n < 0 {
		return nil
	}
	return b.incidents[n]
}

// names reports whether a person named the check, or no check in particular.
func (h *Host) names(check string) bool {
	return len(h.Checks) == 0 || slices.ContainsFunc(h.Checks, func(n Named) bool { return n.ID == check })
}

// NotTakenOver returns the open incidents that the mesh opened for one of the hosts, and that nobody took over: a
// person who writes about the hosts writes about these. What a person opens never continues a resolved one.
func (b *Book) NotTakenOver(hosts []Subject, internal bool) (out []*Incident) {
	for _, i := range b.incidents {
		if i.Open() && !i.TakenOver() && i.Internal == internal && NamesAny(i, hosts) {
			out = append(out, i)
		}
	}
	return out
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

// Audience is the group that a host is shown to.
type Audience int

// The audiences.
const (
	Nobody    Audience = iota // the host is gone
	Operators                 // it is internal
	Everybody                 // it is public
)

// Follow ends the part of hosts that are gone, or that another audience sees now, in open incidents: no transition of
// them will follow there, and they would stay open for ever. An outage that another audience sees from now on is an
// incident of its own for that audience. Follow returns the incidents that this changed or opened. The offset is mesh
// time less the wall clock.
func (b *Book) Follow(at time.Time, offset time.Duration, of func(*Incident, *Host) Audience) []*Incident {
	var changed []*Incident
	for _, i := range slices.Clone(b.incidents) {
		closed := false
		for n := range i.Hosts {
			h := &i.Hosts[n]
			sees := of(i, h)
			if !i.Open() || !h.ongoing() || sees == Everybody && !i.Internal || sees == Operators && i.Internal {
				continue
			}
			if sees != Nobody {
				id := strconv.FormatInt(at.UnixMilli(), 36) + "-" + strconv.Itoa(len(changed)) + "c"
				next := b.open(id, at, at, sees == Operators)
				continueFrom(next, h, at, offset)
				changed = append(changed, next)
			}
			h.close(at)
			closed = true
			settle(i, at)
			addUpdate(i, newNotice(i, h, at, offset, leaves[sees]))
		}
		if closed {
			changed = append(changed, i)
		}
	}
	return changed
}

// leaves are what an incident says of a host that leaves it.
var leaves = map[Audience]string{
	Nobody:    " is no longer shown on this page.",
	Operators: " is no longer shown on this page.",
	Everybody: " is public now: its outage goes on in a public incident.",
}

// newNotice returns an update that says something of a host in the incident's present state.
func newNotice(i *Incident, h *Host, at time.Time, offset time.Duration, text string) Update {
	_, ongoing := i.Measured()
	return Update{
		ID: i.ID + "-" + at.UTC().Format(time.RFC3339) + "-" + strconv.Itoa(len(i.Updates)), At: at, Offset: offset,
		State: i.State, Over: !ongoing, Host: h.Name, HostID: h.ID, Body: h.Name + text,
	}
}

// continueFrom makes a new incident that continues the outage of a host.
func continueFrom(i *Incident, h *Host, at time.Time, offset time.Duration) {
	part := Host{Name: h.Name, ID: h.ID, Status: h.Status, Worst: h.Status}
	for _, w := range h.Windows {
		if w.To.IsZero() {
			w.From = at
			part.Windows = append(part.Windows, w)
		}
	}
	i.Hosts = []Host{part}
	settle(i, at)
	addUpdate(i, newNotice(i, &part, at, offset, " is shown here from now on. Its outage had begun before."))
}
