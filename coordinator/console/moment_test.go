package console_test

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// replayed is a past in which NC036 was down.
type replayed struct {
	*webtest.Source
	asked *[]time.Time
}

func (p replayed) At(_ context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if p.asked != nil {
		*p.asked = append(*p.asked, at)
	}
	if time.Since(at) > 48*time.Hour {
		return nil, nil, errkind.New(errkind.NotFound, "the stream of observations does not reach back")
	}
	c, now := p.Current()
	then := *now
	then.At, then.Hosts = at, append([]mesh.HostState(nil), now.Hosts...)
	then.Hosts[0].Status, then.Hosts[0].Sentence = mesh.MajorOutage, "Down: 6 of 7 regions confirm."
	return c, &then, nil
}

func (replayed) Reach(context.Context) (time.Time, error) {
	return time.Now().Add(-48 * time.Hour), nil
}

func (replayed) Trace(_ context.Context, t mesh.Transition) ([]judge.Event, error) {
	at := t.Began
	return []judge.Event{
		{At: at.Add(-time.Second), Kind: judge.VoteChanged, Text: "london: ok"},
		{At: at, Kind: judge.Observed, Region: "london", Vantage: "nc023", Text: "NC023 probed: unreachable",
			Probe: &judge.Probe{Began: at.Add(-time.Second), Elapsed: time.Second, Outcome: mesh.Unreachable}},
		{At: at.Add(time.Second), Kind: judge.RoundOpened, Round: 7, Text: "round 7 opens"},
		{At: at.Add(2 * time.Second), Kind: judge.Decided, Text: "6 of 8 regions vote bad: down", Rule: "a rule"},
	}, nil
}

// fallen is a source with one change at message 280.
type fallen struct{ source }

func (f fallen) change() []mesh.Transition {
	at := time.Now().Add(-time.Hour)
	_, snapshot := f.Current()
	return []mesh.Transition{{
		ID: "280-nc036-1", Sequence: 280, Host: snapshot.Hosts[0].Name, Check: "ping", Was: mesh.Up, Verdict: mesh.Down,
		Began: at, Published: at.Add(2 * time.Second), Sentence: "Down: 6 of 7 regions confirm.", Rule: "a rule",
	}}
}

func (f fallen) TransitionsIn(context.Context, string, time.Time, time.Time, int) ([]mesh.Transition, error) {
	return f.change(), nil
}

func (f fallen) DecidedAt(_ context.Context, sequence uint64) ([]mesh.Transition, error) {
	if sequence != 280 {
		return nil, nil
	}
	return f.change(), nil
}

func newPastConsole(t *testing.T) (http.Handler, *[]time.Time) {
	t.Helper()
	s, asked := webtest.NewSource(t, mesh.Up, mesh.Operational), &[]time.Time{}
	s.Snapshot.Vantages = []mesh.VantageState{{Name: "NC034", Region: "lusaka", LastBatch: s.Snapshot.At}}
	return console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, asked}, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
	}), asked
}

