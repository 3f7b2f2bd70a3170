package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// focusedCell is the row and column of the cell whose link has the focus, and whether a sticky header covers it.
const focusedCell = `(function () {
	var a = document.activeElement, cell = a.closest(".heat th,.heat td");
	if (!cell) return "none: " + a.outerHTML.slice(0, 80);
	var table = cell.closest("table"), at = a.getBoundingClientRect(), y = cell.parentNode.rowIndex, x = cell.cellIndex;
	var below = y === 0 || at.top >= table.rows[0].cells[0].getBoundingClientRect().bottom - 1;
	var beside = x === 0 || at.left >= table.rows[1].cells[0].getBoundingClientRect().right - 1;
	var stops = table.querySelectorAll("a:not([tabindex='-1'])").length;
	return y + "," + x + (below && beside ? "" : " covered") + (stops === 1 ? "" : " of " + stops + " stops");
})()`

func press(t *testing.T, ctx context.Context, key string, modifiers ...chromedp.Modifier) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.KeyEvent(key, chromedp.KeyModifiers(modifiers...))); err != nil {
		t.Fatal(err)
	}
}

// A matrix is one stop of the Tab key, from which arrow keys reach every link, and nothing sticky covers the one in
// focus. Without a script, each is a stop.
func TestAMatrixByKeyboard(t *testing.T) {
	m := newLargeMesh(linesMax)
	if text := m.get(t, "/matrix").Body.String(); strings.Contains(text, `tabindex="-1"`) {
		t.Error("without a script, links cannot be reached")
	}
	server := httptest.NewServer(New(Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	// So small that the matrix is wider and higher than its box.
	err := chromedp.Do(ctx, chromedp.EmulateViewport(500, 500), chromedp.Navigate(server.URL+"/matrix"))
	if err != nil {
		t.Fatal(err)
	}
	testenv.AwaitInPage(t, ctx, "the box has the focus", `(document.querySelector(".heat.scroll").focus(),
		document.activeElement.matches(".heat.scroll"))`)
	ctrl := chromedp.ModifierCtrl
	for _, step := range []struct { // a vantage has a link in the rows of the hosts that it observes
		key      string
		modifier []chromedp.Modifier
		want     string
	}{
		{kb.Tab, nil, "1,0"}, {kb.ArrowRight, nil, "1,2"}, {kb.ArrowDown, nil, "6,2"}, {kb.End, nil, "6,29"},
		{kb.Home, nil, "6,0"}, {kb.ArrowLeft, nil, "6,0"}, {kb.PageDown, nil, "16,0"},
		{kb.End, []chromedp.Modifier{ctrl}, "30,28"}, {kb.ArrowDown, nil, "30,28"}, {kb.PageUp, nil, "19,28"},
		{kb.PageUp, nil, "7,28"}, {kb.PageUp, nil, "0,28"}, {kb.Home, []chromedp.Modifier{ctrl}, "0,1"},
		{kb.ArrowDown, nil, "3,1"}, {kb.ArrowUp, nil, "0,1"},
	} {
		press(t, ctx, step.key, step.modifier...)
		if got := testenv.Evaluate[string](t, ctx, focusedCell); got != step.want {
			t.Errorf("after %q the focus is at %s, want %s", step.key, got, step.want)
		}
	}
	press(t, ctx, kb.End, ctrl)
	press(t, ctx, kb.Home)
	for row := linesMax - 1; row >= 0; row-- { // a browser does not scroll to what is covered, but within the box
		press(t, ctx, kb.ArrowUp)
		if got := testenv.Evaluate[string](t, ctx, focusedCell); row > 0 && got != fmt.Sprintf("%d,0", row) {
			t.Errorf("the focus is at %s, want row %d", got, row)
		}
	}
	press(t, ctx, kb.Tab)
	if got := testenv.Evaluate[bool](t, ctx, `document.activeElement.closest(".heat") === null`); !got {
		t.Error("the Tab key does not leave the matrix")
	}
}
