package vantage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/agent/outbox"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Snapshot is a vantage's state at one moment. It is a copy that nothing changes afterwards.
type Snapshot struct {
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	Region   string       `json:"region,omitempty"`
	Revision string       `json:"revision,omitempty"` // of the catalog; empty while there is none
	At       time.Time    `json:"at"`
	Began    time.Time    `json:"began"` // the agent
	Edges    []Edge       `json:"edges"`
	Anchors  []Edge       `json:"anchors,omitempty"`
	Spool    outbox.Stats `json:"spool"`
	Gossips  bool         `json:"gossips"`

	Peers []gossip.Member `json:"peers,omitempty"`
}

// Edge is the latest observation of one check through one address family.
type Edge struct {
	Host    string        `json:"host"`
	Check   string        `json:"check"`
	Family  mesh.Family   `json:"family"`
	Address string        `json:"address"`
	Outcome mesh.Outcome  `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	RTT     time.Duration `json:"rtt,omitempty"`  // nanoseconds
	Seen    time.Time     `json:"seen,omitzero"`  // when it settled; zero before the first
	Since   time.Time     `json:"since,omitzero"` // when the outcome became good, bad or inconclusive
}

// Requests carries requests for snapshots to a running vantage, whose loop answers them.
type Requests chan func(Snapshot)

// Snapshot returns the vantage's present state. It waits for the loop until ctx ends.
func (r Requests) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1) // so that the loop never waits for the caller
	select {
	case r <- func(s Snapshot) { answer <- s }:
		return <-answer, nil
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
}

// latest is the latest settled observation of an edge.
type latest struct {
	observation mesh.Observation
	since       time.Time // its outcome has been good, bad or inconclusive
}

// note replaces the observation by a later one, if that is settled.
func (l *latest) note(o mesh.Observation) {
	if o.Stage != mesh.Settled {
		return
	}
	before := l.observation
	if before.Began.IsZero() || o.Outcome != before.Outcome && !(o.Outcome.Good() && before.Outcome.Good()) {
		l.since = o.Began
	}
	l.observation = o
}

// snapshot copies the loop's state.
func (v *vantage) snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Name: v.config.Name, Version: v.config.Version, Region: v.region, At: now, Began: v.began,
		Edges: []Edge{}, Spool: v.stats(),
		Gossips: v.config.Gossip != nil,
	}
	if v.catalog != nil {
		s.Revision = v.catalog.Revision
	}
	if v.config.Gossip != nil {
		s.Peers = v.config.Gossip.Members()
	}
	for _, d := range v.duties {
		if d.isAnchor() {
			s.Anchors = append(s.Anchors, d.snapshot())
			continue
		}
		s.Edges = append(s.Edges, d.snapshot())
	}
	for _, edges := range [][]Edge{s.Edges, s.Anchors} {
		slices.SortFunc(edges, func(a, b Edge) int {
			return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Family, b.Family))
		})
	}
	return s
}

func (d *duty) snapshot() Edge {
	o := d.latest.observation
	e := Edge{
		Host: d.Host.Name, Check: d.Check.Name, Family: d.Family, Address: d.Address,
		Outcome: o.Outcome, Reason: o.Reason, RTT: o.RTT, Since: d.latest.since,
	}
	if o.Began.IsZero() {
		e.Reason = "not probed yet"
		return e
	}
	e.Seen = o.Ended()
	return e
}
