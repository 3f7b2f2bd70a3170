// Package admission decides which agents' batches are accepted. It stands between the stream and the judge: an agent
// that floods, reports impossible times, reports checks that are not assigned to it or sends malformed batches is
// excluded until it has behaved well for a minute. Its only input is the stream with its timestamps, so that every
// coordinator and every replay excludes the same agents at the same message. A coordinator begins with empty accounts,
// which its replay fills.
package admission

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Term is how long an agent is excluded after its last violation.
const Term = time.Minute

// budget is a token bucket for one kind of expense of an agent.
type budget struct{ perSecond, burst float64 }

// The budgets. A working agent stays far below them. It sends a batch every two seconds, and one at once for news,
// which it gathers for 5 ms: when all of a hundred hosts fail, that makes 75 batches a second with a few observations
// each. Batches that waited in the agent for NATS arrive at twenty a second and never count as votes: they have
// budgets of their own.
var (
	liveBatches     = budget{100, 1_000}
	liveBytes       = budget{256 << 10, 4 << 20} // the results of a hundred hosts take 25 kB a second
	replayedBatches = budget{100, 2_000}
	replayedBytes   = budget{2 << 20, 32 << 20} // such a batch has up to 500 observations, some 50 kB
	malformed       = budget{0.1, 10}           // none is expected; a few may be a fault of a version
	impossibleTimes = budget{0.1, 10}
	unassigned      = budget{1, 50} // observations; an agent with the catalog in force knows which are its own
)

var budgets = []*budget{
	&liveBatches, &liveBytes, &replayedBatches, &replayedBytes, &malformed, &impossibleTimes, &unassigned,
}

// Exclusion is an agent that is excluded, and why.
type Exclusion struct {
	Agent string    // the key of its host
	Why   string    // completes "it ...": "sends more than ..."
	Since time.Time // when it was excluded
	Until time.Time // when it is admitted again if it commits no other violation
}

// Filter admits batches. It is not safe for concurrent use. It has one account for each agent that was ever enrolled,
// at most: NATS lets nobody else publish.
type Filter struct {
	revision string
	agents   catalog.Agents
	assigned map[edge]bool
	accounts map[string]*account
}

// edge is a check that one agent runs over one address family.
type edge struct {
	agent, host, check string
	family             mesh.Family
}

// account is what a filter knows about one agent.
type account struct {
	buckets   map[*budget]*bucket
	exclusion Exclusion // the latest
}

// bucket is what is left of a budget.
type bucket struct {
	left float64
	at   time.Time // when it was last filled
}

// New returns a filter that admits everybody. The catalog may be nil.
func New(c *catalog.Catalog) *Filter {
	f := &Filter{accounts: map[string]*account{}}
	if c != nil {
		f.SetCatalog(c)
	}
	return f
}

// SetCatalog sets the catalog in force, which assigns checks to agents.
func (f *Filter) SetCatalog(c *catalog.Catalog) {
	f.agents.SetCatalog(c)
	f.assign()
}

// assign sets which checks agents with the catalog in force run. They know both by the names that Facing gives.
func (f *Filter) assign() {
	c := f.agents.Facing()
	f.revision, f.assigned = c.Revision, map[edge]bool{}
	chooser := schedule.NewChooser(c)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			for _, agent := range chooser.Observers(h, &h.Checks[k]) {
				for _, family := range h.FamiliesOf(&h.Checks[k]) {
					f.assigned[edge{agent, h.Key(), h.Checks[k].Name, family}] = true
				}
				if h.Named() { // what an agent of version N-1 reports
					f.assigned[edge{agent, h.Key(), h.Checks[k].Name, mesh.AnyFamily}] = true
				}
			}
		}
	}
}

// SetRoster sets which agents are enrolled, and with that whose they are.
func (f *Filter) SetRoster(r *mesh.Roster) {
	f.agents.SetRoster(r)
	if c := f.agents.Facing(); c != nil && c.Revision != f.revision {
		f.assign()
	}
}

// Persist walks over the accounts and the roster, see package persist. The catalog of the filter that reads is the one
// that was in force.
func (f *Filter) Persist(w *persist.Walk) {
	roster := f.agents.Roster()
	catalog.PersistRoster(w, roster)
	if w.Reading() {
		f.SetRoster(roster)
	}
	persist.Map(w, &f.accounts, func(a **account) {
		if *a == nil {
			*a = &account{buckets: map[*budget]*bucket{}}
		}
		for _, b := range budgets {
			left := (*a).buckets[b]
			persist.Optional(w, &left, func(left *bucket) {
				w.Float(&left.left)
				w.Time(&left.at)
			})
			if left != nil {
				(*a).buckets[b] = left
			}
		}
		x := &(*a).exclusion
		persist.Text(w, &x.Agent)
		persist.Text(w, &x.Why)
		w.Time(&x.Since)
		w.Time(&x.Until)
	})
}

