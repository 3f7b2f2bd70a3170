package site_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/rs/zerolog"
)

// written is an open incident of NC036 that a person took over, with a title and a text that was corrected, and hostile
// words in each.
func written() *incident.Incident {
	i := webtest.Incidents()[1]
	i.ID, i.State, i.Resolved, i.Over = "w1", incident.Investigating, time.Time{}, time.Time{}
	i.Hosts[0].Status, i.Hosts[0].Windows[0].To = mesh.PartialOutage, time.Time{}
	at := i.Began.Add(10 * time.Minute)
	tags := []string{"smtp"}
	category := "mail"
	i.Change(incident.Change{
		Event: "e1", ID: i.ID, Action: incident.ActionUpdate, State: incident.Identified, Tags: &tags, Category: &category,
		Titled: true, Worded: true, TextID: "t1", Mesh: at, NextUpdate: time.Now().Add(time.Hour),
	})
	i.Change(incident.Change{Event: "e2", ID: i.ID, Action: incident.ActionEdit, Entry: "e1", Worded: true, TextID: "t2",
		Mesh: at.Add(time.Minute)})
	i.Change(incident.Change{Event: "e3", ID: i.ID, Action: incident.ActionEdit, Titled: true, TextID: "t3",
		Mesh: at.Add(2 * time.Minute)})
	i.Titles[1].Title = "The old title"
	i.Titles[0].Title = `Mail <script>alert(1)</script> is late`
	i.Entries[0].Texts[0].Body = "A **disk** is full. [link](javascript:alert(1)) <img src=x onerror=alert(1)>"
	i.Entries[0].Texts[1].Body = "The old text."
	return i
}

// A page shows what was measured and what people wrote in one timeline, and runs none of it as code.
func TestThePageOfAnIncidentThatAPersonTookOver(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = []*incident.Incident{written(), {ID: "old", Merged: "w1"}}
	h := public(s)
	page := body(t, h, "/incidents/w1")
	for _, want := range []string{
		"Mail &lt;script&gt;alert(1)&lt;/script&gt; is late", "A <strong>disk</strong> is full.", "The old text.",
		"The old title",
		"Failing at the moment: Sending mail (Mail).", "Next update by ", "Identified", "Investigating", "corrected ",
		`href="/tags/smtp"`, `href="/categories/mail"`, "impact major", "Sending mail stopped at ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, hostile := range []string{"<script>alert", "javascript:", "<img"} {
		if strings.Contains(page, hostile) {
			t.Errorf("the page has %q", hostile)
		}
	}
	if strings.Index(page, "A <strong>disk") > strings.Index(page, "Sending mail stopped") {
		t.Error("the newest is not first")
	}
	for _, path := range []string{"/", "/hosts/NC036"} {
		if text := body(t, h, path); !strings.Contains(text, "A <strong>disk</strong>") ||
			!strings.Contains(text, "Next update by ") {
			t.Errorf("%s lacks the latest update", path)
		}
	}
	w := webtest.Get(t, h, "/incidents/old")
	if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "/incidents/w1" {
		t.Errorf("a merged incident: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// What is internal, or not published yet, is on no public page; operators read it.
func TestIncidentsThatThePublicDoesNotSee(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	internal, later := written(), written()
	internal.ID, internal.Internal, later.ID, later.Public = "w2", true, "w3", time.Now().Add(time.Hour)
	s.All = []*incident.Incident{internal, later, {ID: "old", Merged: "w2"}}
	h := public(s)
	for _, path := range []string{"/incidents/w2", "/incidents/w3", "/incidents/old"} {
		if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	for _, path := range []string{"/", "/hosts/NC036"} {
		if strings.Contains(body(t, h, path), "is late") {
			t.Errorf("%s shows it", path)
		}
	}
	pages := site.New(site.Config{View: web.NewView(s, web.Operators)}).Routes()
	ops := web.NewHandler(zerolog.Nop(), web.Operators, pages...)
	for _, path := range []string{"/incidents/w2", "/incidents/w3"} {
		if text := body(t, ops, path); !strings.Contains(text, "The public does not see this incident.") {
			t.Errorf("operators do not read %s", path)
		}
	}
}

// later is a source in which so much happened since that the newest transitions are all of another time.
type later struct{ *webtest.Source }

func (l later) PublicTransitions(context.Context, []string, time.Time, int) ([]mesh.Transition, error) {
	return nil, nil
}

// An old incident keeps its evidence.
func TestAnOldIncidentHasItsEvidence(t *testing.T) {
	view := web.NewView(later{webtest.States(t)[1].Source}, web.Public)
	h := web.NewHandler(zerolog.Nop(), web.Public, site.New(site.Config{View: view}).Routes()...)
	if text := body(t, h, "/incidents/b1-1"); !strings.Contains(text, "Toronto: failing (it refused the connection)") {
		t.Errorf("the incident has no evidence: %s", text)
	}
}

// The updates name no seconds, ports or votes; the evidence has each region's vote, and how the verdict was
// reached in one sentence with a link to the rule.
func TestAnIncidentHasItsEvidence(t *testing.T) {
	s := webtest.States(t)[1].Source
	h := public(s)
	text := body(t, h, "/incidents/b1-1")
	_, main, _ := strings.Cut(text, "<main")
	main, _, _ = strings.Cut(main, "</main>")
	evidence := regexp.MustCompile(`(?s)<details id="evidence-.*?</details>`)
	found := evidence.FindString(main)
	for _, want := range []string{
		"7 of the 7 regions that answered could not reach it: more than half of all 8 regions.",
		`<a href="/rule">`, "Toronto: failing (it refused the connection)", "Amsterdam: ",
		"same region, not counted", "port 25",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("the evidence lacks %q: %s", want, found)
		}
	}
	outside := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(evidence.ReplaceAllString(main, ""), " ")
	for _, technical := range []string{`\d\d:\d\d:\d\d`, `port \d+`, `\bvotes?\b`, "refused"} {
		if m := regexp.MustCompile(technical).FindString(outside); m != "" {
			t.Errorf("%q stands outside of the evidence: %s", m, outside)
		}
	}
	if rule := body(t, h, "/rule"); !strings.Contains(
		rule,
		"more than half of all regions could not reach it, and at most one in",
	) {
		t.Errorf("the rule: %s", rule)
	}
}
