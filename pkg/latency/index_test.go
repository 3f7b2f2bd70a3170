package latency_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// What is asked of all pairs at once is found by the hour, also in a file that an earlier version made.
func TestMinutesAreFoundByHour(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.db")
	open(t, file).Close()
	connect := func() *sql.DB {
		db, err := sql.Open("sqlite", "file:"+file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	if _, err := connect().Exec(`DROP INDEX minutes_by_hour`); err != nil {
		t.Fatal(err)
	}
	open(t, file)
	db := connect() // the first one plans by the schema that it knows
	const byHour, byPair = "minutes_by_hour", "sqlite_autoindex_minutes_1"
	for query, want := range map[string]string{
		`SELECT data FROM minutes WHERE hour BETWEEN 1 AND 2`:                                      byHour,
		`DELETE FROM minutes WHERE hour < 1`:                                                       byHour,
		`SELECT data FROM minutes WHERE hour BETWEEN 1 AND 2 AND check_id = 'a' AND vantage = 'b'`: byPair,
	} {
		var id, parent, unused int
		var detail string
		err := db.QueryRow(`EXPLAIN QUERY PLAN `+query).Scan(&id, &parent, &unused, &detail)
		if err != nil || !strings.Contains(detail, want) {
			t.Errorf("%s: %s (%v)", query, detail, err)
		}
	}
}

// While observations come and are stored, each is in an answer exactly once.
func TestRecentCountsEachObservationOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latency.db"))
	s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
	var observed atomic.Uint64
	stored := make(chan error, 1)
	go func() {
		defer close(stored)
		for n := uint64(1); n <= 300; n++ {
			observe(s, n, noon.Add(time.Duration(n)*time.Second), "a1", 20*time.Millisecond)
			observed.Add(1)
			if n%10 > 0 {
				continue
			}
			if e, ok := s.Cut(); ok {
				if _, err := s.Apply(t.Context(), []latency.Record{{Sequence: n, Event: &e}}); err != nil {
					stored <- err
					return
				}
			}
		}
	}()
	for done := false; !done; {
		least := observed.Load()
		recent, err := s.Recent(t.Context(), noon.Add(10*time.Minute))
		most := observed.Load() + 1 // one may be counted by it alone yet
		if err != nil {
			t.Fatal(err)
		}
		if all := recent["ping"]; len(all) > 0 && (all[0].Day.Sent < least || all[0].Day.Sent > most) ||
			len(all) == 0 && least > 0 {
			t.Fatalf("%d to %d were observed: %+v", least, most, all)
		}
		select {
		case err := <-stored:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
	}
}
