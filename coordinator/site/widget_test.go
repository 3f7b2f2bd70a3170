package site_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// The widget is for pages of anybody: small, readable from everywhere, and kept by browsers.
func TestTheWidgetIsSmall(t *testing.T) {
	w := webtest.Get(t, public(webtest.NewSource(t, mesh.Up, mesh.Operational)), "/widget.js")
	if w.Code != http.StatusOK || w.Body.Len() >= 4096 || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
		w.Header().Get("ETag") == "" {
		t.Errorf("%d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
}

// A page of another site shows the status, under a strict policy of its own, and nothing in a title runs there.
func TestTheWidgetShowsTheStatusElsewhere(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	s := webtest.NewSource(t, mesh.Down, mesh.MajorOutage)
	s.Snapshot.At = time.Now().Add(time.Minute) // it stays current while the browser starts
	s.All = webtest.Incidents()
	for _, i := range s.All {
		for n := range i.Hosts {
			i.Hosts[n].Name = "NC036"
		}
	}
	view := web.NewView(s, web.Public)
	pages := site.New(site.Config{View: view})
	status := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public,
		slices.Concat(pages.Routes(), api.New(api.Config{View: view, Pages: pages}).Routes())...))
	defer status.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connect := status.URL
		if r.URL.Path == "/pictures" {
			connect = "'none'"
		}
		w.Header().Set("Content-Security-Policy", fmt.Sprintf(
			"default-src 'none'; script-src %s; img-src %[1]s; connect-src %s", status.URL, connect))
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>Elsewhere</title><script async src="%s/widget.js" data-host="%s"></script>`, status.URL,
			r.URL.Query().Get("host"))
	}))
	defer other.Close()
	for address, want := range map[string]string{
		"/":            `text.startsWith("■Major System Outage") && color === "rgb(179, 38, 30)" && link.pathname === "/"`,
		"/?host=nc036": `text === "■nc036: Major outage" && link.pathname === "/hosts/nc036"`,
		"/?host=%3Cimg+src=x+onerror=alert(1)%3E": `text.includes("<img src=x") && text.includes("Unknown") && 
			link.children.length === 2`,
		"/pictures": `!!link.querySelector("img[alt=Status]")`,
	} {
		if err := chromedp.Do(ctx, chromedp.Navigate(other.URL+address)); err != nil {
			t.Fatal(err)
		}
		testenv.AwaitInPage(t, ctx, address, `(() => {
			const link = document.querySelector("a.probemesh-status");
			if (!link) return false;
			const text = link.textContent, color = getComputedStyle(link.firstChild).color;
			return link.previousElementSibling.tagName === "SCRIPT" && `+want+`;
		})()`)
	}
}
