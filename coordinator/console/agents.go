package console

import (
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type agentRow struct {
	web.Look
	mesh.VantageState
}

func newAgentRows(s *mesh.Snapshot) []agentRow {
	var rows []agentRow
	for _, a := range s.Vantages {
		a.Clock, a.Lag = a.Clock.Round(time.Millisecond), a.Lag.Round(time.Millisecond)
		rows = append(rows, agentRow{web.AgentLook(a), a})
	}
	return rows
}

// connected reports whether batches of the agent arrive.
func connected(a mesh.VantageState) bool { return !a.Silent && !a.LastBatch.IsZero() }
