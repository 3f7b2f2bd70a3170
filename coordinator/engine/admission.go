package engine

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// logCut logs that the message had its agent cut off.
func (e *Engine) logCut(m message) {
	for _, c := range e.decoder.ward.Cases(m.at) {
		if c.Agent == m.Agent {
			e.config.Logger.Warn().Str("agent", c.Agent).Str("why", c.Why).Msg("agent cut off")
		}
	}
}

// describeCut writes into the snapshot which agents are cut off, and why. The offset is mesh time less the wall clock.
func describeCut(s *mesh.Snapshot, ward *admission.Ward, offset time.Duration) {
	for _, c := range ward.Cases(s.At) {
		for i := range s.Vantages {
			v := &s.Vantages[i]
			if mesh.Key(v.Name) != c.Agent {
				continue
			}
			v.Abstains = "cut off: " + c.Why
			v.Advisories = append(v.Advisories, fmt.Sprintf("cut off since %s until it has behaved well for a minute: it %s; "+
				"if its server is not in your hands, run `coordinator revoke %s`",
				c.Since.Add(-offset).UTC().Format(time.TimeOnly), c.Why, v.Name))
		}
	}
}
