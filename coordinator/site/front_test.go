package site_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// The front page carries no style of forms and no script of charts. Pages that have them do.
func TestOnlyTheFrontPageLacksTheStyleOfForms(t *testing.T) {
	h := public(webtest.States(t)[0].Source)
	for path, front := range map[string]bool{
		"/": true, "/history": false, "/search?q=supply": false, "/hosts/NC036": false, "/matrix": false, "/nothing": false,
	} {
		text := body(t, h, path)
		for _, part := range []string{"button{", "form{display:inline}", "chartScript"} {
			if strings.Contains(text, part) == front {
				t.Errorf("%s: has %q: %v", path, part, !front)
			}
		}
		elements := regexp.MustCompile(`<(form|button|input|select)\b|class="chart"`)
		if needs := elements.FindString(text); front && needs != "" {
			t.Errorf("%s has no style or script for its %s", path, needs)
		}
	}
}

// Every day has exactly one bar: paths that continue from where the last bar of the same look ended arrive at theirs.
func TestEveryDayHasOneBar(t *testing.T) {
	text := body(t, public(webtest.States(t)[0].Source), "/")
	rows := regexp.MustCompile(`(?s)<svg class="days".*?</svg>`).FindAllString(text, -1)
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range rows {
		var days [90]int
		for _, path := range regexp.MustCompile(` d="([^"]*)"`).FindAllStringSubmatch(row, -1) {
			at := 0
			for _, bar := range regexp.MustCompile(`[Mm][^Mm]*`).FindAllString(path[1], -1) {
				var skip, length int
				if _, err := fmt.Sscanf(bar, "M%d .5h%d", &skip, &length); err == nil {
					at = skip
				} else if _, err := fmt.Sscanf(bar, "m%d 0h%d", &skip, &length); err == nil {
					at += skip
				} else {
					t.Fatalf("path %s", path[1])
				}
				for end := at + length; at < end; at++ {
					days[at]++
				}
			}
		}
		for n, bars := range days {
			if bars != 1 {
				t.Errorf("day %d has %d bars: %s", n, bars, row)
			}
		}
	}
}

// Name, city and role of a host fit on one line of a wide screen.
func TestTheLineBelowAHostsTitleDoesNotWrap(t *testing.T) {
	server := httptest.NewServer(public(webtest.States(t)[0].Source))
	t.Cleanup(server.Close)
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	const wrapped = `[...document.querySelectorAll(".who small")].filter(e =>
		e.offsetHeight > 1.5 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.innerText).join("; ")`
	if lines := testenv.Evaluate[string](t, ctx, wrapped); lines != "" {
		t.Errorf("wraps: %s", lines)
	}
}

// On a phone, the states of all checks that do not work are below their names, in line with them.
func TestStatesOfBadChecksAreInLineOnAPhone(t *testing.T) {
	server := httptest.NewServer(public(webtest.States(t)[2].Source))
	t.Cleanup(server.Close)
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 800), chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	const faults = `[...document.querySelectorAll(".host[open] .checks li.down")].filter(li => {
		const text = li.querySelector(".state").firstChild, range = document.createRange();
		range.selectNode(text);
		const state = range.getBoundingClientRect(), name = li.querySelector("a").getBoundingClientRect();
		return state.top < name.bottom || Math.abs(state.left - name.left) > 4;
	}).map(li => li.innerText).join("; ")`
	if !testenv.Evaluate[bool](t, ctx, `document.querySelectorAll(".host[open] .checks li.down").length > 5`) {
		t.Fatal("the page has no checks that are down")
	}
	if out := testenv.Evaluate[string](t, ctx, faults); out != "" {
		t.Errorf("not in line: %s", out)
	}
}
