package latency_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// BenchmarkYearOfLatency reads a year of a check as eight regions saw it, from a file that was opened just now. By day
// it must take less than 20 ms. `go run ./deploy/year` measures the same beside other checks.
func BenchmarkYearOfLatency(b *testing.B) {
	const days, regions, sample = 365, 8, 48
	file := filepath.Join(b.TempDir(), "latency.db")
	s := open(b, file)
	random := rand.New(rand.NewPCG(1, 2))
	var summaries [sample]rollup.Summary
	for i := range summaries {
		summaries[i] = sample360(random)
	}
	var records []latency.Record
	for i := range int64(days * 24) {
		hour := rollup.HourOf(noon) + i
		e := rollup.Event{Stream: 5, First: uint64(i) + 1, Last: uint64(i) + 1, Until: time.Unix(hour*3600+3900, 0),
			Summaries: map[rollup.Key]rollup.Summary{}}
		for r := range int64(regions) {
			e.Summaries[rollup.Key{Hour: hour, Check: "ping", Region: fmt.Sprint("region-", r)}] = summaries[(i+r)%sample]
		}
		records = append(records, latency.Record{Sequence: uint64(i) + 1, Event: &e})
	}
	apply(b, s, records...)
	s.Close()
	for _, by := range []latency.Step{latency.Day, latency.Hour} {
		b.Run(string(by), func(b *testing.B) {
			points := 0
			for b.Loop() {
				b.StopTimer()
				cold, err := latency.Open(context.Background(), file)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				series, err := cold.Series(context.Background(), latency.Query{
					Check: "ping", By: by, From: noon, To: noon.Add(days * 24 * time.Hour),
				})
				if err != nil || len(series) != regions {
					b.Fatal(len(series), err)
				}
				points = 0
				for _, one := range series {
					points += len(one.Points)
				}
				b.StopTimer()
				cold.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(points), "points")
		})
	}
}

// sample360 is an hour of probes every ten seconds.
func sample360(random *rand.Rand) (s rollup.Summary) {
	for range 360 {
		s.RTT.Add(time.Duration(2e7 * (1 + random.NormFloat64()/10)))
	}
	s.Outcomes.Reachable, s.Sent = 359, 360
	s.Outcomes.Unreachable, s.Lost, s.Bad = 1, 1, map[string]uint64{"vantage": 1}
	return s
}
