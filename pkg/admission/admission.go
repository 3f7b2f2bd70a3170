// Package admission decides which agents are listened to. It stands between the stream and the judge: an agent that floods,
// lies about time, speaks of checks that are not its own or sends what cannot be read is cut off until it behaved well for a
// while. It knows only the stream and its timestamps, so that every coordinator, and every replay, cuts off the same agents at
// the same message. One that starts begins with an empty record; what it replays fills it before anybody is judged.
package admission

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Term is how long an agent is cut off, counted from its last offence.
const Term = time.Minute

// budget is what an agent may do of something: so much a second, and so much at once.
type budget struct{ perSecond, atOnce float64 }

// The budgets. An agent that works is far below: it sends a batch every two seconds and at once for news, in which looks within
// 5 ms gather; a hundred hosts that all fail make 75 such batches a second, of some observations each. What waited in an agent
// while it had no bus comes at twenty batches a second and is never a vote: it has a budget of its own.
var (
	liveBatches = budget{100, 1_000}
	liveBytes   = budget{256 << 10, 4 << 20} // a hundred hosts' looks take 25 kB a second
	pastBatches = budget{100, 2_000}
	pastBytes   = budget{2 << 20, 32 << 20} // such a batch holds up to 500 observations, some 50 kB
	unreadable  = budget{0.1, 10}           // none is to be expected; a few may be a fault of a version
	untimely    = budget{0.1, 10}
	foreign     = budget{1, 50} // observations, by the catalog in force: an agent knows what is its own
)

// Case is an agent that is cut off.
type Case struct {
	Agent string
	Why   string
	Since time.Time
	Until time.Time // if it behaves well until then
}

// Ward keeps the record of every agent. It is not safe for concurrent use: one goroutine owns it. There are no more records
// than agents that were ever enrolled: the bus lets nobody else speak.
type Ward struct {
	revision string
	edges    map[edge]bool
	records  map[string]*record
}

// edge is one check that one agent is set to look at.
type edge struct {
	agent, host, check string
	family             mesh.Family
}

// record is what is held of one agent.
type record struct {
	spent map[*budget]*account
	held  Case
}

// account is how much of a budget is left.
type account struct {
	left float64
	at   time.Time
}

// New is an empty ward.
func New(c *catalog.Catalog) *Ward {
	w := &Ward{records: map[string]*record{}}
	if c != nil {
		w.SetCatalog(c)
	}
	return w
}

// SetCatalog takes over a catalog: it says which checks are whose.
func (w *Ward) SetCatalog(c *catalog.Catalog) {
	w.revision, w.edges = c.Revision, map[edge]bool{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			for _, agent := range schedule.Observers(c, h, &h.Checks[k]) {
				for _, family := range h.FamiliesOf(&h.Checks[k]) {
					w.edges[edge{agent, h.Key(), h.Checks[k].Name, family}] = true
				}
				if h.Named() { // what an agent of the version before sends
					w.edges[edge{agent, h.Key(), h.Checks[k].Name, mesh.AnyFamily}] = true
				}
			}
		}
	}
}

// Take records a batch that the stream received from the agent, or why it cannot be read, and returns what the judge may hear
// of it: all, or of an agent that is cut off only that it lives. It reports whether this message is what cut it off.
func (w *Ward) Take(at time.Time, agent string, size int, b *mesh.Batch, unread error) (heard *mesh.Batch, cut bool) {
	r := w.records[agent]
	if r == nil {
		r = &record{spent: map[*budget]*account{}}
		w.records[agent] = r
	}
	if why := w.offence(r, at, agent, size, b, unread); why != "" {
		cut = !r.shut(at)
		if cut {
			r.held = Case{Agent: agent, Why: why, Since: at}
		}
		r.held.Until = at.Add(Term)
	}
	if b == nil || !r.shut(at) {
		return b, cut
	}
	// The host of one who is cut off is not dead: that its agent is heard is said on. What it holds of others expires.
	quiet := *b
	// Nor is what its gossip reports of others.
	quiet.Observations, quiet.AnchorsFail, quiet.Gossip = nil, false, mesh.Gossip{}
	return &quiet, cut
}

func (r *record) shut(at time.Time) bool { return at.Before(r.held.Until) }

// offence is what is wrong with the message, or "".
func (w *Ward) offence(r *record, at time.Time, agent string, size int, b *mesh.Batch, unread error) string {
	batches, bytes := &liveBatches, &liveBytes
	if b != nil && b.Began.Before(b.Connected) {
		batches, bytes = &pastBatches, &pastBytes
	}
	// Each is charged, whatever the others say.
	flood := !r.spend(batches, 1, at)
	flood = !r.spend(bytes, float64(size), at) || flood
	switch {
	case flood:
		return fmt.Sprintf("floods: more than %g batches or %g kB a second", batches.perSecond, bytes.perSecond/1024)
	case errors.Is(unread, wire.ErrTooOld):
		return ""
	case errors.Is(unread, wire.ErrTime):
		if !r.spend(&untimely, 1, at) {
			return "lies about time: " + unread.Error()
		}
	case unread != nil:
		if !r.spend(&unreadable, 1, at) {
			return "sends what cannot be read: " + unread.Error()
		}
	case b.Revision == w.revision:
		if n := w.notIts(agent, b); n > 0 && !r.spend(&foreign, float64(n), at) {
			return "speaks of checks that are not its own"
		}
	}
	return ""
}

// notIts counts the observations that are not the agent's to make.
func (w *Ward) notIts(agent string, b *mesh.Batch) int {
	n := 0
	for _, o := range b.Observations {
		if !w.edges[edge{agent, o.Host, o.Check, o.Family}] {
			n++
		}
	}
	return n
}

// spend takes n of a budget, and reports whether there was so much. Where there was not, it is empty.
func (r *record) spend(b *budget, n float64, at time.Time) bool {
	a := r.spent[b]
	if a == nil {
		a = &account{b.atOnce, at}
		r.spent[b] = a
	}
	if at.After(a.at) {
		a.left = min(a.left+at.Sub(a.at).Seconds()*b.perSecond, b.atOnce)
		a.at = at
	}
	enough := a.left >= n
	a.left = max(a.left-n, 0)
	return enough
}

// Cases are the agents that are cut off at the time, by name.
func (w *Ward) Cases(at time.Time) []Case {
	var out []Case
	for _, r := range w.records {
		if r.shut(at) {
			out = append(out, r.held)
		}
	}
	slices.SortFunc(out, func(a, b Case) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}
