package judge

import (
	"cmp"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// sentence says the check's verdict for everybody, from the votes as they are now.
func (j *Judge) sentence(c *check) string { return j.sentenceOf(c, j.votes(c)) }

// sentenceOf is the same where the votes are at hand.
func (j *Judge) sentenceOf(c *check, votes []mesh.RegionVote) string {
	rule := c.rule
	if c.damps() {
		rule = flapping
	}
	return sentence.Of(j.catalog, c.config, mesh.CheckState{
		Verdict: c.published, Since: c.since, Rule: rule, Tally: c.tally, Votes: votes,
	}, j.offset)
}

// quotedReasons quotes what the bad edges reported, the most frequent first. It is free text, for operators only.
func (j *Judge) quotedReasons(c *check) string {
	counts := map[string]int{}
	for _, b := range j.regionsThatVote(c, mesh.Bad) {
		for _, e := range b.edges {
			if e.bad() {
				counts[e.reason]++
			}
		}
	}
	var all []string
	for reason := range counts {
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	const most = 2
	for i := range all {
		all[i] = "'" + all[i] + "'"
	}
	switch {
	case len(all) == 0:
		return "no answer"
	case len(all) > most:
		return strings.Join(all[:most], " or ") + " or other failures"
	}
	return strings.Join(all, " or ")
}

// city is how people call a region.
func (j *Judge) city(region string) string { return sentence.City(j.catalog, region) }

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
