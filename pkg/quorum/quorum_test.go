package quorum

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestDecide(t *testing.T) {
	const fresh, stale = true, false
	two := catalog.DefaultRule()
	two.AllowTwoRegions = true
	for _, c := range []struct {
		name string
		rule catalog.Rule
		q    Question
		want mesh.Verdict
		says string
	}{
		{"everybody reaches it", catalog.DefaultRule(), Question{Regions: 8, OK: 7, Before: mesh.Unknown}, mesh.Up, MostOK},
		{"one cannot: a path advisory", catalog.DefaultRule(), Question{Regions: 8, OK: 6, Bad: 1, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Up, MostOK},
		{"nobody reaches it, before a round", catalog.DefaultRule(), Question{Regions: 8, Bad: 7, Before: mesh.Up, BeforeFresh: fresh}, mesh.Up, AwaitingRound},
		{"nobody reaches it, after a round", catalog.DefaultRule(), Question{Regions: 8, Bad: 7, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Down, MostBad},
		{"one of seven still reaches it", catalog.DefaultRule(), Question{Regions: 8, OK: 1, Bad: 6, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Down, MostBad},
		{"two of seven still reach it", catalog.DefaultRule(), Question{Regions: 8, OK: 2, Bad: 5, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Up, AwaitingAgain},
		{"and again five seconds later", catalog.DefaultRule(), Question{Regions: 8, OK: 2, Bad: 5, Before: mesh.Up, BeforeFresh: fresh, MayFall: true, Confirmed: true}, mesh.Partial, SomeBad},
		{"half of all say bad, nobody ok", catalog.DefaultRule(), Question{Regions: 8, Bad: 4, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Up, Held},
		{"the same, and what was before is stale", catalog.DefaultRule(), Question{Regions: 8, Bad: 4, Before: mesh.Up, BeforeFresh: stale, MayFall: true}, mesh.Unknown, NothingFresh},
		{"silence is not up", catalog.DefaultRule(), Question{Regions: 8, Before: mesh.Up, BeforeFresh: stale}, mesh.Unknown, NothingFresh},
		{"half are silent: it may be us", catalog.DefaultRule(), Question{Regions: 8, Bad: 5, Before: mesh.Up, BeforeFresh: fresh, MayFall: true, HalfSilent: true}, mesh.Up, HalfIsSilent},
		{"two regions", catalog.DefaultRule(), Question{Regions: 2, OK: 1, Before: mesh.Unknown}, mesh.Unknown, TooFewRegions},
		{"two regions, allowed", two, Question{Regions: 2, OK: 1, Before: mesh.Unknown}, mesh.Up, TwoRegionsOK},
		{"two regions, allowed, bad and the host talks", two, Question{Regions: 2, Bad: 1, Before: mesh.Up, BeforeFresh: fresh, MayFall: true}, mesh.Up, Held},
		{"two regions, allowed, bad and the host is silent", two, Question{Regions: 2, Bad: 1, Before: mesh.Up, BeforeFresh: fresh, MayFall: true, HostSilent: true}, mesh.Down, TwoRegionsBad},
		{"a typing mistake is never an outage", catalog.DefaultRule(), Question{Regions: 8, Bad: 7, Before: mesh.Pending, MayFall: true}, mesh.Pending, NeverUp},
		{"a new check that answers", catalog.DefaultRule(), Question{Regions: 8, OK: 7, Before: mesh.Pending}, mesh.Up, MostOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Decide(c.rule, c.q)
			if got.Verdict != c.want || got.Rule != c.says {
				t.Errorf("got %s (%s), want %s (%s)", got.Verdict, got.Rule, c.want, c.says)
			}
		})
	}
}

func draw(t *rapid.T) Question {
	n := rapid.IntRange(0, 12).Draw(t, "regions")
	ok := rapid.IntRange(0, max(n-1, 0)).Draw(t, "ok")
	return Question{
		Regions: n, OK: ok, Bad: rapid.IntRange(0, max(n-1-ok, 0)).Draw(t, "bad"),
		Before:      rapid.SampledFrom([]mesh.Verdict{mesh.Pending, mesh.Up, mesh.Partial, mesh.Unknown, mesh.Down}).Draw(t, "before"),
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
		if a := Decide(catalog.DefaultRule(), q); (a.Verdict == mesh.Down || a.Verdict == mesh.Partial) && a.Verdict != q.Before {
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
		{"ok in one of five that answered: that is down, not partial", at(0, 2, "a b c d", "e"), at(7, 8, "a b c d", ""), false},
		{"one region", at(0, 2, "a", "b c d e"), at(7, 8, "a", "b c d e"), false},
	} {
		if got := ConfirmsPartial(catalog.DefaultRule(), c.first, c.second); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
