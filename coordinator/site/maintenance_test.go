package site_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// planned returns a maintenance of a host that takes an hour from a time on.
func planned(s *webtest.Source, id, host, title string, start time.Time) *maintenance.Maintenance {
	return &maintenance.Maintenance{
		ID: id, Schedule: maintenance.Schedule{Start: start, End: start.Add(time.Hour)},
		Targets: []maintenance.Target{{Host: s.Catalog.Host(host).Identity()}}, Tags: []string{"disk"},
		Changes: []maintenance.Change{{
			ID: "plan", Action: maintenance.Plan, At: start.Add(-24 * time.Hour),
			Text: maintenance.Text{Title: title, Body: "The disk is *full*.\n\n<script>alert(1)</script>"},
		}},
	}
}

// calendarSource has maintenance of every state, one by a rule across daylight saving, and titles that try to break
// out of their line.
func calendarSource(t *testing.T) (*webtest.Source, time.Time) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now().UTC().Truncate(time.Second)
	next := planned(s, "next", "nc036", "New disk; old, slow one \\ leaves", now.Add(2*time.Hour))
	extended := planned(s, "extended", "nc036", "Ü"+strings.Repeat("é語", 60), now.Add(-30*time.Minute))
	extended.Changes = append(extended.Changes, maintenance.Change{
		ID: "x", Action: maintenance.Extend, At: now.Add(-10 * time.Minute), Occurrence: extended.Start,
		Until: now.Add(2 * time.Hour), Text: maintenance.Text{Body: "It takes longer.\r\nBEGIN:VEVENT\nSUMMARY:injected"},
	})
	cancelled := planned(s, "cancelled", "nc041", "a\nEND:VEVENT", now.Add(48*time.Hour))
	cancelled.Changes[0].At = now.Add(-time.Hour)
	cancelled.Changes = append(cancelled.Changes, maintenance.Change{
		ID: "y", Action: maintenance.Cancel, At: now.Add(-time.Minute), Occurrence: cancelled.Start,
	})
	// A week before British clocks change next, which is at most eight months ahead: the calendar reaches a year.
	start := now.Truncate(24*time.Hour).AddDate(0, 0, 14).Add(2*time.Hour + 30*time.Minute)
	for offset(start.AddDate(0, 0, 7)) == offset(start) {
		start = start.AddDate(0, 0, 1)
	}
	weekly := planned(s, "weekly", "nc041", "Updates", start)
	weekly.Rule, weekly.Zone, weekly.Changes[0].At = "FREQ=WEEKLY;COUNT=3", "Europe/London", now.Add(-time.Hour)
	s.Planned = []*maintenance.Maintenance{next, extended, cancelled, weekly}
	return s, now
}

// event is what a calendar program learns of an event.
type event struct {
	UID, Summary, Status string
	Sequence             int
	Start, End           string
}

func wantEvents(s *webtest.Source) (out []event) {
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	p := s.Planned
	weekly := p[3].Start.In(london())
	for i, title := range []string{"Updates", "Updates", "Updates"} {
		at := weekly.AddDate(0, 0, 7*i).UTC()
		out = append(out, event{"weekly-" + at.Format("20060102t150405z") + "@probemesh", title, "CONFIRMED", 0, stamp(at),
			stamp(at.Add(time.Hour))})
	}
	return append(out,
		event{"next@probemesh", p[0].Title(), "CONFIRMED", 0, stamp(p[0].Start), stamp(p[0].End)},
		event{"extended@probemesh", p[1].Title(), "CONFIRMED", 1, stamp(p[1].Start), stamp(p[1].Changes[1].Until)},
		event{"cancelled@probemesh", "a END:VEVENT", "CANCELLED", 1, stamp(p[2].Start), stamp(p[2].End)})
}

func london() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err) // the program has it inside
	}
	return zone
}

// offset returns by how many seconds British clocks are ahead of UTC.
func offset(at time.Time) int {
	_, seconds := at.In(london()).Zone()
	return seconds
}

func TestTheCalendar(t *testing.T) {
	s, _ := calendarSource(t)
	w := webtest.Get(t, public(s), "/maintenance.ics")
	if got := w.Header().Get("Content-Type"); got != "text/calendar; charset=utf-8" || w.Header().Get("ETag") == "" {
		t.Errorf("%q, ETag %q", got, w.Header().Get("ETag"))
	}
	text := w.Body.String()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if len(line) > 75 || strings.ContainsAny(line, "\n\r") {
			t.Errorf("%d bytes in a line: %q", len(line), line)
		}
	}
	cal, err := ics.ParseCalendar(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []event
	for _, e := range cal.Events() {
		start, errStart := e.GetStartAt()
		end, errEnd := e.GetEndAt()
		if errStart != nil || errEnd != nil {
			t.Fatal(errStart, errEnd)
		}
		value := func(p ics.ComponentProperty) string { return e.GetProperty(p).Value }
		got = append(got, event{
			e.Id(), value(ics.ComponentPropertySummary), value(ics.ComponentPropertyStatus),
			map[string]int{"0": 0, "1": 1}[value(ics.ComponentPropertySequence)],
			start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339),
		})
		if text := value(ics.ComponentPropertyDescription); !strings.Contains(text, "The disk is full.") ||
			!strings.Contains(text, "Covers NC0") {
			t.Errorf("described as %q", text)
		}
	}
	if diff := cmp.Diff(byUID(wantEvents(s)), byUID(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !strings.Contains(text, "\r\nREFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n") {
		t.Error("programs are not told how often to ask")
	}
	if again := body(t, public(s), "/maintenance.ics"); again != text {
		t.Error("what did not change has other bytes")
	}
}

// The two parsers that calendar programs on the web use read the same events.
func TestOtherParsersReadTheCalendar(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"npm": "npm", "node": "nodejs"})
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--silent", "--no-audit", "--no-fund",
		"--prefer-offline", "--prefix", dir, "ical.js@2.2.1", "node-ical@0.27.2")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, _ := calendarSource(t)
	for name, content := range map[string]string{
		"maintenance.ics": body(t, public(s), "/maintenance.ics"), "read.mjs": readCalendar,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := exec.CommandContext(t.Context(), "node", "read.mjs")
	read.Dir, read.Env = dir, append(os.Environ(), "TZ=America/New_York")
	out, err := read.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got map[string][]event
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, parser := range []string{"ical.js", "node-ical"} {
		if diff := cmp.Diff(byUID(wantEvents(s)), byUID(got[parser])); diff != "" {
			t.Errorf("%s (-want +got)\n%s", parser, diff)
		}
	}
}

