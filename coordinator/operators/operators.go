// Package operators knows who may change what people read, and records who did. A program proves who it is by a token:
// 256 random bits, of which the stream PEOPLE has a SHA-256 alone. The ledger's audit log has the token's id, and the
// name that belongs to it is in PEOPLE, where it can be erased.
package operators

import (
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Shell is the id of everybody who uses the commands of this machine: the file system says who may.
const Shell = "shell"

// Actor is who makes a change.
type Actor struct {
	ID string // of a token, or Shell
	// Key and Request are the digests of an idempotency key and of the request that came with it; both may be empty.
	Key, Request string
}

type actorKey struct{}

// With returns a context in which the actor makes changes.
func With(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, actorKey{}, a) }

// ActorOf returns who makes changes in the context. What the coordinator does by itself has no actor.
func ActorOf(ctx context.Context) (Actor, bool) {
	a, ok := ctx.Value(actorKey{}).(Actor)
	return a, ok
}

// Ledger appends events.
type Ledger interface {
	Append(ctx context.Context, events ...ledger.Event) error
}

// Journal is a Ledger that records who made each event. The record is appended with the event: both, or neither.
type Journal struct{ Ledger Ledger }

// Append appends the events, and the records of who made them if the context has an actor.
func (j Journal) Append(ctx context.Context, events ...ledger.Event) error {
	actor, known := ActorOf(ctx)
	if !known {
		return j.Ledger.Append(ctx, events...)
	}
	all := append([]ledger.Event{}, events...)
	for _, e := range events {
		record, err := ledger.NewAuditEvent(actor.ID, e)
		if err != nil {
			return err
		}
		record.Key, record.Request = actor.Key, actor.Request
		all = append(all, record)
	}
	return j.Ledger.Append(ctx, all...)
}

// Audit reads the audit log.
type Audit interface {
	List(ctx context.Context, before uint64, limit int) ([]ledger.AuditEntry, error)
	ByKey(ctx context.Context, key string) ([]ledger.AuditEntry, error)
}

// AuditLog returns who did what, newest first: at most limit entries before the sequence, or the newest ones if that is
// 0. An actor whose name was erased has none.
func (t *Tokens) AuditLog(ctx context.Context, before uint64, limit int) ([]ledger.AuditEntry, error) {
	entries, err := t.config.Audit.List(ctx, before, limit)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, e := range entries {
		if e.Actor == Shell {
			entries[i].Name = "commands of this machine"
		} else if known := t.tokens[e.Actor]; known != nil {
			entries[i].Name = known.Name
		}
	}
	return entries, err
}

// Earlier returns what an earlier request with the actor's idempotency key changed, oldest first; nothing if there was
// none. It fails if that was another request.
func (t *Tokens) Earlier(ctx context.Context, a Actor) ([]ledger.AuditEntry, error) {
	done, err := t.config.Audit.ByKey(ctx, a.Key)
	if err != nil || len(done) == 0 {
		return nil, err
	}
	if done[0].Request != a.Request {
		return nil, errkind.New(errkind.Conflict, fmt.Sprintf(
			"another request had this idempotency key at %s: use a new key for each request",
			done[0].At.Format(time.RFC3339)))
	}
	return done, nil
}
