package quorum

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A catalog may set other numbers than the default ones that the parts of the rule quote.
func TestTheRuleIsQuotedWithTheNumbersInForce(t *testing.T) {
	other := catalog.DefaultRule()
	other.DownShare, other.OKShare, other.SilentShare, other.BadRegionsMin, other.RegionsMin = 0.35, 0.1, 0.667, 3, 5
	other.RecoverShare, other.RecoverSuccesses = 0.6, 3
	for _, test := range []struct {
		part string
		rule catalog.Rule
		want string
	}{
		{MostBad, catalog.DefaultRule(),
			"more than half of all regions vote bad, at least 2, and at most one in five of those that answered vote ok"},
		{MostBad, other,
			"more than 35 % of all regions vote bad, at least 3, and at most 10 % of those that answered vote ok"},
		{SomeBad, other, "at least 3 regions voted bad in two rounds while others voted ok"},
		{MostOK, other, "fewer than 3 regions vote bad, and at least one votes ok"},
		{HalfIsSilent, other, "66.7 % or more of the regions are silent at once: nothing turns down or partial"},
		{TooFewRegions, other, "fewer regions than the 5 that the rule asks for"},
		{NeverUp, other, NeverUp},
		{NotRecovered, other, "down until 60 % of the voting regions saw 3 successes each"},
	} {
		if got := InWords(test.part, test.rule); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// That most regions reach a check does not explain why it is degraded.
func TestTheRuleOfDegradedSaysWhy(t *testing.T) {
	const want = "fewer than 2 regions vote bad, and at least one votes ok; of those, more than half are over an " +
		"objective or were asked to come back later"
	if got := VerdictInWords(mesh.Degraded, MostOK, catalog.DefaultRule()); got != want {
		t.Errorf("%q", got)
	}
	if got := VerdictInWords(mesh.Up, MostOK, catalog.DefaultRule()); got != InWords(MostOK, catalog.DefaultRule()) {
		t.Errorf("%q", got)
	}
}
