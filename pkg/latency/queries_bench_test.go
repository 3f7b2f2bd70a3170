//go:build unix

package latency_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// The mesh of the benchmark: a thousand hosts with two checks each, seen by sixteen vantages in ten regions, for two
// days. A row of minutes has three of its sixty, so that the file stays below half a gigabyte, but those of one check
// have all.
const (
	manyChecks, manyRegions, manyVantages, manyHours = 2000, 10, 16, 49
	minutesOfRow                                     = 3
	wholeCheck                                       = 1000
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
	minutes := func(rows uint64) (data []byte) {
		for n := range rows {
			data = append(binary.AppendUvarint(data, 59-n), rollup.EncodeSummary(minuteOf())...)
		}
		return data
	}
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999) `
	last := rollup.HourOf(noon)
	// No day that the hours belong to is closed while the queries are timed.
	if _, err := db.Exec(`UPDATE meta SET closed = ?`, (last-manyHours)/24); err != nil {
		b.Fatal(err)
	}
	for _, fill := range []struct {
		query string
		args  []any
	}{
		{numbers + `INSERT INTO hours SELECT 'check-' || c.i, 'region-' || r.i, h.i + ?, ? FROM n c, n r, n h
			WHERE c.i < ? AND r.i < ? AND h.i < ?`, []any{last - manyHours + 1, data, manyChecks, manyRegions, manyHours}},
		{numbers + `INSERT INTO minutes SELECT 'check-' || c.i, 'vantage-' || v.i, h.i + ?,
			CASE WHEN c.i = ? THEN ? ELSE ? END FROM n c, n v, n h WHERE c.i < ? AND v.i < ? AND h.i < ?`, []any{
			last - manyHours + 1, wholeCheck, minutes(60), minutes(minutesOfRow), manyChecks, manyVantages, manyHours,
		}},
	} {
		if _, err := db.Exec(fill.query, fill.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// vantages returns ids of vantages, the first of which are those that see the checks.
func vantages(count int) (out []string) {
	for n := range count {
		out = append(out, fmt.Sprint("vantage-", n))
	}
	return out
}

// minuteOf is a minute of probes every ten seconds.
func minuteOf() (s rollup.Summary) {
	for i := range 6 {
		s.RTT.Add(20*time.Millisecond + time.Duration(i)*time.Millisecond)
	}
	s.Outcomes.Reachable, s.Sent = 6, 6
	return s
}

// observeMany adds an observation of each check from each region.
func observeMany(s *latency.Store, n uint64, at time.Time) {
	for region := range uint64(manyRegions) {
		b := &mesh.Batch{Agent: fmt.Sprint("vantage-", region), Epoch: 1, Sequence: n}
		for check := range manyChecks {
			b.Observations = append(b.Observations, mesh.Observation{Host: "h", Check: fmt.Sprint("check-", check),
				Began: at, RTT: 20 * time.Millisecond, Outcome: mesh.Reachable, Sent: 1})
		}
		s.Add(rollup.Message{Sequence: n*manyRegions + region, At: at, Batch: b},
			placed{b.Agent, fmt.Sprint("region-", region)})
	}
}

// timed is a query, and what comes before it each time and is not timed.
type timed struct {
	prepare func()
	query   func() (rows int, err error)
}

// recentOfMany are the queries of the recent hours, of a store that goes on while they are asked.
func recentOfMany(b *testing.B, file string) map[string]timed {
	s, now, n := open(b, file), noon, uint64(0)
	s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
	recent := func() (int, error) {
		all, err := s.Recent(b.Context(), now)
		return len(all), err
	}
	observe := func() {
		n++
		observeMany(s, n, now)
	}
	before := heap()
	if _, err := recent(); err != nil {
		b.Fatal(err)
	}
	b.Logf("the recent hours take %d MB", (heap()-before)>>20)
	return map[string]timed{
		"recent": {observe, recent},
		"recent after an event": {func() {
			observe()
			e, _ := s.Cut()
			apply(b, s, latency.Record{Sequence: n, Event: &e})
			observe()
		}, recent},
		"recent in the next hour": {func() { now = now.Add(time.Hour); observe() }, recent},
	}
}

// heap returns how much memory is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processorTime returns how much of the processor's time this program has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkQueriesOfALargeMesh times each query of the file that a page of a thousand hosts makes, and prints what each
// takes of the processor's time, which other programs do not change, the slowest first. None may take more than 100 ms,
// but for "recent", which the coordinator asks before pages need it, and the first of "losses", which pages ask for up
// to a hundred hosts: in a full mesh those have half as many pairs again as these thousand. What comes before a query,
// as a garbage collection, does not count as ns/op. Run it with -benchtime 3x -v.
func BenchmarkQueriesOfALargeMesh(b *testing.B) {
	file := filepath.Join(b.TempDir(), "latency.db")
	open(b, file).Close()
	fillMany(b, file)
	s := open(b, file)
	defer s.Close()
	ctx, took := b.Context(), map[string]time.Duration{}
	end := noon.Add(time.Hour)
	twoDays := latency.Period{From: end.Add(-latency.Kept), To: end}
	plain := map[string]func() (rows int, err error){
		"minutes of a pair": func() (int, error) {
			all, err := s.Minutes(ctx, fmt.Sprint("check-", wholeCheck), vantages(1), twoDays)
			return len(all), err
		},
		"minutes of a check": func() (int, error) {
			all, err := s.Minutes(ctx, fmt.Sprint("check-", wholeCheck), vantages(manyVantages), twoDays)
			return len(all), err
		},
		"minutes of a check, of all vantages": func() (int, error) {
			all, err := s.Minutes(ctx, fmt.Sprint("check-", wholeCheck), vantages(1000), twoDays)
			return len(all), err
		},
		"losses, first": func() (int, error) {
			first := open(b, file)
			defer first.Close()
			all, err := first.Losses(ctx, end.Add(-10*time.Minute), end)
			return len(all), err
		},
		"losses": func() (int, error) {
			all, err := s.Losses(ctx, end.Add(-10*time.Minute), end)
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
		"recent, first": func() (int, error) {
			first := open(b, file)
			defer first.Close()
			all, err := first.Recent(ctx, noon)
			return len(all), err
		},
		"removal of old minutes": func() (int, error) { return 1, removeNone(ctx, file) },
	}
	queries := recentOfMany(b, file)
	for name, query := range plain {
		queries[name] = timed{func() {}, query}
	}
	for name, q := range queries {
		b.Run(name, func(b *testing.B) {
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				q.prepare()
				runtime.GC()
				before := processorTime(b)
				b.StartTimer()
				rows, err := q.query()
				b.StopTimer()
				used += processorTime(b) - before
				if err != nil || rows == 0 {
					b.Fatal(rows, err)
				}
				b.StartTimer()
			}
			took[name] = used / time.Duration(b.N)
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
