package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// pendingAfter is how long a check may be pending before it is reported: longer than it takes to open a firewall
	// or to start a new server's services.
	pendingAfter = 15 * time.Minute
	// pendingMax is how many checks the warning describes; of more, the rest is counted. A firewall that keeps the
	// whole mesh out makes every check of a host pending.
	pendingMax = 8
	// reasonsMax is how many different results of vantages a check's description quotes, the most frequent first.
	reasonsMax = 2
	// reasonMax is how many characters of a result are quoted. Agents write them.
	reasonMax = 120
)

// PendingChecks notices checks that were never up for so long that they will hardly ever be: a port or a pattern is
// mistyped, the port speaks another protocol, or a firewall keeps the vantages out. Such a check is no outage, so
// nothing else reports it. Its methods are called by one goroutine, the engine's loop.
type PendingChecks struct {
	warnings *Warnings
	logger   zerolog.Logger

	since    map[checkKey]time.Time // when each pending check was first observed as pending, mesh time
	reported map[checkKey]bool      // the checks that were logged
}

type checkKey struct{ host, check string }

// NewPendingChecks makes a PendingChecks that reports to the warnings and the log.
func NewPendingChecks(w *Warnings, l zerolog.Logger) *PendingChecks {
	return &PendingChecks{warnings: w, logger: l}
}

// Observe updates the warning from a snapshot in mesh time.
func (p *PendingChecks) Observe(s *mesh.Snapshot) {
	since, reported := map[checkKey]time.Time{}, map[checkKey]bool{}
	var texts []string
	for _, h := range s.Hosts {
		for i := range h.Checks {
			c, key := &h.Checks[i], checkKey{mesh.Key(h.Name), h.Checks[i].Name}
			if c.Verdict != mesh.Pending {
				if p.reported[key] {
					p.logger.Info().Str("host", h.Name).Str("check", c.Name).Str("verdict", string(c.Verdict)).
						Msg("check no longer pending")
				}
				continue
			}
			first, ok := p.since[key]
			if !ok {
				first = s.At
			}
			since[key] = first
			if s.At.Sub(first) < pendingAfter {
				continue
			}
			reported[key] = true
			why := pendingReason(c)
			if !p.reported[key] {
				p.logger.Warn().Str("host", h.Name).Str("check", c.Name).Str("reason", why).Msg("check still pending")
			}
			texts = append(texts, fmt.Sprintf("%s %s: %s", h.Name, c.Name, why))
		}
	}
	p.since, p.reported = since, reported
	p.warnings.set("pending", pendingText(texts)) // not Warn: each check was logged above
}

func pendingText(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	text := fmt.Sprintf("never up in %d minutes, so no outage of it is reported: %s", int(pendingAfter.Minutes()),
		strings.Join(texts[:min(len(texts), pendingMax)], "; "))
	if more := len(texts) - pendingMax; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text + "; `coordinator explain HOST` shows every result"
}

// pendingReason describes what the vantages that may vote on the check report, and how many do.
func pendingReason(c *mesh.CheckState) string {
	counts, vantages := map[string]int{}, map[string]bool{}
	total := 0
	for _, v := range c.Votes {
		if v.Own {
			continue
		}
		for _, e := range v.Edges {
			total++
			vantages[e.Vantage] = true
			counts[edgeResult(e)]++
		}
	}
	if total == 0 {
		return "no vantage of another region probes it"
	}
	results := make([]string, 0, len(counts))
	for result := range counts {
		results = append(results, result)
	}
	slices.SortFunc(results, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	noun := "vantages"
	if total != len(vantages) {
		noun = "paths of vantages" // one for each address family
	}
	var parts []string
	rest := total
	for _, result := range results[:min(len(results), reasonsMax)] {
		rest -= counts[result]
		parts = append(parts, fmt.Sprintf("%d of %d %s: %s", counts[result], total, noun, result))
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d: other results", rest))
	}
	return strings.Join(parts, ", ")
}

// edgeResult is an edge's result as it is quoted. An agent may write any text, so it is quoted as a Go string is.
func edgeResult(e mesh.EdgeState) string {
	text := e.Why
	switch {
	case e.At.IsZero():
		return "no result yet"
	case e.Vote == mesh.OK:
		return "reachable"
	case e.Vote == mesh.Bad || text == "":
		text = e.Reason
	}
	if letters := []rune(text); len(letters) > reasonMax {
		text = string(letters[:reasonMax-1]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
