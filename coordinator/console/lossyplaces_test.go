package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// What loses probes everywhere is named once: the whole mesh, or the regions whose paths alone do.
func TestLossyPlacesAreNamed(t *testing.T) {
	much, little, none := [2]uint64{6, 5}, [2]uint64{0, 1}, [2]uint64{}
	around := func(lost [2]uint64, regions ...string) func(from, to string) [2]uint64 {
		return func(from, to string) [2]uint64 {
			if slices.Contains(regions, from) || slices.Contains(regions, to) {
				return lost
			}
			return none
		}
	}
	for name, test := range map[string]struct {
		lost func(from, to string) [2]uint64
		want []string // beginnings of titles
	}{
		"nothing":        {around(none), nil},
		"the whole mesh": {around(much, places...), []string{"All regions lose probes: 18 % on a typical path"}},
		"one region":     {around(much, "lusaka"), []string{"Lusaka loses 18 % of probes on a typical path"}},
		"two regions": {around(much, "lusaka", "sydney"), []string{
			"Lusaka loses 18 % of probes on a typical path", "Sydney loses 18 % of probes on a typical path",
		}},
		"a little everywhere":   {around(little, places...), nil},
		"a burst in one region": {around([2]uint64{0, 12}, "lusaka"), nil},
		"one path": {func(from, to string) [2]uint64 {
			if from == "lusaka" && to == "london" {
				return much
			}
			return none
		}, nil},
	} {
		w := newWorld()
		var got []string
		for _, p := range lossyPlaces(w.catalog, w.snapshot, w.pings(test.lost)) {
			got = append(got, p.item(request{catalog: w.catalog, snapshot: w.snapshot}).Title)
		}
		if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// lossyTime is a mesh all paths of which lose a fifth of ten probes a minute for a time.
type lossyTime struct {
	Source
	from, to time.Time
}

func (l lossyTime) Losses(_ context.Context, from, to time.Time) (out []latency.VantageLoss, err error) {
	var sent, lost uint64
	for at := from.Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		sent += 10
		if !at.Before(l.from) && at.Before(l.to) {
			lost += 2
		}
	}
	for _, a := range places {
		for _, b := range places {
			if a != b {
				out = append(out, latency.VantageLoss{
					Host: b[:3] + "1", Check: "ping", Vantage: a[:3] + "1", Sent: sent, Lost: lost,
				})
			}
		}
	}
	return out, nil
}

// Losses on all paths are named within five minutes, and no longer than that after their end; a minute of them is not.
func TestLossyPlacesAreNamedSoonAndNotForLong(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	w := newWorld()
	named := func(l lossyTime, at time.Time) bool {
		t.Helper()
		counted, err := countLosses(t.Context(), l, at)
		if err != nil {
			t.Fatal(err)
		}
		return len(lossyPlaces(w.catalog, w.snapshot, counted.latest)) > 0
	}
	long := lossyTime{from: began, to: began.Add(time.Hour)}
	for at := range 80 {
		now := began.Add(time.Duration(at) * time.Minute)
		switch is := named(long, now); {
		case at < 1 || at > 65:
			if is {
				t.Errorf("after %d minutes it is named", at)
			}
		case at >= 5 && at <= 60 && !is:
			t.Errorf("after %d minutes it is not named", at)
		}
		if named(lossyTime{from: began, to: began.Add(time.Minute)}, now) {
			t.Errorf("a minute of losses is named after %d", at)
		}
	}
}

// Minutes has the same for a pair, minute by minute.
func (l lossyTime) Minutes(
	_ context.Context, _ *catalog.Catalog, q latency.MinutesRequest,
) (out []latency.Point, err error) {
	for at := q.From.Truncate(time.Minute); at.Before(q.To); at = at.Add(time.Minute) {
		p := latency.Point{At: at}
		if p.Sent = 10; !at.Before(l.from) && at.Before(l.to) {
			p.Lost = 2
		}
		out = append(out, p)
	}
	return out, nil
}

// The overview of a moment of the past names what was lost then.
func TestLossyPlacesOfThePastAreNamed(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	w := newWorld()
	s := &console{config: Config{Source: lossyTime{from: began, to: began.Add(time.Hour)}}}
	for after, want := range map[time.Duration]bool{-time.Minute: false, 5 * time.Minute: true, 70 * time.Minute: false} {
		w.snapshot.At = began.Add(after)
		r := request{
			Request: httptest.NewRequest(http.MethodGet, "/", nil), catalog: w.catalog, snapshot: w.snapshot,
			moment: w.snapshot.At,
		}
		named := slices.ContainsFunc(pathItems(s, r), func(i item) bool {
			return strings.HasPrefix(i.Title, "All regions lose probes: 20 % on a typical path")
		})
		if named != want {
			t.Errorf("%v after the losses began they are named: %v", after, named)
		}
	}
}

// filter has a region lose the ping of another one's host, which proves otherwise that it is alive.
func (w world) filter(from, to string) {
	i, n := slices.Index(places, to), slices.Index(places, from)
	e := &w.snapshot.Hosts[i].Checks[0].Votes[n].Edges[0]
	e.Outcome, e.Why = mesh.Unreachable, "ping filtered: the host has since answered over TCP"
}

// Hosts that are alive but lose pings share one item. Those that a cut or a lossy region explains are left out.
func TestFilteredPingsAreOneItem(t *testing.T) {
	title := func(w world, cut map[direction]bool, lossy map[string]bool) string {
		items := newFilteredPings(w.snapshot, cut, lossy).items()
		if len(items) == 0 {
			return ""
		}
		return items[0].Title + ". " + items[0].Detail
	}
	w := newWorld()
	if got := title(w, nil, nil); got != "" {
		t.Errorf("without any: %q", got)
	}
	w.filter("lusaka", "london")
	if got := title(w, nil, nil); !strings.HasPrefix(
		got,
		"LON1 loses pings, and is alive. 1 vantage lost all pings of the last minute",
	) {
		t.Errorf("one: %q", got)
	}
	if got := title(w, map[direction]bool{{"lusaka", "london"}: true}, nil); got != "" {
		t.Errorf("of a path that is cut: %q", got)
	}
	w.filter("sydney", "toronto")
	latest := &w.snapshot.Hosts[slices.Index(places, "toronto")].Checks[0].Votes[slices.Index(places, "sydney")].Edges[0]
	latest.Since = w.snapshot.At.Add(-50 * time.Second)
	if got := title(w, nil, nil); !strings.HasPrefix(got, "LON1 loses pings") {
		t.Errorf("while another ping was lost just now: %q", got)
	}
	latest.Since = w.snapshot.At.Add(-70 * time.Second)
	if got := title(w, nil, nil); !strings.HasPrefix(got, "2 hosts lose pings, and are alive. LON1, TOR1: on 2 paths") {
		t.Errorf("two: %q", got)
	}
	several := w.snapshot.Hosts[1].Checks[0]
	several.Name = "ping over IPv6"
	w.snapshot.Hosts[1].Checks = append(w.snapshot.Hosts[1].Checks, several)
	if got := title(w, nil, nil); !strings.HasPrefix(got, "2 hosts lose pings, and are alive. LON1, TOR1: on 2 paths") {
		t.Errorf("two, one with two pings: %q", got)
	}
	for _, region := range []string{"", "toronto"} {
		want := ""
		if region != "" {
			want = "LON1 loses pings, and is alive"
		}
		if got := title(w, nil, map[string]bool{region: true}); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("while %q is lossy: %q", region, got)
		}
	}
}

// The cell of a path that is cut says so, also where the host proved otherwise that it is alive; another one shows that
// its ping was lost.
func TestTheCellOfACutPathIsBad(t *testing.T) {
	w := newWorld()
	w.filter("lusaka", "london")
	l := line{&w.snapshot.Hosts[1], &w.snapshot.Hosts[1].Checks[0], &w.catalog.Hosts[1]}
	edges := l.check.Votes[slices.Index(places, "lusaka")].Edges
	for _, show := range []string{showRTT, showOutcome} {
		m := cellMaker{question: question{show: show}, catalog: w.catalog, cut: map[direction]bool{}}
		if got := m.newCell(l, "lusaka", edges); got.Class != "lossy" || got.Text != "✕" || got.Note != "alive" {
			t.Errorf("%s: %+v", show, got)
		}
		m.cut[direction{"lusaka", "london"}] = true
		if got := m.newCell(l, "lusaka", edges); got.Class != "bad" ||
			!strings.HasSuffix(got.Title, "the path from there is cut") {
			t.Errorf("%s, cut: %+v", show, got)
		}
	}
}
