package site

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// rulePath is the page that explains how a verdict is reached, with the numbers in force.
const rulePath = "/rule"

// ruleView is the rule in words for readers of the page.
type ruleView struct {
	DownShare, OKShare, DegradedShare, RecoverShare string
	Regions, RegionsMin, RecoverSuccesses           int
	PartialAfter, Silence                           time.Duration
}

func newRuleView(s web.State) ruleView {
	r := s.Catalog.Rule
	if r.DownShare == 0 {
		r = catalog.DefaultRule()
	}
	return ruleView{
		DownShare: quorum.Share(r.DownShare), OKShare: quorum.Share(r.OKShare),
		DegradedShare: quorum.Share(r.DegradedShare), RecoverShare: quorum.Share(r.RecoverShare),
		Regions: len(s.Catalog.Regions), RegionsMin: r.RegionsMin, RecoverSuccesses: r.RecoverSuccesses,
		PartialAfter: r.PartialAfter, Silence: r.Silence,
	}
}

// decided says in one sentence how a verdict was reached, from the votes that were counted.
func decided(s web.State, t mesh.Transition) string {
	rule := newRuleView(s)
	voters, regions := mesh.Count(t.Tally.Voters, "region"), max(t.Tally.Regions, t.Tally.Voters)
	switch t.Verdict {
	case mesh.Down:
		return fmt.Sprintf(
			"After every other region had checked again, %d of the %s that answered could not reach it: more "+
				"than %s of all %d regions.",
			t.Tally.Bad,
			voters,
			rule.DownShare,
			regions,
		)
	case mesh.Partial:
		return fmt.Sprintf("Checked again by every other region, %d of the %s that answered could not reach it, and that "+
			"was confirmed: not enough of all %d for an outage everywhere.", t.Tally.Bad, voters, regions)
	case mesh.Degraded:
		return fmt.Sprintf("More than %s of the regions that reach it found it slow.", rule.DegradedShare)
	case mesh.Up:
		return fmt.Sprintf("%d of the %s that answered %s it again, with at least %s in a row.", t.Tally.OK,
			voters, mesh.Verb(t.Tally.OK, t.Tally.Voters, "reaches", "reach"), mesh.Count(rule.RecoverSuccesses, "success"))
	case mesh.Unknown:
		return fmt.Sprintf("Only %s of %d reported, which is too few to say that it works or that it is down.", voters,
			regions)
	}
	return ""
}
