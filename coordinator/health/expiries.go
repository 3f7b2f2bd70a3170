package health

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// checksMax is how many checks a warning names; of more, the rest is counted. One certificate may serve every host.
const checksMax = 8

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
	ends := map[string][]string{} // by end: one certificate may be that of many checks
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
			end := strconv.FormatInt(c.Expiry.At.Unix(), 10)
			ends[end] = append(ends[end], fmt.Sprintf("%s %s: %s", h.Name, c.Name, text))
		}
	}
	x.reported = reported
	x.warnings.set("expiry", joinChecks(texts)) // not Warn: each check was logged above
	parts := map[string]string{}
	for end, texts := range ends {
		parts[end] = joinChecks(texts)
	}
	x.warnings.setParts("expiry", parts)
}

func joinChecks(texts []string) string {
	text := strings.Join(texts[:min(len(texts), checksMax)], "; ")
	if more := len(texts) - checksMax; more > 0 {
		text += "; and " + mesh.Count(more, "more check")
	}
	return text
}
