package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// 48 hours are drawn by minute, with p90 and p99, from values that the page reads by itself; so is the past.
func TestTwoDaysAreDrawnByMinute(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Lifelike = true
	s.Snapshot.Vantages = []mesh.VantageState{
		{Name: "NC023", Region: "london"}, {Name: "NC034", Region: "lusaka"}, {Name: "NC035", Region: "lusaka"},
	}
	server := httptest.NewServer(console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, nil}, Site: web.NewMux(zerolog.Nop(), web.FileRoutes()...),
		Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	for path, lines := range map[string][]string{
		"/pairs/NC023/NC036/ping":                {"NC023"},
		"/pairs/NC023/NC036/ping?with=NC034":     {"NC023", "NC034"},
		"/pairs/NC023/NC036/ping?at=10m":         {"NC023"},
		"/hosts/NC036/checks/ping":               {"London", "Lusaka"},
		"/hosts/NC036/checks/ping?at=10m":        {"London", "Lusaka"},
		"/hosts/NC036/checks/ping/minutes?at=1h": {"London", "Lusaka"},
	} {
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+path)); err != nil {
			t.Fatal(err)
		}
		testenv.Evaluate[bool](t, ctx, `(document.getElementById("rtt-days").scrollIntoView(), true)`)
		testenv.AwaitInPage(t, ctx, "the charts of "+path+" are drawn",
			`["rtt-days", "loss-days"].every(id => document.querySelector("#" + id + " .plot canvas") !== null)`)
		source := testenv.Evaluate[string](t, ctx, `document.getElementById("rtt-days").dataset.source`)
		chart := readChart(t, server.Config.Handler, source)
		var names []string
		for _, l := range chart.Series {
			names = append(names, l.Name)
			if len(l.Values) != 48*60 || len(l.Mid) != 48*60 || len(l.High) != 48*60 || *l.Mid[7] != *l.Values[7]+1 {
				t.Errorf("%s: the line %s has %d values", path, l.Name, len(l.Values))
			}
		}
		if strings.Join(names, " ") != strings.Join(lines, " ") || chart.Step != 60 {
			t.Errorf("%s: the lines are %q, in steps of %d s", path, names, chart.Step)
		}
		ago := time.Duration(0)
		if address, err := url.Parse(path); err != nil {
			t.Fatal(err)
		} else if at := address.Query().Get("at"); at != "" {
			ago, _ = time.ParseDuration(at)
		}
		end := time.Unix(chart.From, 0).Add(48 * time.Hour)
		if late := time.Since(end) - ago; late < -2*time.Minute || late > 2*time.Minute {
			t.Errorf("%s: the values end %v ago", path, time.Since(end))
		}
	}
	pair := get(t, server.Config.Handler, "localhost", "/pairs/NC023/NC036/ping?at=1h").Body.String()
	if !strings.Contains(pair, `href="/hosts/NC036/checks/ping/year?at=20`) {
		t.Error("the page of a pair does not lead to a year by region")
	}
	for _, path := range []string{"/pairs/NC023/NC036/ping", "/hosts/NC036/checks/ping/minutes"} {
		if n := strings.Count(get(t, server.Config.Handler, "localhost", path+"?format=csv").Body.String(), "\n"); n < 48*60 {
			t.Errorf("%s: the table of minutes has %d lines", path, n)
		}
	}
}

// chartValues are the values of a chart, as its script reads them.
type chartValues struct {
	From, Step int64
	Series     []struct {
		Name              string
		Values, Mid, High []*float64
	}
	Marks []struct{ Name string }
}

func readChart(t *testing.T, h http.Handler, address string) (c chartValues) {
	t.Helper()
	if err := json.Unmarshal(get(t, h, "localhost", address).Body.Bytes(), &c); err != nil {
		t.Fatal(address, err)
	}
	return c
}

// A period is summed up as a whole: its median is not that of a minute.
func TestAPeriodIsSummedUpAsAWhole(t *testing.T) {
	text := get(t, newConsole(t), "localhost", "/pairs/NC023/NC036/ping?format=csv&table=periods").Body.String()
	for _, want := range []string{
		"the last hour,NC023,60,0,360,0,420,360,0.06,", "48 hours,NC023,2880,0,17280,0,20160,17280,2.88,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}