// ?at= shows a page as it was, without an event stream, in every spelling of a time; what cannot be shown says why.
func TestPagesShowAMoment(t *testing.T) {
	h, asked := newPastConsole(t)
	now := get(t, h, "localhost", "/hosts/NC036").Body.String()
	for _, want := range []string{
		`name="at"`, "the past reaches back to", "5 minutes earlier", `<svg class="timeline"`, "/transitions/280#280-nc036-1",
		"?at=", `data-live="/console/events`,
	} {
		if !strings.Contains(now, want) {
			t.Errorf("the present lacks %q", want)
		}
	}
	for _, at := range []string{"10m", time.Now().Add(-10 * time.Minute).UTC().Format(time.RFC3339)} {
		for _, path := range []string{
			"/hosts/NC036", "/hosts/nc036/checks/ping", "/matrix", "/regions/amsterdam", "/", "/agents", "/catalog",
		} {
			w := get(t, h, "localhost", path+"?at="+at)
			text := w.Body.String()
			live := strings.Contains(text, `data-live="/console/events`)
			if w.Code != http.StatusOK || !strings.Contains(text, "by replay") || live {
				t.Errorf("%s at %s: status %d, live %v", path, at, w.Code, live)
			}
			if got := time.Since((*asked)[len(*asked)-1]); got < 9*time.Minute || got > 11*time.Minute {
				t.Errorf("%s: %v ago was shown", at, got)
			}
		}
	}
	for path, want := range map[string]string{
		"/matrix": `href="/hosts/NC036/checks/ping?at=20`, "/hosts/NC036": `href="/hosts/NC036/checks/ping?at=20`,
		"/": `href="/matrix?at=20`, "/hosts/NC036/checks/ping": `href="/pairs/nc023/NC036/ping?at=20`,
		"/pairs/NC034/NC036/ping": `href="/pairs/NC034/NC036/ping?with=nc023&amp;at=20`,
	} {
		if text := get(t, h, "localhost", path+"?at=10m").Body.String(); !strings.Contains(text, want) ||
			!strings.Contains(text, `class="now" href="`+path+`"`) {
			t.Errorf("the links of %s do not lead to the same moment, or back to now", path)
		}
	}
	// A filter, a table and a page that are asked for later are of the moment that the page shows.
	if text := get(t, h, "localhost", "/matrix?at=10m&show=loss").Body.String(); strings.Contains(text, "at=10m") ||
		!strings.Contains(text, `name="at" value="20`) {
		t.Errorf("what the matrix leads to is ten minutes before it is asked for")
	}
	if then := get(t, h, "localhost", "/hosts/NC036?at=10m").Body.String(); !strings.Contains(then, "Major outage") {
		t.Error("the moment shows the present")
	}
	for path, want := range map[string]int{
		"/hosts/NC036?at=yesterday": http.StatusBadRequest, "/hosts/NC036?at=72h": http.StatusNotFound,
		"/hosts/NC999": http.StatusNotFound, "/hosts/NC036/checks/nothing": http.StatusNotFound,
		"/regions/nowhere": http.StatusNotFound, "/transitions/281": http.StatusNotFound,
		"/hosts/NC036?at=10m&x=" + strings.Repeat("%22", 2000): http.StatusRequestURITooLong,
		"/transitions/x": http.StatusNotFound, "/pairs/NC999/NC036/ping": http.StatusNotFound,
	} {
		if w := get(t, h, "localhost", path); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

// A change is explained step by step, drawn and as data.
func TestATransitionIsExplained(t *testing.T) {
	h, _ := newPastConsole(t)
	text := get(t, h, "localhost", "/transitions/280").Body.String()
	for _, want := range []string{"6 of 8 regions vote bad: down", "round 7 opens", "Rule: a rule.", `role="img"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	var data struct{ Steps []struct{ Kind, Text string } }
	answer := get(t, h, "localhost", "/transitions/280.json").Body.Bytes()
	if err := json.Unmarshal(answer, &data); err != nil || len(data.Steps) != 4 || data.Steps[2].Kind != "round" {
		t.Errorf("%v: %s", err, answer)
	}
	if csv := get(t, h, "localhost", "/hosts/NC036.csv").Body.String(); !strings.HasPrefix(csv, "host,check,verdict,") {
		t.Errorf("the votes as CSV: %.100s", csv)
	}
}

// A moment that cannot be shown is answered by a page of the console that leads to those that can.
func TestAMomentOutOfReachHasAPage(t *testing.T) {
	h, _ := newPastConsole(t)
	w := get(t, h, "localhost", "/hosts/NC036?at=72h")
	text := w.Body.String()
	begin := regexp.MustCompile(`the past reaches back to\n<a href="(/hosts/NC036\?at=[^"]+)">`).FindStringSubmatch(text)
	if w.Code != http.StatusNotFound || begin == nil || !strings.Contains(text, "does not reach back") ||
		!strings.Contains(text, `aria-label="Site"`) || !strings.Contains(text, `value="72h"`) {
		t.Fatalf("status %d: %s", w.Code, text)
	}
	if w := get(t, h, "localhost", html.UnescapeString(begin[1])); w.Code != http.StatusOK {
		t.Errorf("the earliest moment of the page: status %d", w.Code)
	}
	if w := get(t, h, "localhost", "/hosts/NC036.csv?at=72h"); strings.Contains(w.Body.String(), "<") || w.Code != 404 {
		t.Errorf("programs get %d: %.100s", w.Code, w.Body)
	}
}

// young is a source whose only changes are a check's first success and the host's status that followed, both at once.
type young struct {
	source
	changed time.Time
}

func (y young) TransitionsIn(context.Context, string, time.Time, time.Time, int) ([]mesh.Transition, error) {
	return []mesh.Transition{
		{ID: "1", Sequence: 1, Host: "NC036", Check: "ping", Was: mesh.Pending, Verdict: mesh.Up, Published: y.changed},
		{ID: "2", Sequence: 1, Host: "NC036", From: mesh.StatusUnknown, To: mesh.Operational, Published: y.changed},
	}, nil
}

// The timeline of a host has each change of the table below it.
func TestTheTimelineAgreesWithTheTable(t *testing.T) {
	s, changed := webtest.NewSource(t, mesh.Up, mesh.Operational), time.Now().Add(-time.Minute)
	h := console.New(console.Config{
		Source: young{source{s}, changed}, Past: replayed{s, &[]time.Time{}}, Site: http.NotFoundHandler(),
		Logger: zerolog.Nop(),
	})
	text := get(t, h, "localhost", "/hosts/NC036").Body.String()
	if strings.Contains(text, "No verdict changed") ||
		strings.Count(text, "aria-label=\""+changed.UTC().Format("2 Jan 15:04")) != 2 {
		t.Error(text)
	}
}

// The overview asks for an earlier moment, as the matrix does, and one of the past says what it shows of the present.
func TestTheOverviewLeadsToTheMinutesBefore(t *testing.T) {
	h, _ := newPastConsole(t)
	now := get(t, h, "localhost", "/").Body.String()
	for _, want := range []string{`name="at"`, "1 minute earlier", "5 minutes earlier", "Needs you now"} {
		if !strings.Contains(now, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	then := get(t, h, "localhost", "/?at=3m").Body.String()
	if strings.Contains(then, "Needs you now") || !strings.Contains(then, "Needed you then") ||
		!strings.Contains(then, "Coordinator at present") || strings.Count(then, `id="at"`) != 1 {
		t.Error("the overview of a moment calls it the present")
	}
}
