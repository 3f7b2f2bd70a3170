package view_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	oldSentence = "Down: 2 of 2 regions got 'redirects to https://x/?key=SECRET (status 302), wanted 200' on port 25."
	newSentence = "Down: 2 of 2 regions confirm that it redirected to another address on port 25, " +
		"first seen from Lusaka at 00:00:20 UTC."
)

// oldOutage is an outage as earlier versions wrote it, with an agent's text in its sentence.
func oldOutage() ledger.TransitionEvent {
	e := transition("2", "NC036", "smtp", mesh.Down, 22)
	tr := &e.Transition
	tr.Public, tr.From, tr.To, tr.Sentence, tr.Tally = true, mesh.Operational, mesh.MajorOutage, oldSentence,
		mesh.Tally{Regions: 3, Voters: 2, Bad: 2}
	for _, region := range []string{"lus", "van"} {
		tr.Votes = append(tr.Votes, mesh.RegionVote{Region: region, Vote: mesh.Bad, Since: tr.Began,
			Edges: []mesh.EdgeState{
				{Vantage: region + "1", Vote: mesh.Bad,
					Reason: "redirects to https://x/?key=SECRET (status 302), wanted 200"},
			}})
	}
	return e
}

func smtpCatalog(port int) *catalog.Catalog {
	c := &catalog.Catalog{
		Rule:    catalog.DefaultRule(),
		Regions: []catalog.Region{{Name: "lus", City: "Lusaka"}, {Name: "van", City: "Vancouver"}},
		Hosts: []catalog.Host{{Name: "NC036", Public: true, Addresses: []string{"192.0.2.1"},
			Checks: []catalog.Check{{Name: "smtp", Kind: catalog.KindTCP, Options: catalog.TCP{Port: port}}}}},
	}
	catalog.Seal(c)
	return c
}

// A ledger of an early version has agents' text in sentences. Readers get the sentence made from the facts, with the
// catalog of that time; operators still find the text in the votes.
func TestStoredSentencesAreRenewed(t *testing.T) {
	l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
	led := open(t, file, l)
	events := []ledger.Event{ledger.CatalogEvent{Catalog: smtpCatalog(25), Mesh: time.Unix(1, 0)}, oldOutage(),
		ledger.CatalogEvent{Catalog: smtpCatalog(587), Mesh: time.Unix(30, 0)}}
	for _, e := range events {
		led.append(t, e)
	}
	wantNoSecret(t, led)
	// The view of the early version has such sentences, too.
	led.close()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.ReplaceAll(oldSentence, "'", "''")
	for _, statement := range []string{
		`UPDATE transitions SET data = replace(data, '` + newSentence + `', '` + quoted + `')`,
		`UPDATE incidents SET data = replace(data, '` + newSentence + `', '` + quoted + `')`,
		`UPDATE meta SET version = 4`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	wantNoSecret(t, open(t, file, l))
}

func wantNoSecret(t *testing.T, led *store) {
	t.Helper()
	history, err := led.view.Transitions(t.Context(), "", time.Time{}, 10)
	if err != nil || len(history) != 1 || history[0].Sentence != newSentence {
		t.Fatalf("the history is %+v (%v)", history, err)
	}
	if votes, err := json.Marshal(history[0].Votes); err != nil || strings.Count(string(votes), "key=SECRET") != 2 {
		t.Errorf("operators do not find what the agents reported: %s", votes)
	}
	standings, err := led.view.Standings(t.Context(), time.Unix(1000, 0))
	if err != nil || len(standings) != 1 || standings[0].Sentence != newSentence {
		t.Errorf("the standings are %+v (%v)", standings, err)
	}
	incidents, err := led.view.Incidents(t.Context(), view.IncidentQuery{Limit: 10})
	if err != nil || len(incidents) != 1 || incidents[0].Updates[0].Body != newSentence {
		t.Errorf("the incidents are %+v (%v)", incidents, err)
	}
}
