package latency_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// The mesh of the benchmark: a thousand hosts with two checks each, seen by sixteen vantages in ten regions, for two
// days. A row of minutes has three of its sixty, so that the file stays below half a gigabyte.
const (
	manyChecks, manyRegions, manyVantages, manyHours = 2000, 10, 16, 49
	minutesOfRow                                     = 3
)

// fillMany writes the rows of the mesh, the last hour of which is that of noon.
func fillMany(b *testing.B, file string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	summary := sample360(rand.New(rand.NewPCG(1, 2)))
	data := rollup.EncodeSummary(summary)
	var minutes []byte
	for n := range uint64(minutesOfRow) {
		minutes = append(binary.AppendUvarint(minutes, 59-n), rollup.EncodeSummary(minuteOf())...)
	}
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999) `
	last := rollup.HourOf(noon)
	for _, fill := range []struct {
		query string
		args  []any
	}{
		{numbers + `INSERT INTO hours SELECT 'check-' || c.i, 'region-' || r.i, h.i + ?, ? FROM n c, n r, n h
			WHERE c.i < ? AND r.i < ? AND h.i < ?`, []any{last - manyHours + 1, data, manyChecks, manyRegions, manyHours}},
		{numbers + `INSERT INTO minutes SELECT 'check-' || c.i, 'vantage-' || v.i, h.i + ?, ? FROM n c, n v, n h
			WHERE c.i < ? AND v.i < ? AND h.i < ?`,
			[]any{last - manyHours + 1, minutes, manyChecks, manyVantages, manyHours}},
	} {
		if _, err := db.Exec(fill.query, fill.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// minuteOf is a minute of probes every ten seconds.
func minuteOf() (s rollup.Summary) {
	for i := range 6 {
		s.RTT.Add(20*time.Millisecond + time.Duration(i)*time.Millisecond)
	}
	s.Outcomes.Reachable, s.Sent = 6, 6
	return s
}

// BenchmarkQueriesOfALargeMesh times each query of the file that a page of a thousand hosts makes, and prints them,
// the slowest first. None may take more than 100 ms, but for "recent", which is kept for a while and shared by all
// pages, and "pairs", which pages ask for up to a hundred hosts. Run it with -benchtime 3x -v.
func BenchmarkQueriesOfALargeMesh(b *testing.B) {
	file := filepath.Join(b.TempDir(), "latency.db")
	open(b, file).Close()
	fillMany(b, file)
	s := open(b, file)
	defer s.Close()
	ctx, took := context.Background(), map[string]time.Duration{}
	end := noon.Add(time.Hour)
	for name, query := range map[string]func() (rows int, err error){
		"minutes of a pair": func() (int, error) {
			all, err := s.Minutes(ctx, "check-1000", "vantage-7", end.Add(-latency.Kept), end)
			return len(all), err
		},
		"pairs of a check": func() (int, error) {
			all, err := s.Pairs(ctx, "check-1000", end.Add(-10*time.Minute), end)
			return len(all), err
		},
		"pairs": func() (int, error) {
			all, err := s.Pairs(ctx, "", end.Add(-10*time.Minute), end)
			return len(all), err
		},
		"hours of a check": func() (int, error) {
			all, err := s.Series(ctx, latency.Query{
				Check: "check-1000", By: latency.Hour, From: end.Add(-latency.Kept), To: end,
			})
			return len(all), err
		},
		"days of a check": func() (int, error) {
			all, err := s.Series(ctx, latency.Query{
				Check: "check-1000", By: latency.Day, From: end.AddDate(-1, 0, 0), To: end,
			})
			return len(all), err
		},
		"recent": func() (int, error) {
			all, err := s.Recent(ctx, noon)
			return len(all), err
		},
		"removal of old minutes": func() (int, error) { return 1, removeNone(ctx, file) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if rows, err := query(); err != nil || rows == 0 {
					b.Fatal(rows, err)
				}
			}
			took[name] = b.Elapsed() / time.Duration(b.N)
		})
	}
	type one struct {
		name string
		took time.Duration
	}
	var all []one
	for name, d := range took {
		all = append(all, one{name, d})
	}
	slices.SortFunc(all, func(x, y one) int { return cmp.Compare(y.took, x.took) })
	for _, query := range all {
		b.Logf("%8.1f ms  %s", query.took.Seconds()*1000, query.name)
	}
}

// removeNone removes minutes as the recorder does every minute, when none is too old.
func removeNone(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `DELETE FROM minutes WHERE hour < ?`, rollup.HourOf(noon)-manyHours)
	return err
}
