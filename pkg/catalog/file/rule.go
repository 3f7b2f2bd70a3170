package file

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// rule parses the numbers of the quorum rule. catalog.Rule documents the keys.
func (p *parser) rule(n ast.Node) {
	if n == nil {
		return
	}
	m := p.yaml.mapping(n, "rule")
	if m == nil {
		return
	}
	r, before := &p.out.Rule, len(p.yaml.mistakes)
	m.edgeRule(r)
	m.quorumRule(r)
	m.statusRule(r)
	m.end()
	if len(p.yaml.mistakes) > before {
		return // a number that could not be parsed has its default, which may contradict the others
	}
	for _, c := range r.Contradictions() {
		at := n
		if value := m.values[c.Key]; value != nil {
			at = value
		}
		p.yaml.mistake(at, "change one of the two; the manual lists the defaults", "%s", c.Text)
	}
}

// edgeRule parses the numbers of rules 1 to 3.
func (m *mapping) edgeRule(r *catalog.Rule) {
	const chanceMin = 1e-9
	m.number("miss_chance", &r.MissChance, chanceMin, 0.5)
	m.integer("probes_min", &r.ProbesMin, 1, catalog.ProbesMost)
	m.integer("probes_max", &r.ProbesMax, 1, catalog.ProbesMost)
	m.duration("retry_every", &r.RetryEvery, 10*time.Millisecond, 2*time.Second)
	m.duration("wait_min", &r.WaitMin, 10*time.Millisecond, 5*time.Second)
	m.duration("wait_max", &r.WaitMax, 10*time.Millisecond, 5*time.Second)
	m.duration("bad_min", &r.BadMin, 0, 30*time.Second)
	m.number("loss_first", &r.LossFirst, 0, 1)
	m.number("loss_min", &r.LossMin, chanceMin, 0.9)
	m.number("loss_max", &r.LossMax, chanceMin, 0.9)
	m.duration("loss_half_life", &r.LossHalfLife, time.Second, 1000*time.Hour)
	m.number("fresh_intervals", &r.FreshIntervals, 1, 10)
	m.duration("silence", &r.Silence, 3*time.Second, time.Hour)
	m.number("isolated_share", &r.IsolatedShare, 0, 1)
	m.number("isolated_agreement", &r.IsolatedAgreement, 0, 1)
	m.integer("isolated_targets_min", &r.IsolatedTargetsMin, 1, catalog.HostsMax)
	m.duration("lag_max", &r.LagMax, 10*time.Millisecond, time.Hour)
}

// quorumRule parses the numbers of rules 5 and 6.
func (m *mapping) quorumRule(r *catalog.Rule) {
	m.integer("bad_regions_min", &r.BadRegionsMin, 1, catalog.RegionsMax)
	m.number("down_share", &r.DownShare, 0, 1)
	m.number("ok_share", &r.OKShare, 0, 1)
	m.integer("regions_min", &r.RegionsMin, 3, catalog.RegionsMax)
	m.boolean("allow_two_regions", &r.AllowTwoRegions)
	m.duration("partial_after", &r.PartialAfter, time.Second, time.Hour)
	m.number("silent_share", &r.SilentShare, 0.01, 1)
	m.number("degraded_share", &r.DegradedShare, 0, 1)
	m.duration("round_timeout", &r.RoundTimeout, time.Second, time.Minute)
	m.duration("round_grace", &r.RoundGrace, 0, time.Minute)
	m.number("round_budget", &r.RoundBudget, 0, 10)
	m.duration("round_every", &r.RoundEvery, 100*time.Millisecond, time.Minute)
}

// statusRule parses the numbers of rules 7 and 8.
func (m *mapping) statusRule(r *catalog.Rule) {
	m.integer("recover_successes", &r.RecoverSuccesses, 1, 100)
	m.number("recover_share", &r.RecoverShare, 0, 1)
	m.number("flap_penalty", &r.FlapPenalty, 0, 1e9)
	m.duration("flap_half_life", &r.FlapHalfLife, time.Second, 24*time.Hour)
	m.number("flap_over", &r.FlapOver, 1, 1e12)
	m.number("flap_under", &r.FlapUnder, 1, 1e12)
	m.duration("flap_down_after", &r.FlapDownAfter, 0, time.Hour)
	m.duration("cut_hold", &r.CutHold, 0, time.Minute)
	m.duration("cut_within", &r.CutWithin, 0, time.Hour)
}