// readCalendar prints the events of maintenance.ics as each of the parsers reads them.
const readCalendar = `import fs from "node:fs";
import ICAL from "ical.js";
import ical from "node-ical";
const text = fs.readFileSync("maintenance.ics", "utf8");
const stamp = (at) => at.toISOString().replace(".000", "");
const first = new ICAL.Component(ICAL.parse(text)).getAllSubcomponents("vevent").map((component) => {
  const e = new ICAL.Event(component);
  return {
    UID: e.uid, Summary: e.summary, Status: component.getFirstPropertyValue("status"), Sequence: e.sequence,
    Start: stamp(e.startDate.toJSDate()), End: stamp(e.endDate.toJSDate()),
  };
});
const second = Object.values(ical.sync.parseICS(text)).filter((e) => e.type === "VEVENT").map((e) => ({
  UID: e.uid, Summary: e.summary, Status: e.status, Sequence: Number(e.sequence),
  Start: stamp(e.start), End: stamp(e.end),
}));
console.log(JSON.stringify({ "ical.js": first, "node-ical": second }));
`

func byUID(all []event) map[string]event {
	out := map[string]event{}
	for _, e := range all {
		out[e.UID] = e
	}
	return out
}

// The front page shows what is in progress first and then all that is to come; hosts show their own; every page has the
// texts that people wrote, and runs none of them.
func TestPagesOfMaintenance(t *testing.T) {
	s, now := calendarSource(t)
	h := public(s)
	front := body(t, h, "/")
	at := 0
	for _, id := range []string{"extended", "next", "weekly-"} {
		n := strings.Index(front[at:], `href="/maintenance/`+id)
		if n < 0 {
			t.Fatalf("the front page lacks %s, or shows it in another order: %s", id, front)
		}
		at += n
	}
	for path, want := range map[string][]string{
		"/maintenance": {
			"In progress", `covers <a href="/hosts/NC036">Mail</a>`, "Planned", "Past", "Cancelled", "/maintenance.ics",
		},
		"/maintenance/extended": {
			"Under maintenance", "It takes longer.", "Maintenance takes longer, until ", `href="/hosts/NC036"`,
			"<em>full</em>", now.Add(2 * time.Hour).Format("15:04"),
		},
		"/maintenance/weekly": {"recurs every week, in the time of Europe/London", "Next times"},
		"/maintenance/weekly-" + s.Planned[3].Start.Format("20060102t150405z"): {"Scheduled", "Updates"},
		"/maintenance/cancelled": {"Maintenance is cancelled."},
		"/hosts/nc036":           {"New disk", "/maintenance/next"},
	} {
		text := body(t, h, path)
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q: %s", path, part, text)
			}
		}
		if strings.Contains(text, "<script>alert") || path == "/hosts/nc036" && strings.Contains(text, "weekly") {
			t.Errorf("%s runs what a person wrote, or shows another host's maintenance", path)
		}
	}
	for _, path := range []string{"/maintenance/nothing", "/maintenance/next-20260101t000000z", "/maintenance/"} {
		if code := webtest.Get(t, h, path).Code; code != http.StatusNotFound {
			t.Errorf("%s is answered with %d", path, code)
		}
	}
}

// The list says what a recurring maintenance is once, and then when. An occurrence of which there is more to say has
// its own text.
func TestTheListSaysTheTextOfARecurringMaintenanceOnce(t *testing.T) {
	s, now := calendarSource(t)
	weekly := s.Planned[3]
	weekly.Changes[0].Text.Body = "Every week we update."
	h := public(s)
	text := body(t, h, "/maintenance")
	if n := strings.Count(text, "Every week we update."); n != 1 {
		t.Errorf("the text is there %d times: %s", n, text)
	}
	if strings.Count(text, `<a href="/maintenance/weekly-`) != 3 || !strings.Contains(text, "The same, at 2 more times:") {
		t.Errorf("not every occurrence is linked: %s", text)
	}
	second := weekly.Upcoming(now, 2)[1]
	weekly.Changes = append(weekly.Changes, maintenance.Change{
		ID: "z", Action: maintenance.Start, At: now.Add(-time.Minute), Occurrence: second.Start,
		Text: maintenance.Text{Body: "This time it takes two hours."},
	})
	text = body(t, public(s), "/maintenance")
	if strings.Count(text, "Every week we update.") != 1 || strings.Count(text, "This time it takes two hours.") != 1 ||
		strings.Count(text, `<a href="/maintenance/weekly-`) != 3 || !strings.Contains(text, "The same, at 1 more time:") {
		t.Errorf("with an occurrence that has a text of its own: %s", text)
	}
}
