package ledger

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
)

// AuditEvent records who did something. The ledger is kept for ever, so the person is an id, whose name is elsewhere
// and can be erased.
type AuditEvent struct {
	Event  string `json:"event"` // random: a repeat of the event has the same
	Actor  string `json:"actor"` // the id of a token, or "shell"
	Action string `json:"action"`
	Object string `json:"object,omitempty"` // the id of what was changed
	// Key is the digest of a client's idempotency key, and Request that of the request that the client sent with it.
	Key     string        `json:"key,omitempty"`
	Request string        `json:"request,omitempty"`
	Mesh    time.Time     `json:"mesh"`
	Offset  time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// Wall returns when the event happened by the wall clock.
func (e AuditEvent) Wall() time.Time { return e.Mesh.Add(-e.Offset) }

func (e AuditEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	return encode("audit", "audit-"+e.Event, e)
}

// NewAuditEvent records that the actor made an event that a person makes, as a PostEvent.
func NewAuditEvent(actor string, made Event) (AuditEvent, error) {
	entry, err := made.entry()
	if err != nil {
		return AuditEvent{}, err
	}
	var fields struct {
		Action string        `json:"action"`
		Mesh   time.Time     `json:"mesh"`
		Offset time.Duration `json:"offset"`
	}
	if err := json.Unmarshal(entry.Data, &fields); err != nil {
		return AuditEvent{}, err
	}
	kind, object, _ := strings.Cut(entry.Subject, ".")
	return AuditEvent{
		Event: strings.ToLower(rand.Text()), Actor: actor, Action: strings.TrimSuffix(kind+"."+fields.Action, "."),
		Object: object, Mesh: fields.Mesh, Offset: fields.Offset,
	}, nil
}

// AuditEntry is an AuditEvent as readers get it.
type AuditEntry struct {
	Sequence uint64    `json:"sequence"` // in the ledger: the order
	At       time.Time `json:"at"`       // by the wall clock
	Actor    string    `json:"actor"`    // the id of a token, or "shell"
	Name     string    `json:"name"`     // of the actor, while it is known
	Action   string    `json:"action"`
	Object   string    `json:"object,omitempty"`
	// Request is the digest of the request, if it had an idempotency key.
	Request string `json:"-"`
}
