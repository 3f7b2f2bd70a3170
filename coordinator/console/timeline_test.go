package console_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// restless is a source whose check changed its verdict often: five times in the minute before a time, and before that
// once an hour.
type restless struct {
	source
	now time.Time
}

func (f restless) TransitionsIn(
	_ context.Context, host string, _, _ time.Time, _ int,
) (out []mesh.Transition, err error) {
	_, snapshot := f.Current()
	for n := range 45 {
		at := f.now.Add(-time.Duration(45-n) * time.Hour)
		if n >= 40 {
			at = f.now.Add(-time.Duration(46-n) * 10 * time.Second)
		}
		t := mesh.Transition{
			ID: "x", Sequence: uint64(n), Host: snapshot.Hosts[0].Name, Check: "ping", Was: mesh.Down, Verdict: mesh.Up,
			Began: at, Published: at,
		}
		if n == 44 {
			t.Was, t.Verdict = mesh.Up, mesh.Down
		}
		out = append(out, t)
	}
	return out, nil
}

// Of changes at one place of the timeline, the latest are drawn: an outage that has just begun is never left out.
func TestTheLatestChangeIsDrawn(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := console.New(console.Config{
		Source: restless{source{s}, time.Now()}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	})
	for _, path := range []string{"/hosts/NC036", "/matrix"} {
		text := get(t, h, "localhost", path).Body.String()
		if !strings.Contains(text, "NC036 ping down") || !strings.Contains(text, "2 more are not drawn") {
			t.Errorf("%s does not draw the latest change", path)
		}
	}
}

// busy is a source with more changes of statuses and verdicts than a timeline reads.
type busy struct{ source }

func (busy) TransitionsIn(
	_ context.Context, _ string, _, _ time.Time, limit int,
) (out []mesh.Transition, err error) {
	at := time.Now().Add(-time.Hour)
	for n := range limit {
		t := mesh.Transition{ID: "x", Host: "NC036", From: mesh.Operational, To: mesh.MajorOutage, Published: at}
		if n%2 == 0 {
			t.Check, t.Was, t.Verdict = "ping", mesh.Up, mesh.Down
		}
		out = append(out, t)
	}
	return out, nil
}

// A timeline of all hosts says that earlier changes are not drawn, also where few of those that it read have a mark.
func TestATimelineSaysThatEarlierChangesAreMissing(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := console.New(console.Config{
		Source: busy{source{s}}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	})
	text := get(t, h, "localhost", "/matrix").Body.String()
	if !strings.Contains(text, "Earlier changes are not drawn.") {
		t.Error(text)
	}
}

// The marks of the timeline are one stop of the Tab key. Arrow keys go from mark to mark, and the line below says
// which one has the focus.
func TestMarksAreOneStop(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(console.New(console.Config{
		Source: restless{source{s}, time.Now()}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/hosts/NC036")); err != nil {
		t.Fatal(err)
	}
	testenv.AwaitInPage(t, ctx, "the line has the focus", `(document.querySelector(".line").focus(),
		document.activeElement.matches(".line"))`)
	const place = `(() => {
		const all = [...document.querySelectorAll("svg.timeline a")], n = all.indexOf(document.activeElement);
		const said = document.getElementById("mark");
		if (n < 0) return "none";
		return n + " of " + all.length + (said.checkVisibility() && said.innerText === all[n].getAttribute("aria-label")
			? "" : ": " + said.innerText);
	})()`
	for _, step := range []struct{ key, want string }{
		{kb.Tab, "0 of 43"}, {kb.ArrowRight, "0 of 43"}, {kb.ArrowLeft, "1 of 43"}, {kb.Home, "42 of 43"},
		{kb.ArrowLeft, "42 of 43"}, {kb.ArrowRight, "41 of 43"}, {kb.End, "0 of 43"}, {kb.Tab, "none"},
	} {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(step.key)); err != nil {
			t.Fatal(err)
		}
		if got := testenv.Evaluate[string](t, ctx, place); got != step.want {
			t.Errorf("after %q the focus is at mark %s, want %s", step.key, got, step.want)
		}
	}
}
