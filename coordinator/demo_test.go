package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/demo"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// demonstration is a running demo, as the README's first command starts it.
type demonstration struct {
	t           *testing.T
	public, ops string
}

func startDemo(t *testing.T) *demonstration {
	t.Helper()
	d := &demonstration{t: t, public: testenv.FreeAddress(t), ops: testenv.FreeAddress(t)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	var out bytes.Buffer
	go func() {
		done <- runDemo(ctx, &out, demo.Config{Listen: d.public, OpsListen: d.ops, Logger: zerolog.Nop()})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines < 4 || lines > 5 {
			t.Errorf("the command prints %q", out.String())
		}
	})
	d.eventually("every public host and check is operational", func() bool {
		s := d.statuses()
		for _, status := range s {
			if status != "operational" {
				return false
			}
		}
		return len(s) > 5 && s["NC036 Sending mail"] != ""
	})
	return d
}

// eventually waits until the condition holds, for as long as a slow machine may need: deploy/lab measures how fast it
// is.
func (d *demonstration) eventually(what string, holds func() bool) {
	d.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if holds() {
			return
		}
	}
	d.t.Fatalf("never: %s; now %v", what, d.statuses())
}

// get returns the status and the body of an answer; 0 while nobody answers.
func (d *demonstration) get(url string) (status int, body string) {
	res, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

func (d *demonstration) page(path string) string {
	_, body := d.get("http://" + d.public + path)
	return body
}

// statuses are those of /api/v2/summary.json, by host and by host and check ("NC036 Sending mail").
func (d *demonstration) statuses() map[string]string {
	var summary struct {
		Components []struct {
			ID, Name, Status string
			Group            bool
			GroupID          *string `json:"group_id"`
		}
	}
	_ = json.Unmarshal([]byte(d.page("/api/v2/summary.json")), &summary) // fails until the page is served
	names, out := map[string]string{}, map[string]string{}
	for _, c := range summary.Components {
		if c.Group {
			names[c.ID], out[c.Name] = c.Name, c.Status
		} else {
			out[names[*c.GroupID]+" "+c.Name] = c.Status
		}
	}
	return out
}

// breakIt adds a fault and returns its id.
func (d *demonstration) breakIt(fault string) (id string) {
	d.t.Helper()
	res, err := http.Post("http://"+d.public+"/demo/faults", "application/json", strings.NewReader(fault))
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.ID == "" {
		d.t.Fatal(res.Status, err)
	}
	return answer.ID
}

func (d *demonstration) mend(id string) {
	d.t.Helper()
	request, _ := http.NewRequest(http.MethodDelete, "http://"+d.public+"/demo/faults/"+id, nil)
	res, err := http.DefaultClient.Do(request)
	if err != nil || res.StatusCode != http.StatusNoContent {
		d.t.Fatal(res, err)
	}
	res.Body.Close()
}

func TestDemo(t *testing.T) {
	testenv.Lock(t, "demo") // another demo would take the port of a service that is stopped
	d := startDemo(t)
	t.Run("a service stops and is mended", d.stopService)
	t.Run("internal hosts are on no public surface", d.showsNoInternalHosts)
	t.Run("operators see everything, from this machine alone", d.showsOperatorsEverything)
	t.Run("wrong faults are refused", d.refusesWrongFaults)
	t.Run("in a browser", d.browse)
}

// stopService follows an outage from the panel to the host's history.
func (d *demonstration) stopService(t *testing.T) {
	id := d.breakIt(`{"fault": "service", "host": "NC036", "check": "Sending mail"}`)
	d.eventually("partial outage", func() bool { return d.statuses()["NC036"] == "partial_outage" })
	s := d.statuses()
	if s["NC036 Sending mail"] != "major_outage" || s["NC036 Reading mail"] != "operational" ||
		s["NC041"] != "operational" {
		t.Errorf("statuses %v", s)
	}
	d.eventually("it has an open incident", func() bool {
		return strings.Contains(d.page("/api/v2/incidents/unresolved.json"), `"name": "NC036: Sending mail down"`)
	})
	d.eventually("the front page shows the incident", func() bool {
		return strings.Contains(d.page("/"), "NC036: Sending mail down")
	})
	d.mend(id)
	d.eventually("operational again", func() bool { return d.statuses()["NC036"] == "operational" })
	d.eventually("resolved", func() bool {
		return strings.Contains(d.page("/api/v2/incidents.json"), `"status": "resolved"`)
	})
	for _, want := range []string{"regions confirm that it", "refused the connection",
		"partial outage, was operational", "operational, was partial outage"} {
		d.eventually("the host's page contains "+want, func() bool {
			return strings.Contains(d.page("/hosts/NC036"), want)
		})
	}
}

func (d *demonstration) showsNoInternalHosts(t *testing.T) {
	for _, path := range []string{
		"/", "/matrix", "/hosts/NC036", "/hosts/NC041", "/badge/NC036.svg",
		"/api/v1/matrix", "/api/v1/transitions", "/api/v1/uptime", "/api/v1/latency", "/api/v1/hosts/NC036/votes",
		"/api/v2/summary.json", "/api/v2/components.json", "/api/v2/incidents.json",
	} {
		body := strings.ToLower(d.page(path))
		for _, internal := range []string{"nc023", "nc028", "nc031", "nc034", "nc040"} {
			if body == "" || strings.Contains(body, internal) {
				t.Errorf("%s shows %s (%d bytes)", path, internal, len(body))
			}
		}
	}
	for _, path := range []string{
		"/hosts/NC023", "/badge/NC023.svg", "/api/v1/hosts/NC023/votes", "/api/v1/transitions?host=NC023",
	} {
		if status, _ := d.get("http://" + d.public + path); status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, status)
		}
	}
}

