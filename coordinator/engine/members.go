package engine

import (
	"context"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// KnownHost reports whether the catalog in force has the host.
func (e *Engine) KnownHost(key string) bool { return e.held().Host(key) != nil }

// Enrolled notes in the ledger that an agent joined, and tells the judges.
func (e *Engine) Enrolled(ctx context.Context, host, publicKey string) error {
	return e.member(ctx, ledger.AgentEvent{Host: host, PublicKey: publicKey})
}

// Revoked notes in the ledger that an agent's key was revoked, and tells the judges, which drop the vantage.
func (e *Engine) Revoked(ctx context.Context, host, publicKey string) error {
	return e.member(ctx, ledger.AgentEvent{Host: host, PublicKey: publicKey, Revoked: true})
}

func (e *Engine) member(ctx context.Context, event ledger.AgentEvent) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	event.Mesh = e.MeshTime().UTC()
	if err := e.Ledger.Append(ctx, event); err != nil {
		return err
	}
	_, err := e.markRoster(ctx)
	return err
}

// Agent tells the key that the host's agent joined with last, or ledger.ErrNoAgent.
func (e *Engine) Agent(ctx context.Context, host string) (ledger.Agent, error) {
	return e.View.Agent(ctx, host)
}

// EndedKeys lists every key that must not open the bus any more.
func (e *Engine) EndedKeys(ctx context.Context) ([]string, error) { return e.View.EndedKeys(ctx) }
