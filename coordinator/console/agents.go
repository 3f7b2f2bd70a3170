package console

import (
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type agentRow struct {
	web.Look
	mesh.VantageState
	Addresses []string
}

// agentsPage is the page of all agents.
func agentsPage(s *console, r request) (view, error) {
	var rows []agentRow
	t := table{name: "agents", columns: []string{
		"agent", "region", "state", "version", "catalog", "connected_at", "last_batch_at", "clock_offset_seconds",
		"timer_lag_seconds", "queued", "dropped", "abstains", "spool_off", "advisories",
	}}
	for _, a := range r.snapshot.Vantages {
		a.Clock, a.Lag = a.Clock.Round(time.Millisecond), a.Lag.Round(time.Millisecond)
		row := agentRow{Look: web.AgentLook(a), VantageState: a}
		if h := r.catalog.Host(mesh.Key(a.Name)); h != nil {
			row.Addresses = h.Addresses
		}
		rows = append(rows, row)
		t.rows = append(t.rows, []any{
			a.Name, a.Region, row.Word, a.Version, a.Revision, a.Connected, a.LastBatch, a.Clock, a.Lag, a.Queued,
			a.Dropped, a.Abstains, a.SpoolOff, joined(a.Advisories),
		})
	}
	return view{title: "Agents", template: "agents", section: "/agents", data: rows, tables: []table{t}}, nil
}

// connected reports whether batches of the agent arrive.
func connected(a mesh.VantageState) bool { return !a.Silent && !a.LastBatch.IsZero() }

func connectedAgents(s *mesh.Snapshot) (n int) {
	for _, a := range s.Vantages {
		if connected(a) {
			n++
		}
	}
	return n
}
