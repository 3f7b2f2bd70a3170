package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

const (
	// pendingMax is how many checks, and how many reasons, the warning names; of more, the rest is counted. A firewall
	// that keeps the mesh out makes every check of a host pending.
	pendingMax = 8
	// resultsMax is how many different results of vantages a reason quotes, the most frequent first.
	resultsMax = 2
	// resultMax is how many characters of a result are quoted. Agents write them.
	resultMax = 120
)

// PendingChecks notices checks that have no verdict for so long that they will hardly ever have one: a port or a
// pattern is mistyped, the port speaks another protocol, a firewall keeps the vantages out, or too few regions take
// part. Such a check is no outage, so nothing else reports it. Its methods are called by one goroutine, the engine's
// loop.
type PendingChecks struct {
	// After is how long a check may be without a verdict before it is reported: longer than it takes to open a
	// firewall or to start a new server's services.
	After time.Duration

	warnings *Warnings
	logger   zerolog.Logger

	since    map[checkKey]time.Time // when each such check was first observed, mesh time
	reported map[checkKey]bool      // the checks that were logged
}

type checkKey struct{ host, check string }

// NewPendingChecks makes a PendingChecks that reports to the warnings and the log.
func NewPendingChecks(w *Warnings, l zerolog.Logger) *PendingChecks {
	return &PendingChecks{After: catalog.DefaultPendingAfter, warnings: w, logger: l}
}

// Observe updates the warning from a snapshot in mesh time.
func (p *PendingChecks) Observe(s *mesh.Snapshot) {
	since, reported := map[checkKey]time.Time{}, map[checkKey]bool{}
	checks, reasons := map[string][]string{}, []string{} // by reason, and the reasons in order
	parts := map[string]string{}
	for _, h := range s.Hosts {
		var names, texts []string // of the host's checks
		for i := range h.Checks {
			c, key := &h.Checks[i], checkKey{mesh.Key(h.Name), h.Checks[i].Name}
			if !waitsForVerdict(c) {
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
			if since[key] = first; s.At.Sub(first) < p.After {
				continue
			}
			why := pendingReason(c)
			if reported[key] = true; !p.reported[key] {
				p.logger.Warn().Str("host", h.Name).Str("check", c.Name).Str("reason", why).Msg("check still pending")
			}
			if checks[why] == nil {
				reasons = append(reasons, why)
			}
			checks[why] = append(checks[why], h.Name+" "+c.Name)
			names, texts = append(names, c.Name), append(texts, fmt.Sprintf("%s %s: %s", h.Name, c.Name, why))
		}
		if len(names) > 1 && len(names) == len(h.Checks) { // a firewall keeps the mesh away from all: one advisory
			parts[mesh.Key(h.Name)+"/all"] = "never seen up: " + joinChecks(texts)
			continue
		}
		for i, name := range names {
			// No key of a host has a space, so that no two checks have one subject.
			parts[mesh.Key(h.Name)+" "+name] = "never seen up: " + texts[i]
		}
	}
	p.since, p.reported = since, reported
	p.warnings.set("pending", pendingText(p.After, reasons, checks)) // not Warn: each check was logged above
	p.warnings.setParts("pending", parts)
}

// waitsForVerdict reports whether votes never showed a verdict, or cannot since too few regions take part.
func waitsForVerdict(c *mesh.CheckState) bool {
	return c.Verdict == mesh.Pending || c.Verdict == mesh.Unknown && c.Rule == quorum.TooFewRegions
}

// pendingText describes the checks by reason.
func pendingText(after time.Duration, reasons []string, checks map[string][]string) string {
	if len(reasons) == 0 {
		return ""
	}
	var texts []string
	more := 0
	for i, why := range reasons {
		names := checks[why]
		if i >= pendingMax {
			more += len(names)
			continue
		}
		list := strings.Join(names[:min(len(names), pendingMax)], ", ")
		if len(names) > pendingMax {
			list += fmt.Sprintf(" and %d more", len(names)-pendingMax)
		}
		texts = append(texts, list+": "+why)
	}
	text := fmt.Sprintf("no verdict in %s, so no outage would be reported: %s", mesh.Count(int(after.Minutes()), "minute"),
		strings.Join(texts, "; "))
	if more > 0 {
		text += "; and " + mesh.Count(more, "more check")
	}
	return text + "; `coordinator explain HOST` shows every result"
}

// pendingReason describes what the vantages that may vote on the check report, and how many do.
func pendingReason(c *mesh.CheckState) string {
	if c.Rule == quorum.TooFewRegions {
		take := "regions take"
		if c.Tally.Regions <= 1 {
			take = "region takes"
		}
		return fmt.Sprintf("%d %s part with the host's own, fewer than regions_min of the rule: let agents join in other "+
			"regions, or set allow_two_regions where there are two", max(c.Tally.Regions, 1), take)
	}
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
	for _, result := range results[:min(len(results), resultsMax)] {
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
	if letters := []rune(text); len(letters) > resultMax {
		text = string(letters[:resultMax-1]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
