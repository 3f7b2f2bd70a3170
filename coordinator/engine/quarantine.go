package engine

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// listen reads a batch, and hands on what the judge may hear of it. The judge of the present and each one of the past has a
// ward of its own, which comes to the same.
func (e *Engine) listen(m message, ward *admission.Ward) (*mesh.Batch, error) {
	b, err := readBatch(m)
	if err != nil {
		b = nil
	}
	heard, cut := ward.Take(m.at, m.Agent, len(m.Data), b, err)
	if cut && ward == e.ward && m.Sequence > e.live {
		for _, c := range ward.Cases(m.at) {
			if c.Agent == m.Agent {
				e.Logger.Warn().Str("agent", c.Agent).Str("why", c.Why).Msg("an agent is cut off: it has no vote until it behaved well for a minute")
			}
		}
	}
	return heard, err
}

// nameCut tells operators which agents are cut off, and why. The offset is mesh time less the wall clock.
func nameCut(s *mesh.Snapshot, ward *admission.Ward, offset time.Duration) {
	for _, c := range ward.Cases(s.At) {
		for i := range s.Vantages {
			v := &s.Vantages[i]
			if mesh.Key(v.Name) != c.Agent {
				continue
			}
			v.Abstains = "cut off: " + c.Why
			v.Advisories = append(v.Advisories, fmt.Sprintf(
				"it is cut off since %s, until it behaved well for a minute: it %s; if its server is not in your hands, run `coordinator revoke %s`",
				c.Since.Add(-offset).UTC().Format(time.TimeOnly), c.Why, v.Name))
		}
	}
}
