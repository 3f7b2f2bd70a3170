package quorum

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name             string
		regions, ok, bad int
		before           mesh.Verdict
		facts            string // words that stand for the Question's other fields, and "allowed" for AllowTwoRegions
		want             mesh.Verdict
		rule             string
	}{
		{"everybody reaches it", 8, 7, 0, mesh.Unknown, "", mesh.Up, MostOK},
		{"one cannot: a path advisory", 8, 6, 1, mesh.Up, "fresh round", mesh.Up, MostOK},
		{"nobody reaches it, before a round", 8, 0, 7, mesh.Up, "fresh", mesh.Up, AwaitingRound},
		{"nobody reaches it, after a round", 8, 0, 7, mesh.Up, "fresh round", mesh.Down, MostBad},
		{"one of seven still reaches it", 8, 1, 6, mesh.Up, "fresh round", mesh.Down, MostBad},
		{"two of seven still reach it", 8, 2, 5, mesh.Up, "fresh round", mesh.Up, AwaitingAgain},
		{"and again five seconds later", 8, 2, 5, mesh.Up, "fresh round confirmed", mesh.Partial, SomeBad},
		{"half of all vote bad, nobody ok", 8, 0, 4, mesh.Up, "fresh round", mesh.Up, VerdictStands},
		{"the same, and the votes before expired", 8, 0, 4, mesh.Up, "round", mesh.Unknown, NothingFresh},
		{"silence is not up", 8, 0, 0, mesh.Up, "", mesh.Unknown, NothingFresh},
		{"half are silent: it may be us", 8, 0, 5, mesh.Up, "fresh round half-silent", mesh.Up, HalfIsSilent},
		{"two regions", 2, 1, 0, mesh.Unknown, "", mesh.Unknown, TooFewRegions},
		{"two regions, and new", 2, 1, 0, mesh.Pending, "", mesh.Pending, TooFewRegions},
		{"alone, and new", 1, 0, 0, mesh.Pending, "", mesh.Pending, TooFewRegions},
		{"two regions, allowed", 2, 1, 0, mesh.Unknown, "allowed", mesh.Up, TwoRegionsOK},
		{"two, bad, the host's agent reports", 2, 0, 1, mesh.Up, "allowed fresh round", mesh.Up, VerdictStands},
		{"two, bad, agent silent", 2, 0, 1, mesh.Up, "allowed fresh round host-silent", mesh.Down, TwoRegionsBad},
		{"a mistyped port is never an outage", 8, 0, 7, mesh.Pending, "round", mesh.Pending, NeverUp},
		{"a new check that answers", 8, 7, 0, mesh.Pending, "", mesh.Up, MostOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := func(fact string) bool { return slices.Contains(strings.Fields(c.facts), fact) }
			r := catalog.DefaultRule()
			r.AllowTwoRegions = is("allowed")
			got := Decide(r, Question{
				Regions: c.regions, OK: c.ok, Bad: c.bad, Before: c.before, BeforeFresh: is("fresh"),
				MayFall: is("round"), Confirmed: is("confirmed"),
				HalfSilent: is("half-silent"), HostSilent: is("host-silent"),
			})
			if got.Verdict != c.want || got.Rule != c.rule {
				t.Errorf("got %s (%s), want %s (%s)", got.Verdict, got.Rule, c.want, c.rule)
			}
		})
	}
}

func draw(t *rapid.T) Question {
	n := rapid.IntRange(0, 12).Draw(t, "regions")
	ok := rapid.IntRange(0, max(n-1, 0)).Draw(t, "ok")
	return Question{
		Regions: n, OK: ok, Bad: rapid.IntRange(0, max(n-1-ok, 0)).Draw(t, "bad"),
		Before: rapid.SampledFrom([]mesh.Verdict{mesh.Pending, mesh.Up, mesh.Partial, mesh.Unknown,
			mesh.Down}).Draw(t, "before"),
		BeforeFresh: rapid.Bool().Draw(t, "fresh"), MayFall: rapid.Bool().Draw(t, "round"),
		Confirmed: rapid.Bool().Draw(t, "confirmed"), HalfSilent: rapid.Bool().Draw(t, "half silent"),
		HostSilent: rapid.Bool().Draw(t, "host silent"),
	}
}

func badness(v mesh.Verdict) int {
	return map[mesh.Verdict]int{mesh.Up: 0, mesh.Partial: 1, mesh.Unknown: 2, mesh.Down: 3}[v]
}

func TestSilenceNeverYieldsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		q.OK, q.BeforeFresh = 0, false
		if a := Decide(catalog.DefaultRule(), q); a.Verdict == mesh.Up {
			t.Fatalf("up without an ok: %+v", q)
		}
	})
}

func TestMoreOKNeverMakesItWorseFromUnknown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		q.Before = mesh.Unknown
		r := catalog.DefaultRule()
		r.AllowTwoRegions = rapid.Bool().Draw(t, "two regions")
		better := q
		better.OK++
		switch abstain := q.Regions - 1 - q.OK - q.Bad; {
		case q.Bad > 0 && (abstain <= 0 || rapid.Bool().Draw(t, "was bad")):
			better.Bad--
		case abstain <= 0:
			return
		}
		was, is := Decide(r, q), Decide(r, better)
		if badness(is.Verdict) > badness(was.Verdict) {
			t.Fatalf("%+v is %s, with one more ok %s", q, was.Verdict, is.Verdict)
		}
	})
}

func TestOnlyARoundTurnsACheckBad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		q.MayFall = false
		if a := Decide(catalog.DefaultRule(), q); (a.Verdict == mesh.Down || a.Verdict == mesh.Partial) &&
			a.Verdict != q.Before {
			t.Fatalf("%+v fell to %s without a round", q, a.Verdict)
		}
	})
}

func TestConfirmsPartial(t *testing.T) {
	at := func(opened, closed float64, bad, ok string) Finding {
		start := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
		second := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
		return Finding{Opened: second(opened), Closed: second(closed), Bad: strings.Fields(bad), OK: strings.Fields(ok)}
	}
	first := at(0, 2, "a b", "c d e f g")
	for _, c := range []struct {
		name          string
		first, second Finding
		want          bool
	}{
		{"the same regions again", first, at(7, 8, "a b", "c d e f g"), true},
		{"too soon", first, at(3, 6.9, "a b", "c d e f g"), false},
		{"too late", first, at(17.1, 18, "a b", "c d e f g"), false},
		{"a slow check's round lasts past the limit", first, at(17, 40, "a b", "c d e f g"), true},
		{"other regions", first, at(7, 8, "c d", "a b e f g"), false},
		{"one of them, and another", first, at(7, 8, "a c", "b d e f g"), false},
		{"both, and another that changes its vote", first, at(7, 8, "a b c", "d e f g"), true},
		{"ok in the first round only", at(0, 2, "a b", "c"), at(7, 8, "a b", ""), true},
		{"ok in the second round only", at(0, 2, "a b", ""), at(7, 8, "a b", "c"), true},
		{"ok in neither", at(0, 2, "a b c", ""), at(7, 8, "a b c", ""), false},
		{"ok in one of five that answered: that is down, not partial", at(0, 2, "a b c d", "e"),
			at(7, 8, "a b c d", ""), false},
		{"one region", at(0, 2, "a", "b c d e"), at(7, 8, "a", "b c d e"), false},
	} {
		if got := ConfirmsPartial(catalog.DefaultRule(), c.first, c.second); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
