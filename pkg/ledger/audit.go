package ledger

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
)

// AuditEvent records who did something. The ledger is kept for ever, so the person is an id, whose name is elsewhere
// and can be erased.
type AuditEvent struct {
	Event string `json:"event"` // random: a repeat of the event has the same
	Actor string `json:"actor"` // the id of a token, or "shell"
	// Action is what was done, as in "post.publish": a kind of thing and a verb. Older records have some verbs in the
	// past tense, as in "post.published".
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

// verbs are those of actions whose events have another form.
var verbs = map[string]string{
	string(PostPublished): "publish", string(PostEdited): "edit", string(PostRemoved): "remove",
	string(NotifyAcknowledged): "acknowledge", string(NotifySilenced): "silence",
	string(NotifyUnsilenced): "unsilence",
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
	verb := cmp.Or(verbs[fields.Action], fields.Action)
	return AuditEvent{
		Event: strings.ToLower(rand.Text()), Actor: actor, Action: strings.TrimSuffix(kind+"."+verb, "."),
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
