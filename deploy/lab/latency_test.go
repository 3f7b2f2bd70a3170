package lab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// failure is a hard failure of a host, with the action that ends it.
type failure struct {
	kind, host string
	do, mend   action
}

// failures returns failures of every kind on several hosts.
func failures() []failure {
	var out []failure
	for _, h := range hosts {
		for _, s := range h.services {
			out = append(out, failure{"connection refused", h.name, KillService(h.name, s), StartService(h.name, s)})
		}
		out = append(out, failure{"host gone", h.name, Gone(h.name), Mend()})
	}
	return out
}

// Gone cuts a host off the network, which looks like a power cut to the others.
func Gone(name string) action {
	return action{name + " is gone", func(m *mesh) {
		m.wan.change(isNamed(name), anywhere, cut)
		m.wan.change(anywhere, isNamed(name), cut)
	}}
}

// BenchmarkLatency causes one failure after the other, at random moments, and measures the time from the fault to the
// status on the public API, which it polls every 20 ms. Run it with -benchtime 100x for a hundred failures.
func BenchmarkLatency(b *testing.B) {
	for _, interval := range []time.Duration{10 * time.Second, time.Minute} {
		b.Run("interval="+interval.String(), func(b *testing.B) {
			// A check that fails a hundred times in a row would otherwise be published as flapping.
			m := startMesh(b, interval, "flap_over: 1000000000")
			all := failures()
			random := rand.New(rand.NewPCG(7, uint64(b.N)))
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			took := map[string][]time.Duration{}
			slowest, timing := time.Duration(0), ""
			for n := range b.N {
				f := all[n%len(all)]
				// Break at a random phase of the schedule, in which nine vantages probe a host one after the other.
				time.Sleep(time.Duration(random.Int64N(int64(interval / 8))))
				began := time.Now()
				d := m.measure(f)
				if d > slowest {
					slowest, timing = d, m.timing([]string{f.host}, began)
				}
				took[f.kind], took["all"] = append(took[f.kind], d), append(took["all"], d)
				f.mend.do(m)
				m.awaitAllUp()
			}
			m.report(b, interval, took)
			fmt.Printf("timing of the slowest, %.2f s:%s\n", slowest.Seconds(), timing)
		})
	}
}

// measure causes a failure and returns the time until it is published.
func (m *mesh) measure(f failure) time.Duration {
	m.t.Helper()
	f.do.do(m)
	began := time.Now()
	eventually(m.t, 30*time.Second, f.do.what+" is published", func() error {
		statuses, err := m.published()
		if status := statuses[f.host]; err == nil && status != "partial_outage" && status != "major_outage" {
			err = fmt.Errorf("%s is %s", f.host, status)
		}
		return err
	})
	return time.Since(began)
}

// report prints a table and reports the quantiles as metrics of the benchmark.
func (m *mesh) report(b *testing.B, interval time.Duration, took map[string][]time.Duration) {
	var out strings.Builder
	fmt.Fprintf(&out, "\nprobes every %v, seconds from the fault to the public API:\n", interval)
	fmt.Fprintf(&out, "%-20s %5s %6s %6s %6s %6s\n", "failure", "n", "p50", "p90", "p99", "max")
	for _, kind := range []string{"connection refused", "host gone", "all"} {
		d := took[kind]
		if len(d) == 0 {
			continue
		}
		slices.Sort(d)
		at := func(share float64) float64 { return d[min(int(share*float64(len(d))), len(d)-1)].Seconds() }
		fmt.Fprintf(&out, "%-20s %5d %6.2f %6.2f %6.2f %6.2f\n", kind, len(d), at(0.5), at(0.9), at(0.99), at(1))
		if kind == "all" {
			b.ReportMetric(at(0.5), "p50-s")
			b.ReportMetric(at(0.99), "p99-s")
			b.ReportMetric(at(1), "max-s")
			b.ReportMetric(0, "ns/op")
		}
	}
	fmt.Print(out.String()) // b.Log is truncated after ten lines
}
