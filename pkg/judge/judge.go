// Package judge decides, from the stream of observations alone, the verdict of every check and the status of every
// host. It is a replay: its only input is the stream and its only clock mesh time, so that every coordinator, a
// simulation, a test and a restart reach the same verdicts. Create a judge with New, feed it with Step, read it with
// Snapshot.
//
// A batch takes this way: intake.go applies its observations to edges; votes.go turns the edges of a check into votes;
// verdicts.go asks pkg/quorum for the verdict and publishes it; rounds.go requests and opens look-now rounds.
package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// Input is one message of the stream: a batch, a new catalog, a new roster, or a tick if all three are nil.
type Input struct {
	Sequence uint64        // the stream's sequence
	At       time.Time     // mesh time
	Offset   time.Duration // mesh time less the wall clock, for texts that people read
	Batch    *mesh.Batch
	Catalog  *catalog.Catalog
	Roster   *mesh.Roster
}

// Output is what one step decided: transitions to publish, and rounds to ask the agents for.
type Output struct {
	Transitions []mesh.Transition
	Asks        []mesh.RoundRequest
}

// Standing is the verdict of one check as the ledger has it.
type Standing struct {
	Host     string // the host's key
	Check    string
	CheckID  string // finds the check in spite of other names; may be empty
	Verdict  mesh.Verdict
	Since    time.Time
	Rule     string
	Sentence string
	Cause    string
	Tally    mesh.Tally
	First    *mesh.Sighting // of a failure; nil: the present votes decide
}

// StandingOf returns the verdict that a check's latest transition published.
func StandingOf(t mesh.Transition) Standing {
	s := Standing{
		Host: mesh.Key(t.Host), Check: t.Check, CheckID: t.CheckID, Verdict: t.Verdict, Since: t.Began, Rule: t.Rule,
		Sentence: t.Sentence, Cause: t.Cause, Tally: t.Tally,
	}
	if broken(t.Verdict) {
		first := sentence.First(t.Began, t.Votes, t.Offset)
		s.First = &first
	}
	return s
}

// Start is a judge's initial state: the catalog and roster in force, the verdicts of the ledger, and when each vantage
// last sent a batch. A vantage that fell silent before the part of the stream that is replayed still belongs to the
// mesh; without its time, a mesh of three regions would be one of two after a restart.
type Start struct {
	Catalog   *catalog.Catalog
	Earlier   []*catalog.Catalog // that were in force before, which agents may still have; the newest last
	Roster    *mesh.Roster
	Standings []Standing
	Heard     map[string]time.Time // by vantage's key, see HeardIn
}

// HeardIn returns when each vantage was last heard, by the votes of published transitions.
func HeardIn(published []mesh.Transition) map[string]time.Time {
	heard := map[string]time.Time{}
	for _, t := range published {
		for _, v := range t.Votes {
			for _, e := range v.Edges {
				if e.At.After(heard[e.Vantage]) {
					heard[e.Vantage] = e.At
				}
			}
		}
	}
	return heard
}

// Judge is the state of every edge, check and host. It is not safe for concurrent use: one goroutine owns it.
type Judge struct {
	env      *environment
	mesh     *topology
	rounds   *rounds
	verdicts *verdicts
	intake   *intake
}

// New returns a judge that begins with the given state.
func New(s Start) *Judge {
	env, topology := &environment{}, newTopology()
	r := &rounds{env: env, mesh: topology}
	v := &verdicts{env: env, mesh: topology, rounds: r, correlation: correlation{env: env, mesh: topology}}
	j := &Judge{env: env, mesh: topology, rounds: r, verdicts: v, intake: newIntake(env, topology, r, v)}
	if s.Roster != nil {
		topology.setRoster(s.Roster)
	}
	for _, c := range s.Earlier {
		topology.names.set(c)
		if s.Roster != nil { // agents had it so, unless one got another name since
			var agents catalog.Agents
			agents.SetRoster(s.Roster)
			agents.SetCatalog(c)
			topology.names.add(agents.Facing())
		}
	}
	if s.Catalog != nil {
		j.setCatalog(s.Catalog)
	}
	for key, at := range s.Heard {
		if v := topology.vantages[key]; v != nil {
			v.heardAt = at
		}
	}
	j.Restore(s.Standings)
	return j
}

