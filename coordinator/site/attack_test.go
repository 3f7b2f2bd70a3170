package site_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// attacks are texts that run code, load something or restyle the page where something does not escape or sanitise them.
// Each sets window.attacked if it runs.
var attacks = []string{
	`<script>window.attacked=1</script>`, `</title><script>window.attacked=1</script>`,
	`"><img src=x onerror=window.attacked=1>`, `'><svg/onload=window.attacked=1>`,
	`<svg><script>window.attacked=1</script></svg>`, `[x](javascript:window.attacked=1)`, `<javascript:window.attacked=1>`,
	`![x](javascript:window.attacked=1)`, `![x](x" onerror="window.attacked=1)`, `[x](x" onclick="window.attacked=1)`,
	`[x](data:text/html,<script>parent.attacked=1</script>)`, `<a href="javascript:window.attacked=1">x</a>`,
	`[x]: javascript:window.attacked=1` + "\n\n[x]", `<iframe srcdoc="<script>parent.attacked=1</script>"></iframe>`,
	`<style>body{display:none}</style>`, `<base href="https://evil.example/">`,
	`<form action="https://evil.example/"><button>`,
	`<meta http-equiv="refresh" content="0;url=https://evil.example/">`, `<details open ontoggle=window.attacked=1>`,
	`<math><mi><script>window.attacked=1</script></mi></math>`, `<!--><script>window.attacked=1</script>-->`,
	`{{constructor.constructor("window.attacked=1")()}}`, `{{.}} {{template "x"}} ${window.attacked=1} <%= 1 %>`,
	`javascript:window.attacked=1//'-window.attacked=1-'`, "a\u202egnp.exe\u2066", `=HYPERLINK("https://evil.example/")`,
	"x\r\nSet-Cookie: attacked=1", `<link rel=stylesheet href=https://evil.example/>`,
	`]]><script>window.attacked=1</script>`,
	`<object data="javascript:window.attacked=1">`, "`<img src=x onerror=window.attacked=1>`",
	`<h1 style="position:fixed;inset:0">`, `<noscript><p title="</noscript><img src=x onerror=window.attacked=1>">`,
}

// attacked is a site on which everything that people write is an attack: titles, texts, tags, categories, names.
func attacked(t *testing.T) *webtest.Source {
	s := webtest.NewSource(t, mesh.Down, mesh.MajorOutage)
	s.Library = webtest.NewLibrary(t)
	s.All = webtest.Incidents()
	all := strings.Join(attacks, "\n\n")
	s.Catalog.Page.Title = attacks[1]
	for i := range s.Catalog.Hosts {
		s.Catalog.Hosts[i].Role, s.Catalog.Hosts[i].Title = attacks[2], attacks[3]
	}
	for i := range s.Catalog.Regions {
		s.Catalog.Regions[i].City = attacks[2]
	}
	for i := range s.All {
		for k := range s.All[i].Updates {
			s.All[i].Updates[k].Body = attacks[2]
		}
	}
	for n, attack := range attacks {
		e := ledger.PostEvent{
			ID: "a" + string(rune('a'+n%26)) + string(rune('a'+n/26)), Mesh: time.Now(), Tags: []string{attack},
			Category: attack, Hosts: []string{s.Catalog.Host("nc036").Identity()},
		}
		s.Library.Write(e, attack, attack+"\n\n"+all)
		e.Action, e.ShowBefore = ledger.PostEdited, true
		s.Library.Write(e, attack+" again", attack)
	}
	return s
}

// observe is a script that counts what a page's policy refused, before anything else runs.
const observe = `window.refused = []; document.addEventListener("securitypolicyviolation",
	e => window.refused.push(e.violatedDirective + " " + e.blockedURI + " " + e.sample));`

