package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// expiriesMax is how many checks the warning names; of more, the rest is counted. One certificate may serve every host.
const expiriesMax = 8

// Expiries notices what ends soon, as the certificates of the checks with certificate_days. Its methods are called by
// one goroutine, the engine's loop.
type Expiries struct {
	warnings *Warnings
	logger   zerolog.Logger
	reported map[checkKey]time.Time // by check: the end that was logged
}

// NewExpiries makes an Expiries that reports to the warnings and the log.
func NewExpiries(w *Warnings, l zerolog.Logger) *Expiries { return &Expiries{warnings: w, logger: l} }

// Observe updates the warning from a snapshot in mesh time. The offset is mesh time less the wall clock.
func (x *Expiries) Observe(s *mesh.Snapshot, offset time.Duration) {
	now, reported := s.At.Add(-offset), map[checkKey]time.Time{}
	var texts []string
	for _, h := range s.Hosts {
		for i := range h.Checks {
			c, key := &h.Checks[i], checkKey{mesh.Key(h.Name), h.Checks[i].Name}
			was, logged := x.reported[key]
			if c.Expiry == nil {
				// While nobody sees the certificate, as in an outage, it is not known to be renewed.
				if logged && c.Verdict == mesh.Up {
					x.logger.Info().Str("host", h.Name).Str("check", c.Name).Msg("certificate no longer ends soon")
				} else if logged {
					reported[key] = was
				}
				continue
			}
			text := c.Expiry.Describe(now)
			if reported[key] = c.Expiry.At; !was.Equal(c.Expiry.At) {
				x.logger.Warn().Str("host", h.Name).Str("check", c.Name).Time("ends", c.Expiry.At).Msg(text)
			}
			texts = append(texts, fmt.Sprintf("%s %s: %s", h.Name, c.Name, text))
		}
	}
	x.reported = reported
	text := strings.Join(texts[:min(len(texts), expiriesMax)], "; ")
	if more := len(texts) - expiriesMax; more > 0 {
		text += fmt.Sprintf("; and %d more checks", more)
	}
	x.warnings.set("expiry", text) // not Warn: each check was logged above
}
