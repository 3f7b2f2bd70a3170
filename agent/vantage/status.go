package vantage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Snapshot is what a vantage sees and has to say at one moment. Nobody changes it afterwards.
type Snapshot struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Region   string    `json:"region,omitempty"`
	Revision string    `json:"revision,omitempty"` // of the catalog; empty while there is none
	At       time.Time `json:"at"`
	Began    time.Time `json:"began"` // the agent
	Edges    []Edge    `json:"edges"`
	Anchors  []Edge    `json:"anchors,omitempty"`
	Spool    Spool     `json:"spool"`
	Gossips  bool      `json:"gossips"`

	Peers []gossip.Member `json:"peers,omitempty"`
}

// Edge is what the vantage last saw of one check through one address family.
type Edge struct {
	Host    string        `json:"host"`
	Check   string        `json:"check"`
	Family  mesh.Family   `json:"family"`
	Address string        `json:"address"`
	Outcome mesh.Outcome  `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	RTT     time.Duration `json:"rtt,omitempty"` // nanoseconds
	Seen    time.Time     `json:"seen,omitzero"` // when the look ended; zero before the first
	Since   time.Time     `json:"since,omitzero"`
}

// Spool is what waits to be acknowledged.
type Spool struct {
	Batches int    `json:"batches"`
	Dropped uint64 `json:"dropped"`       // observations, since the agent began
	Off     string `json:"off,omitempty"` // why they wait in memory and not on the disk
}

// Requests ask a running vantage for snapshots: the loop that owns the state answers them.
type Requests chan func(Snapshot)

// Snapshot is what the vantage sees now.
func (r Requests) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1) // so that the loop never waits for who asked
	select {
	case r <- func(s Snapshot) { answer <- s }:
		return <-answer, nil
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
}

// latest is what an edge was last found to be.
type latest struct {
	mesh.Observation
	since time.Time // its outcome is good, bad or inconclusive
}

// note takes a settled observation of the edge.
func (l *latest) note(o mesh.Observation) {
	if o.Stage != mesh.Settled {
		return
	}
	if l.Began.IsZero() || o.Outcome != l.Outcome && !(o.Outcome.Good() && l.Outcome.Good()) {
		l.since = o.Began
	}
	l.Observation = o
}

// snapshot copies what the loop knows.
func (v *vantage) snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Name: v.Name, Version: v.Version, Region: v.region, At: now, Began: v.began, Edges: []Edge{}, Spool: v.spooled(),
		Gossips: v.Gossip != nil,
	}
	if v.catalog != nil {
		s.Revision = v.catalog.Revision
	}
	if v.Gossip != nil {
		s.Peers = v.Gossip.Members()
	}
	for _, d := range v.duties {
		if d.isAnchor() {
			s.Anchors = append(s.Anchors, d.view())
			continue
		}
		s.Edges = append(s.Edges, d.view())
	}
	for _, edges := range [][]Edge{s.Edges, s.Anchors} {
		slices.SortFunc(edges, func(a, b Edge) int {
			return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Family, b.Family))
		})
	}
	return s
}

func (d *duty) view() Edge {
	e := Edge{
		Host: d.Host.Name, Check: d.Check.Name, Family: d.Family, Address: d.Address,
		Outcome: d.latest.Outcome, Reason: d.latest.Reason, RTT: d.latest.RTT, Since: d.latest.since,
	}
	if d.latest.Began.IsZero() {
		e.Reason = "not looked at yet"
		return e
	}
	e.Seen = d.latest.Ended()
	return e
}

// spooled is what waits.
func (v *vantage) spooled() Spool {
	return Spool{Batches: v.waits(), Dropped: v.lost(), Off: v.disk.off}
}
