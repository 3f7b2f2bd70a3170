package catalog

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

// rule reads the numbers of the quorum rule. The keys are documented at Rule.
func (p *fileParser) rule(n ast.Node) {
	if n == nil {
		return
	}
	m := p.mapping(n, "rule")
	if m == nil {
		return
	}
	r := &p.out.Rule
	m.integer("bad_regions_min", &r.BadRegionsMin, 1, RegionsMax)
	m.number("down_share", &r.DownShare, 0, 1)
	m.number("ok_share", &r.OKShare, 0, 1)
	m.integer("regions_min", &r.RegionsMin, 3, RegionsMax)
	m.boolean("allow_two_regions", &r.AllowTwoRegions)
	m.duration("partial_after", &r.PartialAfter, time.Second, time.Hour)
	m.duration("round_timeout", &r.RoundTimeout, time.Second, time.Minute)
	m.duration("round_grace", &r.RoundGrace, 0, time.Minute)
	m.number("round_budget", &r.RoundBudget, 0, 10)
	m.duration("round_every", &r.RoundEvery, 100*time.Millisecond, time.Minute)
	m.number("fresh_intervals", &r.FreshIntervals, 1, 10)
	m.duration("silence", &r.Silence, 3*time.Second, time.Hour)
	m.integer("recover_successes", &r.RecoverSuccesses, 1, 100)
	m.number("recover_share", &r.RecoverShare, 0, 1)
	m.end()
}