func (d *demonstration) showsOperatorsEverything(t *testing.T) {
	for path, want := range map[string]string{
		"/": "NC023", "/matrix": "NC028", "/agents": "10",
		"/metrics": `probe_success{check="ping",family="ipv4",host="NC023"`,
		"/history": "· operators</a>", "/maintenance": "· operators</a>",
		"/hosts/NC034": "Phones", "/api/v1/hosts/NC034/votes": `"vantage": "nc036"`,
	} {
		status, body := d.get("http://" + d.ops + path)
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s answers %d without %q", path, status, want)
		}
	}
	request, _ := http.NewRequest(http.MethodGet, "http://"+d.ops+"/", nil)
	request.Host = "evil.example"
	if res, err := http.DefaultClient.Do(request); err != nil || res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a page of another site can read the operators' view: %v %v", res, err)
	}
}

func (d *demonstration) refusesWrongFaults(t *testing.T) {
	for _, fault := range []string{
		`{"fault": "earthquake"}`, `{"fault": "service", "host": "NC036", "check": "ping"}`,
		`{"fault": "cut", "region": "atlantis"}`, `{"fault": "loss", "loss": 7}`, `{"fautl": "loss"}`,
	} {
		res, err := http.Post("http://"+d.public+"/demo/faults", "application/json", strings.NewReader(fault))
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v %v", fault, res, err)
		}
	}
}

// browse opens the pages in a real browser.
func (d *demonstration) browse(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	if size := len(d.page("/")); size > 45_000 {
		t.Errorf("the page has %d bytes", size)
	}
	d.checkPage(t, ctx, "index", "http://"+d.public+"/")
	d.checkPage(t, ctx, "matrix", "http://"+d.public+"/matrix")
	d.checkPage(t, ctx, "ops", "http://"+d.ops+"/")
	d.checkPage(t, ctx, "ops-matrix", "http://"+d.ops+"/matrix")
	d.checkPage(t, ctx, "ops-agents", "http://"+d.ops+"/agents")

	// A status changes on the page that is open, without a reload.
	if err := chromedp.Do(ctx, chromedp.Navigate("http://"+d.public+"/")); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.stayed = true`)); err != nil {
		t.Fatal(err)
	}
	id := d.breakIt(`{"fault": "service", "host": "NC036", "check": "Reading mail"}`)
	changed := `window.stayed && document.querySelector("main").innerText.includes("Partial outage")`
	testenv.AwaitInPage(t, ctx, "the page changes by itself", changed)
	d.checkPage(t, ctx, "index-partial", "http://"+d.public+"/")
	d.checkPage(t, ctx, "host", "http://"+d.public+"/hosts/NC036")
	d.checkPage(t, ctx, "panel", "http://"+d.public+"/demo/")
	// The panel's own buttons.
	if testenv.Evaluate[int](t, ctx, `(document.getElementById("mend-`+id+`").click(), 1)`) != 1 {
		t.Error("the panel has no button to mend the fault")
	}
	d.eventually("mended by the button", func() bool { return d.statuses()["NC036"] == "operational" })
}

// checkPage opens a page at the width of a phone, dark, and of a desktop, light. It fails if the page is wider than the
// screen or requests other resources. It stores screenshots in the directory $PROBEMESH_SCREENSHOTS, if that is set.
func (d *demonstration) checkPage(t *testing.T, ctx context.Context, name, url string) {
	t.Helper()
	for _, width := range []int64{360, 1280} {
		scheme := map[int64]string{360: "dark", 1280: "light"}[width]
		err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), testenv.ColorScheme(scheme), chromedp.Navigate(url))
		if err != nil {
			t.Fatalf("%s at %d: %v", name, width, err)
		}
		overflow := testenv.Evaluate[int](t, ctx,
			`document.documentElement.scrollWidth - document.documentElement.clientWidth`)
		requests := testenv.Evaluate[int](t, ctx,
			`performance.getEntriesByType("resource").filter(r => !r.name.includes("/events")).length`)
		shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatalf("%s at %d: %v", name, width, err)
		}
		if overflow > 0 || requests > 0 {
			t.Errorf("%s at %d px is %d px too wide and requests %d more resources", name, width, overflow, requests)
		}
		if dir := os.Getenv("PROBEMESH_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width)), shot, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}
