package engine

import (
	"context"
	"sync"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Members records which agents joined and which keys were revoked. It is safe for concurrent use.
type Members struct {
	config MembersConfig
	mu     sync.Mutex // orders the rosters on the stream as the events in the ledger
}

// MembersConfig configures Members.
type MembersConfig struct {
	Bus     Bus
	Ledger  *ledger.Ledger
	View    *view.View
	Clock   *Clock
	Catalog func() *catalog.Catalog // in force
}

// NewMembers makes Members.
func NewMembers(c MembersConfig) *Members { return &Members{config: c} }

// KnownHost reports whether the catalog in force has the host.
func (m *Members) KnownHost(key string) bool { return m.config.Catalog().Host(key) != nil }

// HostName returns how the catalog in force spells the name of the host with the key; the key if it has none.
func (m *Members) HostName(key string) string { return m.config.Catalog().HostName(key) }

// HostID returns the id of the host that has the name, or had it last; empty if the catalog in force has none.
func (m *Members) HostID(name string) string {
	if h := m.config.Catalog().HostOnceNamed(name); h != nil {
		return h.Identity()
	}
	return ""
}

// Enrolled records that an agent joined, and adds its vantage for the judges.
func (m *Members) Enrolled(ctx context.Context, host, publicKey string) error {
	return m.record(ctx, ledger.AgentEvent{Host: host, HostID: m.HostID(host), PublicKey: publicKey})
}

// Revoked records that an agent's key was revoked, and removes its vantage for the judges.
func (m *Members) Revoked(ctx context.Context, host, publicKey string) error {
	return m.record(ctx, ledger.AgentEvent{Host: host, PublicKey: publicKey, Revoked: true})
}

func (m *Members) record(ctx context.Context, event ledger.AgentEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	event.Mesh = m.config.Clock.MeshTime().UTC()
	if err := m.config.Ledger.Append(ctx, event); err != nil {
		return err
	}
	_, err := markRoster(ctx, m.config.Bus, m.config.View)
	return err
}

// Key returns the key of the host with the id in the catalog in force; empty if it has none.
func (m *Members) Key(id string) string {
	if h := m.config.Catalog().HostByID(id); id != "" && h != nil {
		return h.Key()
	}
	return ""
}

// NextName records that an agent may connect by another name, for which credentials are issued after the second since.
func (m *Members) NextName(ctx context.Context, a ledger.Agent, next string, since int64) error {
	event := ledger.AgentEvent{Host: a.Name, HostID: a.HostID, PublicKey: a.PublicKey, Next: next, Since: since}
	return m.record(ctx, event)
}

// Renamed records that an agent has its next name.
func (m *Members) Renamed(ctx context.Context, a ledger.Agent) error {
	return m.record(ctx, ledger.AgentEvent{Host: a.Next, HostID: a.HostID, PublicKey: a.PublicKey, Former: a.Name})
}

// Agent returns the agent that NATS knows by the name, or is to know by it; or ledger.ErrNoAgent.
func (m *Members) Agent(ctx context.Context, name string) (ledger.Agent, error) {
	return m.config.View.Agent(ctx, name)
}

// AgentOf returns the agent of the host that has the name, or had it last; or ledger.ErrNoAgent.
func (m *Members) AgentOf(ctx context.Context, host string) (ledger.Agent, error) {
	return view.AgentOf(ctx, m.config.View, m.HostID(host), host)
}

// Since returns the second up to which credentials of the key are revoked: see ledger.Agent.
func (m *Members) Since(ctx context.Context, publicKey string) (int64, error) {
	return view.AgentSince(ctx, m.config.View, publicKey)
}

// Agents returns the agents that belong.
func (m *Members) Agents(ctx context.Context) ([]ledger.Agent, error) {
	return view.Agents(ctx, m.config.View)
}

// EndedKeys returns every key that must no longer connect.
func (m *Members) EndedKeys(ctx context.Context) ([]string, error) {
	return m.config.View.EndedKeys(ctx)
}

// markRoster writes the present roster into the stream, and returns the mark's sequence.
func markRoster(ctx context.Context, b Bus, v *view.View) (sequence uint64, err error) {
	roster, err := v.Roster(ctx)
	if err != nil {
		return 0, err
	}
	data, err := wire.EncodeRoster(roster)
	if err != nil {
		return 0, err
	}
	return b.Mark(ctx, bus.RosterMark, markID(), data)
}
