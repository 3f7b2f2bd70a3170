package wire

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// phasesMax bounds each phase. A probe ends within its timeouts, which are far shorter.
const phasesMax = time.Hour

func encodePhases(p mesh.Phases) []int64 {
	if p == (mesh.Phases{}) {
		return nil
	}
	return []int64{p.Connect.Microseconds(), p.TLS.Microseconds(), p.FirstByte.Microseconds(), p.Body.Microseconds()}
}

// decodePhases returns no phases for what only a later version reports.
func decodePhases(microseconds []int64) (mesh.Phases, error) {
	if len(microseconds) != 4 {
		return mesh.Phases{}, nil
	}
	var d [4]time.Duration
	for i, us := range microseconds {
		if us < 0 || us > phasesMax.Microseconds() {
			return mesh.Phases{}, fmt.Errorf("%w: a phase of %d us", ErrTime, us)
		}
		d[i] = time.Duration(us) * time.Microsecond
	}
	return mesh.Phases{Connect: d[0], TLS: d[1], FirstByte: d[2], Body: d[3]}, nil
}
