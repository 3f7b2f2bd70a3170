package sentence

import (
	"fmt"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// Waiting says, for operators who read the votes of now beside a verdict that is still another one, what the verdict
// waits for and until when. It is empty if the votes and the verdict agree. config is the check in the catalog, or nil.
func Waiting(rule catalog.Rule, config *catalog.Check, c mesh.CheckState) string {
	bad := len(badVotes(c.Votes))
	if bad < max(2, rule.BadRegionsMin) || c.Verdict == mesh.Down || c.Verdict == mesh.Partial ||
		c.Verdict == mesh.Pending || strings.HasPrefix(c.Sentence, "Degraded, flapping") {
		return ""
	}
	var what string
	switch {
	case c.RoundOpen:
		limit := rule.RoundTimeout
		if config != nil {
			limit = max(limit, config.Timeout+rule.RoundGrace)
		}
		what = fmt.Sprintf("for the round that is open: every region probes again, for at most %s",
			limit.Round(time.Millisecond))
	case c.Rule == quorum.AwaitingRound, c.Rule == quorum.AwaitingAgain, c.Rule == quorum.HalfIsSilent:
		what = "by the rule below"
	default:
		what = fmt.Sprintf("for other hosts that may have failed with it, so that one cut is one incident: at most %s "+
			"(cut_hold)", rule.CutHold)
	}
	return fmt.Sprintf("The votes shown are those of now: %s vote bad. The published verdict is from before, "+
		"and waits %s.", mesh.Count(bad, "region"), what)
}