// Restore replaces the verdicts by those of the ledger and publishes nothing. What the judge knows of edges stays: a
// coordinator replays the last minutes of the stream first and calls Restore after that.
func (j *Judge) Restore(standings []Standing) {
	byID := map[string]*check{}
	for _, h := range j.mesh.hosts {
		for _, c := range h.checks {
			byID[c.id] = c
		}
	}
	for _, s := range standings {
		c := byID[s.CheckID]
		if h := j.mesh.byKey[s.Host]; s.CheckID == "" && h != nil {
			c = h.check(s.Check)
		}
		if c != nil {
			c.restore(s)
		}
	}
	for _, h := range j.mesh.hosts {
		h.restoreStatus()
	}
}

// Step applies the next message of the stream and returns what follows from it. Messages come in the stream's order. An
// earlier timestamp than the one before counts as the same moment.
func (j *Judge) Step(in Input) Output {
	out, _ := j.step(in)
	return out
}

// step is Step, and returns besides why each of the rounds opened.
func (j *Judge) step(in Input) (Output, []basis) {
	j.env.advance(in)
	switch {
	case in.Catalog != nil:
		j.setCatalog(in.Catalog)
		j.mesh.revisedAt = j.env.now
		j.verdicts.settleAll()
	case in.Roster != nil:
		if j.mesh.setRoster(in.Roster) {
			j.setCatalog(j.mesh.catalog)
		}
		j.verdicts.settleAll()
	case in.Batch != nil:
		j.intake.batch(in.Batch)
	default:
		j.verdicts.settleAll()
	}
	j.verdicts.settleHeld()
	// Rounds open last: the whole input is judged as before them.
	j.rounds.openDue()
	out := Output{Transitions: j.verdicts.transitions, Asks: j.rounds.asks}
	bases := j.rounds.bases
	j.verdicts.transitions, j.rounds.asks, j.rounds.bases = nil, nil, nil
	return out, bases
}

// setCatalog puts a catalog in force. Rounds under way and requests for rounds go on for checks that ask the same as
// before.
func (j *Judge) setCatalog(c *catalog.Catalog) {
	j.env.rule = c.Rule
	j.mesh.setCatalog(c)
	j.verdicts.correlation.held = nil
	j.rounds.reset()
}

// Busy reports whether a round is open or requested, or a fall is held back for rule 8. Then the leader ticks every 250
// ms instead of every 2 s.
func (j *Judge) Busy() bool {
	if len(j.verdicts.correlation.held) > 0 || len(j.rounds.requested) > 0 {
		return true
	}
	return slices.ContainsFunc(j.mesh.hosts, (*host).inRound)
}

// Ignored returns how many batches and observations were ignored: of unknown agents, of checks that the agent is not
// set to observe, and duplicates.
func (j *Judge) Ignored() uint64 { return j.intake.ignored }

// Snapshot returns the state of every host and vantage, as a value that later steps do not change.
func (j *Judge) Snapshot() *mesh.Snapshot {
	r := reporter{j.env, j.mesh}
	s := &mesh.Snapshot{At: j.env.now, Sequence: j.env.sequence}
	if j.mesh.catalog != nil {
		s.Revision = j.mesh.catalog.Revision
	}
	for _, h := range j.mesh.hosts {
		s.Hosts = append(s.Hosts, r.host(h))
	}
	for _, v := range j.mesh.order {
		s.Vantages = append(s.Vantages, r.vantage(v))
	}
	if j.env.halfSilent {
		s.Alerts = append(s.Alerts, "half or more of the regions are silent at once: "+
			"it may be this coordinator's own network, so nothing turns down")
	}
	return s
}