// foreign lists what no page has unless an attack made it.
const foreign = `(() => {
	const out = [];
	if (window.attacked) out.push("attacked");
	if (document.cookie) out.push("cookie " + document.cookie);
	out.push(...(window.refused || []));
	// Charts are the page's own: their files, and what their script draws.
	const own = e => e.matches('link[href^="/assets/chart-"]') || e.closest(".plot") !== null;
	for (const e of document.querySelectorAll("*")) {
		if (own(e)) continue;
		for (const a of e.attributes) {
			if (/^on/i.test(a.name) || a.name === "srcdoc" || a.name === "style") out.push(e.tagName + " " + a.name);
			if (/^\s*(javascript|vbscript)/i.test(a.value) && a.name !== "value") out.push(e.tagName + " " + a.value);
			if (/^\s*data:/i.test(a.value) && a.name === "href" && e.id !== "icon") out.push(e.tagName + " " + a.value);
			if (/evil/.test(a.value) && (a.name === "src" || a.name === "action")) out.push(e.tagName + " " + a.value);
		}
	}
	const bad = "iframe, object, embed, base, img, video, audio, math, frame, meta[http-equiv], link[rel=stylesheet]";
	for (const e of document.querySelectorAll(bad)) if (!own(e)) out.push(e.outerHTML);
	const inline = "script:not([src^='/assets/chart-']):not([type='application/json'])";
	const scripts = document.querySelectorAll(inline).length, styles = document.querySelectorAll("style").length;
	if (document.contentType === "text/html" && (scripts !== 1 || styles !== 1)) {
		out.push(scripts + " scripts, " + styles + " styles");
	}
	for (const e of document.querySelectorAll("svg *")) {
		if (!/^(rect|path|line|polyline|circle|g|title|text)$/.test(e.tagName)) out.push(e.outerHTML);
	}
	return out.join("; ");
})()`

// inspect opens an address and returns what is foreign on it.
func inspect(t *testing.T, ctx context.Context, address string) string {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return testenv.Evaluate[string](t, ctx, foreign)
}

// Nothing that people wrote runs, loads anything or restyles a page, and no page asks the browser for what its policy
// refuses: the policy is the second line of defence.
func TestAttacksDoNothing(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	observed := chromedp.Action[chromedp.Void](
		func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument,
				page.AddScriptToEvaluateOnNewDocumentParams{Source: observe})
			return chromedp.Void{}, err
		},
	)
	if err := chromedp.Do(ctx, observed); err != nil {
		t.Fatal(err)
	}
	h := public(attacked(t))
	mux := http.NewServeMux()
	mux.Handle("/", h)
	// What the test must find: an attack that runs, and one that only the policy stops.
	mux.HandleFunc("/control/open", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(attacks[0])) })
	mux.HandleFunc("/control/closed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		_, _ = w.Write([]byte("<p>" + attacks[0]))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	if found := inspect(t, ctx, server.URL+"/control/open"); !strings.Contains(found, "attacked") {
		t.Fatalf("an attack that runs is not found: %q", found)
	}
	if found := inspect(t, ctx, server.URL+"/control/closed"); !strings.Contains(found, "script-src") ||
		strings.Contains(found, "attacked") {
		t.Fatalf("an attack that the policy stops is not found: %q", found)
	}
	paths := []string{"/", "/history", time.Now().UTC().Format("/history/2006/01"), "/hosts/NC036", "/matrix", "/search",
		"/incidents/a1-1", "/badge/NC036.svg"}
	for n, attack := range attacks {
		q := url.QueryEscape(attack)
		paths = append(paths, "/search?q="+q, "/tags/"+url.PathEscape(strings.ToLower(attack)))
		if n%4 == 0 {
			paths = append(paths, "/posts/a"+string(rune('a'+n%26))+string(rune('a'+n/26)),
				"/search?host="+q+"&tag="+q+"&category="+q+"&kind="+q+"&from="+q+"&to="+q+"&after="+q)
		}
	}
	for _, path := range paths {
		if found := inspect(t, ctx, server.URL+path); found != "" {
			t.Errorf("%s: %.500s", path, found)
		}
	}
}
