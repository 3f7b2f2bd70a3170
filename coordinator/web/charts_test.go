package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// uPlot is what npm publishes as 1.6.32: fetch.sh fetches the version that these sums are of.
func TestUPlotIsAsPublished(t *testing.T) {
	for name, want := range map[string]string{
		"LICENSE":           "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
		"uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uPlot.min.css":     "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
	} {
		data, err := os.ReadFile("assets/uplot/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has the sum %x", name, sum)
		}
	}
}

// exampleChart has two lines over six hours, with a gap, a band and a mark.
func exampleChart() web.Chart {
	return web.Chart{
		ID: "rtt", Label: "Round-trip time by region", Unit: "ms", Step: time.Hour,
		From: time.Date(2026, 11, 5, 20, 0, 0, 0, time.UTC),
		Series: []web.ChartSeries{
			{Name: "Toronto </script>", Values: []float64{84.25, 85, math.NaN(), 120, 84, 83}},
			{Name: "Sydney", Values: []float64{235, 236, 240, 250, 238, 236},
				Mid: []float64{250, 250, 260, 270, 250, 245}, High: []float64{290, 280, 300, 300, 270, 260}},
		},
		Marks: []web.ChartMark{{Name: "Down", From: time.Date(2026, 11, 5, 22, 0, 0, 0, time.UTC),
			To: time.Date(2026, 11, 5, 22, 30, 0, 0, time.UTC)}},
	}
}

// chartSite serves pages with a chart of each source of data, and one without.
func chartSite(t *testing.T) *httptest.Server {
	t.Helper()
	remote := exampleChart()
	remote.Source = "/data"
	page := func(charts ...web.Chart) web.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) error {
			body := template.HTML("<h1>Charts</h1>")
			for _, c := range charts {
				html, err := c.HTML()
				if err != nil {
					return err
				}
				body += html
			}
			return web.Layout{Title: "Charts", Brand: "Status", Body: body}.Write(w, http.StatusOK)
		}
	}
	s := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, append(web.FileRoutes(),
		web.Route{Pattern: "GET /inside", Handler: page(exampleChart())},
		web.Route{Pattern: "GET /remote", Handler: page(remote)},
		web.Route{Pattern: "GET /none", Handler: page()},
		web.Route{Pattern: "GET /data", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			return web.WriteJSON(w, http.StatusOK, exampleChart().Data())
		}})...))
	t.Cleanup(s.Close)
	return s
}

func TestChartsAreDrawnUnderTheStrictPolicy(t *testing.T) {
	browser, s := testenv.NewBrowser(t), chartSite(t)
	for _, path := range []string{"/inside", "/remote"} {
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Run(browser, testenv.ColorScheme(scheme)); err != nil {
				t.Fatal(err)
			}
			if _, err := chromedp.Run(browser, chromedp.Navigate(s.URL+path)); err != nil {
				t.Fatal(err)
			}
			testenv.AwaitInPage(
				t,
				browser,
				"a drawing with its keys",
				`document.querySelectorAll(".plot canvas").length === 1 && document.querySelectorAll(".keys button").length === 2`,
			)
			// A pixel of each line: what an unreadable style or a refused script would not draw.
			if drawn := testenv.Evaluate[bool](t, browser, `(() => {
				const c = document.querySelector(".plot canvas"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
				const colors = new Set();
				for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) colors.add([d[i], d[i + 1], d[i + 2]].join());
				return colors.size >= 3;
			})()`); !drawn {
				t.Errorf("%s, %s: the drawing lacks its lines", path, scheme)
			}
			hidden := testenv.Evaluate[string](t, browser, `(() => {
				const b = document.querySelector(".keys button"); b.click(); return b.getAttribute("aria-pressed"); })()`)
			if hidden != "false" {
				t.Errorf("%s: the key of a line does not hide it", path)
			}
		}
	}
	// A page that updates by itself keeps what is drawn.
	if !testenv.Evaluate[bool](t, browser, `(() => {
		const old = document.querySelector(".plot canvas"); window.old = old;
		const main = document.querySelector("main"); main.innerHTML = main.innerHTML; return true; })()`) {
		t.Fatal()
	}
	testenv.AwaitInPage(
		t,
		browser,
		"the same drawing in the new body",
		`document.querySelector(".plot canvas") === window.old`,
	)
}

func TestOnlyPagesWithAChartLoadItsFiles(t *testing.T) {
	s := chartSite(t)
	for path, charts := range map[string]bool{"/inside": true, "/remote": true, "/none": false} {
		w := ask(s.Config.Handler, http.MethodGet, path)
		csp, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") ||
			strings.Contains(csp, "script-src 'self'") || strings.Contains(body, "data-chart-script=") != charts {
			t.Errorf("%s: %s\n%s", path, csp, body)
		}
	}
	for _, f := range web.Files() {
		w := ask(s.Config.Handler, http.MethodGet, f.Path, "Accept-Encoding", "gzip")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != f.MediaType || unpack(t, w) != string(f.Body) ||
			!strings.Contains(
				w.Header().Get("Cache-Control"),
				"immutable",
			) || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", f.Path, w.Code, w.Header())
		}
	}
}

func TestAChartIsATableToo(t *testing.T) {
	html, err := exampleChart().HTML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<th scope="row">6 Nov 01:00</th><td>83</td><td>236</td>`, `<th scope="row">5 Nov 22:00</th><td>–</td><td>240</td>`,
		`<td>84.2</td>`, `"values":[84.2,85,null,120,84,83]`, `\u003c/script\u003e`,
	} {
		if !strings.Contains(string(html), want) {
			t.Errorf("lacks %s:\n%s", want, html)
		}
	}
	data, err := json.Marshal(web.Chart{}.Data())
	if err != nil || string(data) != `{"unit":"","from":-62135596800,"step":0,"series":[]}` {
		t.Errorf("an empty chart: %s (%v)", data, err)
	}
}

// A chart that nobody scrolls to costs nothing.
func TestAChartOutOfViewLoadsNothing(t *testing.T) {
	browser := testenv.NewBrowser(t)
	h := web.NewHandler(zerolog.Nop(), web.Public, append(web.FileRoutes(),
		web.Route{Pattern: "GET /", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			html, err := exampleChart().HTML()
			if err != nil {
				return err
			}
			body := template.HTML("<h1>Charts</h1>" + strings.Repeat("<p>words</p>", 200))
			return web.Layout{Title: "Charts", Brand: "Status", Body: body + html}.Write(w, http.StatusOK)
		}})...)
	s := httptest.NewServer(h)
	defer s.Close()
	if err := chromedp.Do(browser, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.URL)); err != nil {
		t.Fatal(err)
	}
	const files = `performance.getEntriesByType("resource").filter(r => r.name.includes("/assets/")).length`
	if n := testenv.Evaluate[int](t, browser, files); n != 0 {
		t.Errorf("%d files are loaded at once", n)
	}
	testenv.Evaluate[bool](t, browser, `document.querySelector("figure").scrollIntoView(); true`)
	testenv.AwaitInPage(
		t,
		browser,
		"the drawing",
		`document.querySelectorAll(".plot canvas").length === 1 && `+files+` === 2`,
	)
}
