package page

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// audienceView is the only access that handlers have to a Source: it returns what its audience may see. For the public
// that is PublicSnapshot, publicTransition and publicIncident. It is safe for concurrent use.
type audienceView struct {
	source   Source
	audience Audience

	mu       sync.Mutex
	from, to *mesh.Snapshot // the latest snapshot, and what of it the audience sees: one value for all readers
}

// moment returns what a page shows now.
func (v *audienceView) moment() moment {
	c, snapshot := v.source.Current()
	if v.audience == Public {
		snapshot = v.public(snapshot)
	}
	return moment{c, snapshot, v.audience}
}

func (v *audienceView) public(s *mesh.Snapshot) *mesh.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.from != s {
		v.from, v.to = s, PublicSnapshot(s)
	}
	return v.to
}

func (v *audienceView) changed() <-chan struct{} { return v.source.Changed() }

func (v *audienceView) ready() bool { return v.source.Ready() }

// transitions lists the newest transitions since the time, oldest first, of a host's key or of all hosts ("").
func (v *audienceView) transitions(
	ctx context.Context, host string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	all, err := v.source.Transitions(ctx, host, since, limit)
	if err != nil || v.audience == Operators {
		return all, err
	}
	var out []mesh.Transition
	for _, t := range all {
		if t.Public {
			out = append(out, publicTransition(t))
		}
	}
	return out, nil
}

// incidents lists the incidents that were not resolved before the time, newest first.
func (v *audienceView) incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error) {
	all, err := v.source.Incidents(ctx, since, limit)
	if err != nil || v.audience == Operators {
		return all, err
	}
	out := make([]*incident.Incident, len(all))
	for n, i := range all {
		out[n] = publicIncident(i)
	}
	return out, nil
}

// incident returns the incident with the id, or nil when there is none.
func (v *audienceView) incident(ctx context.Context, id string) (*incident.Incident, error) {
	i, err := v.source.Incident(ctx, id)
	if err != nil || i == nil || v.audience == Operators {
		return i, err
	}
	return publicIncident(i), nil
}

// PublicSnapshot returns what the public may see of a snapshot: public hosts, each check as PublicCheck shows it, and
// of the mesh itself only that something is wrong with it. It is built field by field, so that a field that is added
// to a snapshot is not public until it is added here. Sentences come from package sentence and contain no text of
// agents.
func PublicSnapshot(s *mesh.Snapshot) *mesh.Snapshot {
	out := &mesh.Snapshot{At: s.At, Offset: s.Offset, Sequence: s.Sequence, Revision: s.Revision}
	if len(s.Alerts) > 0 {
		out.Alerts = []string{"something is wrong with the mesh itself"}
	}
	for _, h := range s.Hosts {
		if !h.Public {
			continue
		}
		host := mesh.HostState{
			Name: h.Name, Region: h.Region, Public: true, Status: h.Status, Since: h.Since, Sentence: h.Sentence,
			Checks: make([]mesh.CheckState, len(h.Checks)),
		}
		for i, c := range h.Checks {
			host.Checks[i] = PublicCheck(c)
		}
		out.Hosts = append(out.Hosts, host)
	}
	return out
}

// PublicCheck returns what the public may see of a check. Its votes name no vantages and give no reason, except where
// a quorum confirmed that the check is down or partial: then a bad vote has one of the fixed phrases of mesh.Failure.
func PublicCheck(c mesh.CheckState) mesh.CheckState {
	out := mesh.CheckState{
		Name: c.Name, Kind: c.Kind, Critical: c.Critical, Verdict: c.Verdict, Since: c.Since, Sentence: c.Sentence,
		Tally:   c.Tally,
		Looking: c.Looking,
	}
	out.Votes = publicVotes(c.Votes, c.Verdict)
	return out
}

func publicVotes(votes []mesh.RegionVote, verdict mesh.Verdict) []mesh.RegionVote {
	confirmed := verdict == mesh.Down || verdict == mesh.Partial
	out := make([]mesh.RegionVote, len(votes))
	for i, v := range votes {
		out[i] = mesh.RegionVote{Region: v.Region, Own: v.Own, Vote: v.Vote, Since: v.Since}
		if confirmed && v.Vote == mesh.Bad && !v.Own {
			out[i].Why = v.Failure().String()
		}
	}
	return out
}

// publicTransition is what the public may see of a transition of a public host. The ledger rewrites the
// sentences of earlier versions.
func publicTransition(t mesh.Transition) mesh.Transition {
	return mesh.Transition{
		ID: t.ID, Sequence: t.Sequence, Host: t.Host, Public: t.Public, Check: t.Check, Was: t.Was,
		Verdict: t.Verdict, From: t.From, To: t.To, Began: t.Began, Published: t.Published, Sentence: t.Sentence,
		Tally: t.Tally, Votes: publicVotes(t.Votes, t.Verdict),
	}
}

// publicIncident is what the public may see of an incident, which is made from transitions of public hosts alone.
func publicIncident(i *incident.Incident) *incident.Incident {
	return &incident.Incident{
		ID: i.ID, State: i.State, Impact: i.Impact, Began: i.Began, Opened: i.Opened, Updated: i.Updated,
		Resolved: i.Resolved,
		Hosts:    slices.Clone(i.Hosts), Updates: slices.Clone(i.Updates), LeftOut: i.LeftOut,
	}
}
