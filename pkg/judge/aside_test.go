package judge_test

import (
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// An internal check of a public host counts for operators alone: the host's status and the sentence that represents it
// stay as they are, the transition is not public, and operators have an incident of their own. On an internal host it
// counts as every other check.
func TestAnInternalCheckOfAPublicHostCountsForOperatorsAlone(t *testing.T) {
	for _, public := range []bool{true, false} {
		w := newWorld()
		w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
		w.begin()
		h := w.catalog.Host("ams1")
		h.Public, h.Check("imap").Internal = public, true
		w.restart()
		w.pass(20 * time.Second)
		published := len(w.published)
		w.eachPath("AMS1/imap", nil, func(p path) { w.broken[p] = "connection refused" })
		w.pass(15 * time.Second)
		if c := w.state("AMS1/imap"); c.Verdict != mesh.Down || c.Internal != public {
			t.Fatalf("public %v: %s, internal: %v", public, c.Verdict, c.Internal)
		}
		var host mesh.HostState
		for _, s := range w.snapshot().Hosts {
			if s.Name == "AMS1" {
				host = s
			}
		}
		wanted := map[bool]mesh.Status{true: mesh.Operational, false: mesh.PartialOutage}[public]
		if host.Status != wanted || public && host.Sentence != w.state("AMS1/smtp").Sentence {
			t.Errorf("public %v: the host is %s: %s", public, host.Status, host.Sentence)
		}
		book := incident.NewBook(nil, 0)
		var of *incident.Incident
		for _, tr := range w.published[published:] {
			if tr.Public || tr.Aside != public {
				t.Errorf("public %v: published %+v", public, tr)
			}
			of = book.Apply(tr)
		}
		if of == nil || !of.Internal || !of.Open() {
			t.Fatalf("public %v: operators have no incident: %+v", public, of)
		}
		clear(w.broken)
		w.pass(25 * time.Second)
		for _, tr := range w.published[published+1:] {
			book.Apply(tr)
		}
		if of.Open() {
			t.Errorf("public %v: the incident stays open", public)
		}
	}
}

// The status that the internal checks of a public host make follows the catalog: one that was removed while it was down
// is no part of a later change.
func TestARemovedInternalCheckIsNoPartOfLaterChanges(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.begin()
	h := w.catalog.Host("ams1")
	h.Public, h.Check("imap").Internal, h.Check("smtp").Internal = true, true, true
	w.restart()
	w.pass(20 * time.Second)
	w.eachPath("AMS1/imap", nil, func(p path) { w.broken[p] = "connection refused" })
	w.pass(15 * time.Second)
	if last := w.published[len(w.published)-1]; !last.Aside || last.To == mesh.Operational {
		t.Fatalf("published last: %+v", last)
	}
	data, err := catalog.Encode(w.catalog)
	if err != nil {
		t.Fatal(err)
	}
	if w.catalog, err = catalog.Decode(data); err != nil {
		t.Fatal(err)
	}
	h = w.catalog.Host("ams1")
	h.Checks = slices.DeleteFunc(h.Checks, func(c catalog.Check) bool { return c.Name == "imap" })
	catalog.Seal(w.catalog)
	w.give(judge.Input{Catalog: w.catalog})
	w.pass(15 * time.Second)
	published := len(w.published)
	w.eachPath("AMS1/smtp", nil, func(p path) { w.broken[p] = "connection refused" })
	w.pass(15 * time.Second)
	if len(w.published) == published {
		t.Fatal("the second outage is not published")
	}
	if tr := w.published[published]; !tr.Aside || tr.From != mesh.Operational || tr.Check != "smtp" {
		t.Errorf("the second outage: from %s to %s, %+v", tr.From, tr.To, tr)
	}
}
