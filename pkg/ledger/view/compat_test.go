package view_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A view with the first schema, testdata/v1/schema.sql, is replaced by one with what the log has, and nothing else.
func TestAViewOfTheFirstSchemaIsRebuilt(t *testing.T) {
	schema, err := os.ReadFile("testdata/v1/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
	led := open(t, filepath.Join(t.TempDir(), "other.db"), l)
	led.append(t, ledger.AgentEvent{Host: "nc036", PublicKey: "K", Mesh: time.Unix(9, 0)},
		transition("1", "NC036", "smtp", mesh.Up, 10))
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		string(schema), `INSERT INTO meta (version, created, sequence) VALUES (3, 1000000000, 1)`,
		`INSERT INTO agents (host, public_key, at) VALUES ('a host that the log never had', 'K', 1)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	led = open(t, file, l)
	ts, err := led.view.Transitions(t.Context(), "", time.Time{}, 10)
	if err != nil || len(ts) != 1 || ts[0].ID != "1" {
		t.Errorf("the history is %v (%v)", ts, err)
	}
	if r, err := led.view.Roster(t.Context()); err != nil || len(r.Vantages) != 1 || r.Vantages[0] != "nc036" {
		t.Errorf("the roster is %v (%v)", r, err)
	}
}
