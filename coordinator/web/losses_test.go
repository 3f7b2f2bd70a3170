package web_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// lostMinutes are an hour of a path that lost some probes in three minutes, all of them in a fourth, and that nobody
// observed in a fifth.
func lostMinutes() web.Chart {
	values, lost := slices.Repeat([]float64{50}, 60), make([]float64, 60)
	lost[10], lost[20], lost[30], lost[40] = 3, 10, 50, 100
	values[40], values[50], lost[50] = math.NaN(), math.NaN(), math.NaN()
	return web.Chart{
		ID: "rtt", Label: "Round-trip time", Unit: "ms", From: time.Unix(1_800_000_000, 0), Step: time.Minute,
		Series: []web.ChartSeries{{Name: "NC023", Values: values, Lost: lost}},
	}
}

// lossMark is what the canvas has in the color of one level of losses.
type lossMark struct {
	Color        string
	Minute       float64 // of its middle
	High, Middle int     // in pixels: its height, and how far its middle is below the line
}

// marksOfLosses finds them: in whole columns of pixels of one color, beside one another.
const marksOfLosses = `(() => {
	const canvas = document.querySelector(".plot canvas"), w = canvas.width, h = canvas.height;
	const pixels = canvas.getContext("2d").getImageData(0, 0, w, h).data;
	const rgb = name => {
		const c = document.createElement("canvas").getContext("2d");
		c.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
		c.fillRect(0, 0, 1, 1);
		return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3).join();
	};
	const find = color => {
		const columns = [];
		for (let x = 0; x < w; x++) {
			const ys = [];
			for (let y = 0; y < h; y++) {
				const i = 4 * (y * w + x);
				if (pixels[i + 3] === 255 && [pixels[i], pixels[i + 1], pixels[i + 2]].join() === color) ys.push(y);
			}
			if (ys.length) columns.push({x, high: ys.length, middle: (ys[0] + ys[ys.length - 1]) / 2});
		}
		return columns;
	};
	const line = find(rgb("--s0")), first = line[0], last = line[line.length - 1], out = [];
	for (const color of ["--degraded", "--partial", "--down"]) {
		let run = [];
		for (const c of [...find(rgb(color)), {x: 1e9}]) {
			if (run.length && c.x > run[run.length - 1].x + 1) {
				const x = (run[0].x + run[run.length - 1].x) / 2;
				out.push({Color: color, Minute: 59 * (x - first.x) / (last.x - first.x), High: run[0].high,
					Middle: Math.round(run[0].middle - first.middle)});
				run = [];
			}
			run.push(c);
		}
	}
	return out;
})()`

// Losses are drawn where they were, the more the higher and in another color, also where nothing answered. Where
// nothing was observed, nothing is drawn, and the words below say so.
func TestLossesAreDrawn(t *testing.T) {
	html, err := lostMinutes().HTML()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, append(web.FileRoutes(),
		web.Route{Pattern: "GET /{$}", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			return web.Layout{Title: "Losses", Brand: "Status", Body: "<h1>Losses</h1>" + html}.Write(w, http.StatusOK)
		}})...))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		screen := chromedp.EmulateViewport(1280, 900)
		err := chromedp.Do(ctx, screen, testenv.ColorScheme(scheme), chromedp.Navigate(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		testenv.AwaitInPage(t, ctx, "the drawing with its keys", `document.querySelectorAll(".keys .losses i").length === 3`)
		got := testenv.Evaluate[[]lossMark](t, ctx, marksOfLosses)
		want := []lossMark{{"--degraded", 10, 4, 0}, {"--partial", 20, 7, 0}, {"--down", 30, 10, 0}, {"--down", 40, 10, 1}}
		if len(got) != len(want) {
			t.Fatalf("%s: %+v", scheme, got)
		}
		for i, m := range got {
			atLine := want[i].Middle == 0
			if m.Color != want[i].Color || math.Abs(m.Minute-want[i].Minute) > 0.4 || m.High < want[i].High-2 ||
				m.High > want[i].High || atLine != (m.Middle >= -2 && m.Middle <= 2) || !atLine && m.Middle < 100 {
				t.Errorf("%s: %+v, want %+v", scheme, m, want[i])
			}
		}
	}
	said := testenv.Evaluate[[]string](t, ctx, `[20, 40, 50].map(i => {
		const plot = document.querySelector(".u-over"), r = plot.getBoundingClientRect();
		const at = {clientX: r.left + r.width * i / 59, clientY: r.top + 9, bubbles: true};
		plot.dispatchEvent(new MouseEvent("mousemove", at));
		return document.querySelector(".keys button b").textContent;
	})`)
	if want := []string{"50, 10 % lost", "–, 100 % lost", "–"}; !slices.Equal(said, want) {
		t.Errorf("the keys say %q, want %q", said, want)
	}
}
