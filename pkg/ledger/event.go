package ledger

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Event is what the ledger stores: a CatalogEvent, an AgentEvent, a TransitionEvent, a PauseEvent, an AuditEvent, or
// what a person wrote, as a PostEvent, a MaintenanceEvent or an IncidentEvent.
type Event interface{ entry() (Entry, error) }

// errNoMeshTime rejects an event that would depend on when the log received it, which Append does not learn.
var errNoMeshTime = errors.New("the event has no mesh time")

// CatalogEvent is a catalog that came into force.
type CatalogEvent struct {
	Source  string           `json:"source"` // the file, or who applied it
	Catalog *catalog.Catalog `json:"catalog"`
	// Mesh is the mesh time at which it came into force. Only events of early versions have none: see At.
	Mesh   time.Time     `json:"mesh,omitzero"`
	Offset time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// At returns the mesh time of the event, by its record in the log. Early versions stored none; the log's time stands
// in for it.
func (e CatalogEvent) At(r Record) time.Time { return meshTime(e.Mesh, r.Time) }

func (e CatalogEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	// A random id, since the same catalog may come into force again after another.
	return encode("catalog", e.Catalog.Revision+"-"+rand.Text(), e)
}

// AgentEvent is an agent that was enrolled with a key, or whose key was revoked, or whose credential gets the present
// name of its host: first Next says so, then Former that the agent has the new one.
type AgentEvent struct {
	Host      string    `json:"host"`              // by which NATS knows it: what its host was called when it joined
	HostID    string    `json:"host_id,omitempty"` // of its host; events of early versions have none
	PublicKey string    `json:"public_key"`
	Revoked   bool      `json:"revoked,omitempty"`
	Next      string    `json:"next,omitempty"`   // the name that the agent may have instead
	Since     int64     `json:"since,omitempty"`  // with Next: see Agent
	Former    string    `json:"former,omitempty"` // the name that the agent had before; Host was Next
	Mesh      time.Time `json:"mesh,omitzero"`    // only events of early versions have none: see At
}

// At returns the mesh time of the event, as CatalogEvent.At does.
func (e AgentEvent) At(r Record) time.Time { return meshTime(e.Mesh, r.Time) }

func (e AgentEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	id := e.Host + "-" + e.PublicKey
	if e.Revoked {
		id += "-revoked"
	}
	if e.Next != "" || e.Former != "" { // an agent may get a name again that it had
		id += fmt.Sprintf("-%s-%s-%d", e.Next, e.Former, e.Mesh.UnixNano())
	}
	return encode("agent."+e.Host, id, e)
}

// TransitionEvent is a transition that was published.
type TransitionEvent struct{ Transition mesh.Transition }

func (e TransitionEvent) entry() (Entry, error) {
	t := e.Transition
	// A transition's id counts the stream of observations. A stream that is recreated counts from 1 again, so the
	// time is part of the entry's id.
	return encode("transition."+mesh.Key(t.Host), fmt.Sprintf("t-%s-%d", t.ID, t.Published.UnixNano()), t)
}

// PauseEvent is a time in which nothing was judged: the coordinator was off, or NATS away. What stood then may have
// changed without anybody seeing it.
type PauseEvent struct {
	From time.Time `json:"from"` // mesh time
	To   time.Time `json:"to"`
}

func (e PauseEvent) entry() (Entry, error) {
	if e.From.IsZero() || e.To.IsZero() {
		return Entry{}, errNoMeshTime
	}
	return encode("pause", fmt.Sprintf("pause-%d-%d", e.From.UnixNano(), e.To.UnixNano()), e)
}

func encode(subject, id string, v any) (Entry, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Entry{}, fmt.Errorf("encode %s: %w", subject, err)
	}
	return Entry{Subject: subject, ID: id, Data: data}, nil
}

func meshTime(own, received time.Time) time.Time {
	if own.IsZero() {
		return received
	}
	return own
}
