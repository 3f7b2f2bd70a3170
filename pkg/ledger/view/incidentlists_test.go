package view_test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// storedIncident is a row of incidents: an incident of one host.
type storedIncident struct {
	id, host                 string
	opened, resolved, public int64
	merged                   string
}

// storeIncidents stores random incidents. Some are open, some internal, and some continue in another incident.
func storeIncidents(t *testing.T, r *rand.Rand, file string) []storedIncident {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const never = 1<<63 - 1
	var all []storedIncident
	for n := range 120 {
		i := storedIncident{id: fmt.Sprintf("i%d", n), host: fmt.Sprintf("NC%d", r.IntN(4)), opened: 1 + r.Int64N(50)}
		i.resolved, i.public = i.opened+r.Int64N(10), i.opened
		switch r.IntN(6) {
		case 0:
			i.resolved = never
		case 1:
			i.public = never
		case 2:
			i.merged, i.resolved = "i0", 0
		}
		data, err := json.Marshal(incident.Incident{ID: i.id, Merged: i.merged, Hosts: []incident.Host{{Name: i.host}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`INSERT INTO incidents (id, opened, resolved, public, merged, data) VALUES (?, ?, ?, ?, ?, ?)`,
			i.id, i.opened, i.resolved, i.public, i.merged, data); err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	return all
}

// selects is what IncidentQuery documents, one incident at a time.
func selects(q view.IncidentQuery, i storedIncident) bool {
	switch {
	case i.merged != "", !q.Since.IsZero() && i.resolved < q.Since.UnixNano():
		return false
	case !q.From.IsZero() && i.opened < q.From.UnixNano(), !q.Until.IsZero() && i.opened >= q.Until.UnixNano():
		return false
	case q.Public == nil:
		return true
	}
	return i.public <= q.Public.At.UnixNano() && slices.Contains(q.Public.Hosts, strings.ToLower(i.host))
}

// Lists of incidents are those of a search through all of them, also in a file that has no index for lists yet.
func TestIncidentsOfAListAreThoseOfASearch(t *testing.T) {
	file, log, r := filepath.Join(t.TempDir(), "view.db"), newLog(), rand.New(rand.NewPCG(5, 6))
	first, err := view.Open(t.Context(), file, log)
	if err != nil {
		t.Fatal(err)
	}
	all := storeIncidents(t, r, file)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b storedIncident) int {
		return cmp.Or(cmp.Compare(b.opened, a.opened), cmp.Compare(a.id, b.id))
	})
	execute(t, file, `DROP INDEX incidents_by_begin`)
	v, err := view.Open(t.Context(), file, log)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	execute(t, file, `DROP INDEX incidents_by_begin`) // fails unless the view has created it
	at := func() (out time.Time) {
		if r.IntN(2) == 0 {
			out = time.Unix(0, 1+r.Int64N(55))
		}
		return out
	}
	for n := range 300 {
		q := view.IncidentQuery{Since: at(), From: at(), Until: at(), Limit: r.IntN(20), Offset: r.IntN(3) * r.IntN(20)}
		if r.IntN(2) == 0 {
			q.Public = &view.PublicIncidents{At: time.Unix(0, r.Int64N(60)), Hosts: []string{"nc0", "nc2", "nc3"}[:r.IntN(4)]}
		}
		if n == 150 {
			execute(t, file, `CREATE INDEX incidents_by_begin ON incidents (opened DESC, id)`)
		}
		var want, got []string
		for _, i := range all {
			if selects(q, i) {
				want = append(want, i.id)
			}
		}
		want = want[min(q.Offset, len(want)):]
		want = want[:min(q.Limit, len(want))]
		found, err := v.Incidents(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range found {
			got = append(got, i.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v finds %v, want %v", q, got, want)
		}
	}
}

// execute runs a statement on the file of a view.
func execute(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
