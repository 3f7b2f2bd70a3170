package quorum

import (
	"fmt"
	"strconv"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// InWords returns a part of the rule with the numbers of the rule in force. Transitions quote the parts with the
// default numbers: the ledger keeps the quotation, and readers compare it, so the numbers are put in when it is shown.
func InWords(part string, r catalog.Rule) string {
	switch part {
	case MostBad:
		return fmt.Sprintf("more than %s of all regions vote bad, at least %d, and at most %s of those that answered "+
			"vote ok", Share(r.DownShare), r.BadRegionsMin, Share(r.OKShare))
	case SomeBad:
		return fmt.Sprintf("at least %d regions voted bad in two rounds while others voted ok", r.BadRegionsMin)
	case MostOK:
		return fmt.Sprintf("fewer than %d regions vote bad, and at least one votes ok", r.BadRegionsMin)
	case HalfIsSilent:
		return fmt.Sprintf("%s or more of the regions are silent at once: nothing turns down or partial",
			Share(r.SilentShare))
	case TooFewRegions:
		return fmt.Sprintf("fewer regions than the %d that the rule asks for", r.RegionsMin)
	case NotRecovered:
		return fmt.Sprintf("down until %s of the voting regions saw %s each", Share(r.RecoverShare),
			mesh.Count(r.RecoverSuccesses, "success"))
	}
	return part
}

// VerdictInWords is InWords for the rule of a verdict. Degraded is up by the votes, and needs a reason besides.
func VerdictInWords(v mesh.Verdict, part string, r catalog.Rule) string {
	if v == mesh.Degraded && part == MostOK {
		return fmt.Sprintf("%s; of those, more than %s are over an objective or were asked to come back later",
			InWords(part, r), Share(r.DegradedShare))
	}
	return InWords(part, r)
}

// Share writes a share of a number of regions as people say it: "half", "one in five", "40 %".
func Share(share float64) string {
	switch share {
	case 0.5:
		return "half"
	case 0.2:
		return "one in five"
	}
	// Rounded to a thousandth, since 0.35 x 100 is not quite 35.
	return strconv.FormatFloat(float64(int(share*1e5+0.5))/1e3, 'f', -1, 64) + " %"
}
