package lab

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// checkTransitions checks the published history: each transition once and in order, each from the status that the one
// before led to, each verdict supported by its votes, and no "down" of a host that most regions could reach.
func (c *chaos) checkTransitions(since time.Time) {
	c.t.Helper()
	all := c.transitions(since)
	seen, status, last := map[string]bool{}, map[string]nouns.Status{}, time.Time{}
	for _, tr := range all {
		if seen[tr.ID] {
			c.t.Errorf("transition %s is published twice", tr.ID)
		}
		if tr.Published.Before(last) {
			c.t.Errorf("transition %s is published out of order", tr.ID)
		}
		if was, ok := status[tr.Host]; ok && was != tr.From {
			c.t.Errorf("%s was %s, and its next transition is from %s", tr.Host, was, tr.From)
		}
		if why := contradiction(tr); why != "" {
			c.t.Errorf("%s %s: %s: %s", tr.Host, tr.Check, tr.Sentence, why)
		}
		if tr.Verdict == nouns.Down && !c.wasCutOff(tr.Host, tr.Began.Add(-time.Second), tr.Published) {
			c.t.Errorf("false down: %s %s from %v to %v: %s", tr.Host, tr.Check, tr.Began, tr.Published, tr.Sentence)
		}
		seen[tr.ID], status[tr.Host], last = true, tr.To, tr.Published
	}
	c.t.Logf("%d transitions; hosts were cut off %d times", len(all), len(c.cutOff))
}

// contradiction returns why the votes of a transition do not support its verdict, or "" if they do. Verdicts other than
// up, down and partial need no votes.
func contradiction(tr nouns.Transition) string {
	var counted nouns.Tally
	for _, v := range tr.Votes {
		if v.Own {
			continue
		}
		switch v.Vote {
		case nouns.OK:
			counted.OK++
		case nouns.Bad:
			counted.Bad++
		}
	}
	if tr.Verdict != nouns.Up && tr.Verdict != nouns.Down && tr.Verdict != nouns.Partial {
		return ""
	}
	if counted.OK != tr.Tally.OK || counted.Bad != tr.Tally.Bad {
		return "its tally differs from its votes"
	}
	a := quorum.Decide(catalog.DefaultRule(), quorum.Question{
		Regions: tr.Tally.Regions, OK: counted.OK, Bad: counted.Bad, Before: nouns.Unknown,
		MayFall: true, Confirmed: true,
	})
	if a.Verdict != tr.Verdict {
		return "by the rule its votes result in " + string(a.Verdict)
	}
	return ""
}
