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

// KnownID reports whether the catalog in force has the host with the id.
func (m *Members) KnownID(id string) bool { return id != "" && m.config.Catalog().HostByID(id) != nil }

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

// Agent returns what the agent joined with last that NATS knows by the name, or that is of the host which has the name;
// or ledger.ErrNoAgent.
func (m *Members) Agent(ctx context.Context, host string) (ledger.Agent, error) {
	return m.config.View.Agent(ctx, host, m.HostID(host))
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
