package engine

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// logExclusion logs that a message got its agent excluded.
func (e *Engine) logExclusion(m message) {
	for _, x := range e.decoder.filter.Excluded(m.at) {
		if x.Agent == e.decoder.filter.Key(m.Agent) {
			e.config.Logger.Warn().Str("agent", x.Agent).Str("why", x.Why).Msg("agent excluded")
		}
	}
}

// describeExclusions writes into the snapshot which agents are excluded, and why. The offset is mesh time less the wall
// clock.
func describeExclusions(s *mesh.Snapshot, filter *admission.Filter, offset time.Duration) {
	for _, x := range filter.Excluded(s.At) {
		for i := range s.Vantages {
			v := &s.Vantages[i]
			if mesh.Key(v.Name) != x.Agent {
				continue
			}
			v.Abstains = "excluded: " + x.Why
			v.Advisories = append(v.Advisories, fmt.Sprintf("excluded since %s until it has behaved well for a minute: "+
				"it %s; if somebody else controls its server, run `coordinator revoke %s`",
				x.Since.Add(-offset).UTC().Format(time.TimeOnly), x.Why, v.Name))
		}
	}
}
