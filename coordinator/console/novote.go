package console

import (
	"cmp"
	"strings"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// whyNoVote continues a sentence with the reason why a vantage has no vote on a check.
func (r request) whyNoVote(vantage *mesh.VantageState, c *mesh.CheckState) string {
	switch {
	case vantage.LastBatch.IsZero():
		return ": its agent never connected"
	case vantage.Silent:
		return ": its agent is silent since " + vantage.LastBatch.UTC().Format("2 Jan 15:04:05 UTC")
	case vantage.Abstains != "":
		return ": " + vantage.Abstains
	}
	for _, v := range c.Votes {
		for _, e := range v.Edges {
			if e.Vantage == mesh.Key(vantage.Name) && e.Why != "" {
				return ": " + e.Why
			}
		}
	}
	return ""
}

// commonReason is why most vantages of other regions have no vote on a check, if more than half agree.
func commonReason(c *mesh.CheckState) string {
	counts, edges := map[string]int{}, 0
	for _, v := range c.Votes {
		for _, e := range v.Edges {
			if !v.Own {
				edges++
				counts[strings.TrimPrefix(cmp.Or(e.Why, e.Reason), judge.InconclusivePrefix)]++
			}
		}
	}
	for why, n := range counts {
		if 2*n > edges {
			return why
		}
	}
	return ""
}
