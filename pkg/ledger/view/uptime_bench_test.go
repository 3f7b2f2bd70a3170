package view_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// BenchmarkNinetyDaysOfUptime measures the uptime of ten hosts with three checks each, from a view that was opened just
// now. It must take less than 10 ms if each check fails once a week.
func BenchmarkNinetyDaysOfUptime(b *testing.B) {
	b.Run("weekly", func(b *testing.B) { benchmarkUptime(b, 7) })
	b.Run("daily", func(b *testing.B) { benchmarkUptime(b, 1) })
}

// benchmarkUptime lets each check fail for five minutes once in so many days.
func benchmarkUptime(b *testing.B, every int64) {
	const hosts, checks, year, period = 10, 3, 365, 90
	log, file := newLog(), filepath.Join(b.TempDir(), "view.db")
	v, err := view.Open(b.Context(), file, log)
	if err != nil {
		b.Fatal(err)
	}
	led, err := ledger.Open(b.Context(), log, v)
	if err != nil {
		b.Fatal(err)
	}
	day := int64(24 * 3600)
	for d := range int64(year) {
		var events []ledger.Event
		for n := range int64(hosts * checks) {
			if (d+n)%every != 0 {
				continue
			}
			for i, verdict := range []mesh.Verdict{mesh.Down, mesh.Up} {
				e := transition(fmt.Sprintf("%d-%d-%d", d, n, i), fmt.Sprintf("NC%d", n/checks),
					fmt.Sprintf("check %d", n%checks), verdict, day*(d+1)+n*600+int64(i)*300)
				e.Transition.To = map[mesh.Verdict]mesh.Status{mesh.Down: mesh.MajorOutage, mesh.Up: mesh.Operational}[verdict]
				events = append(events, e)
			}
		}
		if err := led.Append(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
	v.Close()
	from, to := time.Unix((year-period)*day, 0), time.Unix(year*day, 0)
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		cold, err := view.Open(b.Context(), file, log)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := processorTime(b)
		histories, err := cold.Periods().Published(b.Context(), "", from, to)
		for _, h := range histories {
			row := sla.NewRow(h, nil, sla.DefaultMethod(), from, to, false)
			if row.Seconds.Down < 80/every*300 || row.Seconds.Total() != period*day {
				b.Fatalf("%+v", row)
			}
		}
		if err != nil || len(histories) != hosts*(checks+1) {
			b.Fatalf("%d histories (%v)", len(histories), err)
		}
		spent += processorTime(b) - began
		b.StopTimer()
		cold.Close()
		b.StartTimer()
	}
	b.ReportMetric(spent.Seconds()*1000/float64(b.N), "ms/report")
}
