package console

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A pair whose ping alone is filtered has no round-trip time: its loss is shown, and why it votes ok.
func TestAPairWithoutATimeShowsNone(t *testing.T) {
	e := mesh.EdgeState{
		Vantage: "nc041", Vote: mesh.OK, Outcome: mesh.Unreachable, Reason: "timeout", At: time.Now(),
		Why: "ping filtered: the host has since answered over TCP",
	}
	check := mesh.CheckState{Name: "ping", Votes: []mesh.RegionVote{{Region: "lusaka", Vote: mesh.OK,
		Edges: []mesh.EdgeState{e}}}}
	l := line{&mesh.HostState{Name: "NC036"}, &check, &catalog.Host{Name: "NC036"}}
	for _, lost := range []losses{{{"nc036", "ping", "nc041"}: 0.31}, {}} {
		m := cellMaker{question: question{show: showRTT}, loss: lost, catalog: &catalog.Catalog{}}
		wantText, wantNote := "✕", "31 %"
		if len(lost) == 0 {
			wantNote = "alive"
		}
		got := m.newCell(l, "lusaka", []mesh.EdgeState{e})
		if got.Text != wantText || got.Note != wantNote || !strings.Contains(got.Title, "vote ok, "+e.Why) {
			t.Errorf("%+v", got)
		}
		region := m.regionCell([]line{l}, column{region: "lusaka"}, "")
		if region.Text != "ok" || !strings.Contains(region.Title, "1 ok, 0 bad") {
			t.Errorf("%+v", region)
		}
		rows := builtMatrix{lines: []line{l}, loss: lost}.records(request{catalog: m.catalog})
		if rows[0][8] != nil {
			t.Errorf("a round-trip time of %v", rows[0][8])
		}
	}
}

// One probe that was lost is an accident: in the first minutes it would make every tenth pair a lossy one.
func TestOneLostProbeIsNotNoted(t *testing.T) {
	e := mesh.EdgeState{
		Vantage: "nc041",
		Vote:    mesh.OK,
		Outcome: mesh.Reachable,
		RTT:     42 * time.Millisecond,
		At:      time.Now(),
	}
	check := mesh.CheckState{Name: "ping"}
	l := line{&mesh.HostState{Name: "NC036"}, &check, &catalog.Host{Name: "NC036"}}
	key := pairKey{"nc036", "ping", "nc041"}
	for lost, want := range map[uint64]string{1: "", 2: "10 %"} {
		m := cellMaker{
			question: question{show: showRTT}, loss: losses{key: 0.1},
			pings: map[pairKey]pingCounts{key: {sent: [2]uint64{10, 10}, lost: [2]uint64{0, lost}}},
		}
		got := m.newCell(l, "lusaka", []mesh.EdgeState{e})
		if got.Note != want || got.Text != "42" || !strings.Contains(got.Title, "10 % lost lately") {
			t.Errorf("%d lost: %+v", lost, got)
		}
	}
}

// A vantage that is asked to probe again shows what it saw before: while probes are lost, it is asked every few
// seconds, and a row of question marks looks as if nobody reached the host.
func TestAPairThatIsAskedAgainShowsItsTime(t *testing.T) {
	e := mesh.EdgeState{
		Vantage: "nc041", Outcome: mesh.Reachable, RTT: 42 * time.Millisecond, At: time.Now(), Vote: mesh.Abstain,
		Why: judge.AskedAgain,
	}
	l := line{&mesh.HostState{Name: "NC036"}, &mesh.CheckState{Name: "ping"}, &catalog.Host{Name: "NC036"}}
	m := cellMaker{question: question{show: showRTT}}
	if got := m.newCell(l, "lusaka", []mesh.EdgeState{e}); got.Class != "h1" || got.Text != "42" || got.Note != "…" {
		t.Errorf("%+v", got)
	}
	e.Why = "silent"
	if got := m.newCell(l, "lusaka", []mesh.EdgeState{e}); got.Text != "?" {
		t.Errorf("%+v", got)
	}
}

// FuzzMatrixCellsAreWholeCharacters: an agent reports any text as its reason, and a cell's title shows the beginning.
func FuzzMatrixCellsAreWholeCharacters(f *testing.F) {
	for _, reason := range []string{
		"timeout", strings.Repeat("e\u0301", 40), strings.Repeat("漢字", 40), strings.Repeat("👩‍👩‍👧‍👦", 9), "\x00\x01",
		strings.Repeat("a", 75) + "漢\xe6\xbc",
	} {
		f.Add(reason)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		title := edgeTitle(mesh.EdgeState{Vote: mesh.Bad, Outcome: mesh.Unreachable, Reason: reason, At: time.Now()})
		if utf8.ValidString(reason) && !utf8.ValidString(title) {
			t.Fatalf("%q is cut inside a character", title)
		}
		if strings.Contains(title, "\x00") {
			t.Fatalf("a NUL in %q", title)
		}
		if n := utf8.RuneCountInString(title); n > reasonMax+60 {
			t.Fatalf("%d characters", n)
		}
	})
}

// Cells of outcomes have no numbers, and neither has their legend.
func TestTheLegendOfOutcomesHasNoTimes(t *testing.T) {
	for _, c := range (cellMaker{question: question{show: showOutcome}}).legend() {
		if strings.ContainsAny(c.Text, "0123456789") {
			t.Errorf("%q: %s", c.Text, c.Title)
		}
	}
}

// The scale of losses grows with the loss, and does not fade as that of times does.
func TestLargeLossesStandOut(t *testing.T) {
	for share, want := range map[float64]string{0: "l0", 0.005: "l1", 0.015: "l2", 0.03: "l3", 0.1: "l4", 0.45: "l5"} {
		if got := heat("l", lossSteps, share); got != want {
			t.Errorf("%v: %s", share, got)
		}
	}
	css := asset("console.css")
	last := 0
	for _, class := range []string{"l0", "l1", "l2", "l3", "l4", "l5"} {
		_, rule, _ := strings.Cut(css, ".heat ."+class+"{background:color-mix(in srgb,var(--degraded) ")
		share, _, found := strings.Cut(rule, "%")
		n, err := strconv.Atoi(share)
		if !found || err != nil || n <= last {
			t.Errorf("%s mixes %q after %d %%", class, share, last)
		}
		last = n
	}
}