// Called returns what agents call the host with the key.
func (f *Filter) Called(key string) string { return f.agents.Called(key) }

// Key returns the key of the agent's host, which may be called otherwise now than NATS knows the agent by.
func (f *Filter) Key(agent string) string {
	if key := f.agents.Keys()[agent]; key != "" {
		return key
	}
	return agent
}

// Admit counts a message of an agent, which is a batch b or an error that it could not be decoded, and returns what the
// judge may see of it: the whole batch, or of an excluded agent only that it is alive. excluded reports that this
// message is what got the agent excluded.
func (f *Filter) Admit(
	at time.Time, agent string, size int, b *mesh.Batch, decodeErr error,
) (admitted *mesh.Batch, excluded bool) {
	a := f.accounts[agent]
	if a == nil {
		a = &account{buckets: map[*budget]*bucket{}}
		f.accounts[agent] = a
	}
	if why := f.violation(a, at, agent, size, b, decodeErr); why != "" {
		excluded = !a.excluded(at)
		if excluded {
			a.exclusion = Exclusion{Agent: agent, Why: why, Since: at}
		}
		a.exclusion.Until = at.Add(Term)
	}
	if b == nil || !a.excluded(at) {
		return b, excluded
	}
	// The heartbeat passes: that the agent is excluded must not make its host look dead. What it reports of others,
	// by itself or by gossip, does not.
	heartbeat := *b
	heartbeat.Observations, heartbeat.AnchorsFail, heartbeat.Gossip = nil, false, mesh.Gossip{}
	return &heartbeat, excluded
}

func (a *account) excluded(at time.Time) bool { return at.Before(a.exclusion.Until) }

// violation charges a message to an agent's budgets. It returns what the agent violated, or "".
func (f *Filter) violation(a *account, at time.Time, agent string, size int, b *mesh.Batch, decodeErr error) string {
	batches, bytes := &liveBatches, &liveBytes
	if b != nil && b.Began.Before(b.Connected) {
		batches, bytes = &replayedBatches, &replayedBytes
	}
	// Both are charged, even if the first is exceeded already.
	flood := !a.spend(batches, 1, at)
	flood = !a.spend(bytes, float64(size), at) || flood
	switch {
	case flood:
		return fmt.Sprintf("sends more than %g batches or %g kB a second", batches.perSecond, bytes.perSecond/1024)
	case errors.Is(decodeErr, wire.ErrTooOld): // what waited too long; the agent could not know
		return ""
	case errors.Is(decodeErr, wire.ErrTime):
		if !a.spend(&impossibleTimes, 1, at) {
			return "reports impossible times: " + decodeErr.Error()
		}
	case decodeErr != nil:
		if !a.spend(&malformed, 1, at) {
			return "sends malformed batches: " + decodeErr.Error()
		}
	case b.Revision == f.revision: // with another catalog it cannot know what is assigned to it
		if n := f.countUnassigned(agent, b); n > 0 && !a.spend(&unassigned, float64(n), at) {
			return "reports checks that are not assigned to it"
		}
	}
	return ""
}

func (f *Filter) countUnassigned(agent string, b *mesh.Batch) int {
	n := 0
	for _, o := range b.Observations {
		if !f.assigned[edge{agent, o.Host, o.Check, o.Family}] {
			n++
		}
	}
	return n
}

// spend charges n to a budget, and reports whether that much was left. If not, nothing is left afterwards. Time that
// goes backwards fills no bucket.
func (a *account) spend(b *budget, n float64, at time.Time) bool {
	left := a.buckets[b]
	if left == nil {
		left = &bucket{b.burst, at}
		a.buckets[b] = left
	}
	if at.After(left.at) {
		left.left = min(left.left+at.Sub(left.at).Seconds()*b.perSecond, b.burst)
		left.at = at
	}
	enough := left.left >= n
	left.left = max(left.left-n, 0)
	return enough
}

// Excluded returns the agents that are excluded at the time, by name.
func (f *Filter) Excluded(at time.Time) []Exclusion {
	var out []Exclusion
	for _, a := range f.accounts {
		if a.excluded(at) {
			x := a.exclusion
			x.Agent = f.Key(x.Agent)
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Exclusion) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}
