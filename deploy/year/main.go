// Year writes a synthetic year of a mesh as a coordinator stores it, and measures how large it is and how long queries
// on it take: the stream ROLLUP in a NATS server, the ledger's transitions, and the files that are made from both.
//
//	go run ./deploy/year --dir /tmp/year
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sla"
)

// begin is the first second of the year.
var begin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// year is what is written.
type year struct {
	dir                          string
	hosts, checks, regions, days int
	interval                     time.Duration // of probes
	failEvery                    int           // days between two failures of a check
	random                       *rand.Rand
	samples                      map[[4]int]rollup.Summary // by hour, host, check and region
}

func main() {
	y := &year{random: rand.New(rand.NewPCG(1, 2)), samples: map[[4]int]rollup.Summary{}}
	flag.StringVar(&y.dir, "dir", "", "`DIRECTORY` to write into, which must not exist (default: a temporary one)")
	flag.IntVar(&y.hosts, "hosts", 10, "hosts")
	flag.IntVar(&y.checks, "checks", 3, "checks of each host")
	flag.IntVar(&y.regions, "regions", 8, "regions with one vantage each")
	flag.IntVar(&y.days, "days", 365, "days")
	flag.DurationVar(&y.interval, "interval", 10*time.Second, "interval of the probes")
	flag.IntVar(&y.failEvery, "fail-every", 1, "days between two failures of a check, of five minutes each")
	flag.Parse()
	if err := run(context.Background(), y, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, y *year, out io.Writer) (err error) {
	if y.dir == "" {
		if y.dir, err = os.MkdirTemp("", "year"); err != nil {
			return err
		}
		defer os.RemoveAll(y.dir)
	}
	s, err := server.Start(ctx, server.Config{
		Dir: filepath.Join(y.dir, "bus"), Listen: "127.0.0.1:0", Logger: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	config, err := s.CoordinatorConfig()
	if err != nil {
		return err
	}
	conn, err := coordinator.Dial(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Lead(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d days of %d hosts with %d checks each, probed every %s from %d regions\n",
		y.days, y.hosts, y.checks, y.interval, y.regions)
	if err := y.writeRollups(ctx, conn, out); err != nil {
		return err
	}
	if err := y.writeLedger(ctx, conn, out); err != nil {
		return err
	}
	return y.report(ctx, conn, out)
}

func check(host, n int) string       { return fmt.Sprintf("%012x", host*64+n) }
func region(n int) string            { return fmt.Sprintf("region-%d", n) }
func vantage(n int) string           { return fmt.Sprintf("%012x", 1<<40+n) }
func hostName(n int) string          { return fmt.Sprintf("NC%03d", n) }
func (y *year) file(n string) string { return filepath.Join(y.dir, n) }

// writeRollups appends an event for each hour to ROLLUP, and folds all of them into a latency file as a start without
// one does.
func (y *year) writeRollups(ctx context.Context, conn *coordinator.Conn, out io.Writer) error {
	after := uint64(1) // the epoch
	for hour := range y.days * 24 {
		e := y.event(int64(hour))
		n, err := conn.Rollups().Append(ctx, bus.Entry{Subject: e.Subject(), ID: e.Subject(), Data: rollup.Encode(e)}, after)
		if err != nil {
			return err
		}
		after = n
	}
	store, err := latency.Open(ctx, y.file("latency.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	r := engine.NewRecorder(engine.RecorderConfig{
		Bus: conn, Rollups: conn.Rollups(), Store: store, Logger: zerolog.Nop(),
	})
	began := time.Now()
	if _, err := r.CatchUp(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-52s %8.1f s\n", "latency.db filled from ROLLUP in", time.Since(began).Seconds())
	return y.writeMinutes(ctx, store)
}

// writeMinutes stores the minutes of the last two days.
func (y *year) writeMinutes(ctx context.Context, store *latency.Store) error {
	if err := store.FollowMinutes(ctx, 1); err != nil {
		return err
	}
	store.Reset(rollup.NewBuilder(1, nil), rollup.NewMinutes(nil, 0))
	end, sequence := begin.AddDate(0, 0, y.days), uint64(0)
	for at := end.Add(-latency.Kept); at.Before(end); at = at.Add(y.interval) {
		for r := range y.regions {
			sequence++
			b := &mesh.Batch{Agent: vantage(r), Epoch: 1, Sequence: sequence}
			for h := range y.hosts {
				for c := range y.checks {
					rtt := time.Duration(float64(y.typical(h, c, r)) * (1 + y.random.NormFloat64()/10))
					b.Observations = append(b.Observations, mesh.Observation{Check: check(h, c), Began: at.Add(-rtt),
						Elapsed: rtt, RTT: rtt, Outcome: mesh.Reachable, Sent: 1})
				}
			}
			store.Add(rollup.Message{Sequence: sequence, At: at, Batch: b}, names{r})
		}
		if at.Second() < int(y.interval.Seconds()) {
			if err := store.StoreMinutes(ctx, sequence, at, at); err != nil {
				return err
			}
		}
	}
	return store.StoreMinutes(ctx, sequence, end, end)
}

// typical is the round-trip time of a check as a region sees it.
func (y *year) typical(host, check, region int) time.Duration {
	return time.Duration(1+(host*31+check*7+region*13)%200) * time.Millisecond
}

// names are those of a batch from a region.
type names struct{ region int }

func (n names) Vantage() (id, name string)   { return vantage(n.region), region(n.region) }
func (names) CheckID(_, check string) string { return check }

// sampleHours is how many hours are made up, and then repeated: drawing every probe of a year would take long.
const sampleHours = 48

// event is an hour: round-trip times vary by a tenth, and one probe in five hundred is lost.
func (y *year) event(hour int64) rollup.Event {
	at := begin.Add(time.Duration(hour) * time.Hour)
	e := rollup.Event{
		Stream: begin.UnixNano(), First: uint64(hour)*9000 + 1, Last: uint64(hour)*9000 + 9000,
		Until: at.Add(65 * time.Minute), Summaries: map[rollup.Key]rollup.Summary{},
	}
	for r := range y.regions {
		e.Batches = append(e.Batches, rollup.Batches{Agent: fmt.Sprintf("nc%03d", r), Epoch: 1 << 62,
			First: uint64(hour) * 1800, Last: uint64(hour)*1800 + 1799})
		for h := range y.hosts {
			for c := range y.checks {
				key := rollup.Key{Hour: rollup.HourOf(at), Check: check(h, c), Region: region(r)}
				at := [4]int{int(hour) % sampleHours, h, c, r}
				if _, made := y.samples[at]; !made {
					y.samples[at] = y.summary(r, y.typical(h, c, r))
				}
				e.Summaries[key] = y.samples[at]
			}
		}
	}
	return e
}

func (y *year) summary(r int, rtt time.Duration) (s rollup.Summary) {
	for range int(time.Hour / y.interval) {
		o := mesh.Observation{
			Outcome: mesh.Reachable, Sent: 1, RTT: time.Duration(float64(rtt) * (1 + y.random.NormFloat64()/10)),
		}
		if y.random.IntN(500) == 0 {
			o.Outcome, o.Lost = mesh.Unreachable, 1
		}
		s.Add(vantage(r), o)
	}
	return s
}

// writeLedger appends the transitions of the failures.
func (y *year) writeLedger(ctx context.Context, conn *coordinator.Conn, out io.Writer) error {
	led, v, err := engine.OpenLedger(ctx, conn, y.file("view.db"))
	if err != nil {
		return err
	}
	defer v.Close()
	for day := range y.days {
		var events []ledger.Event
		for n := range y.hosts * y.checks {
			if (day+n)%y.failEvery != 0 {
				continue
			}
			for i, verdict := range []mesh.Verdict{mesh.Down, mesh.Up} {
				at := begin.AddDate(0, 0, day).Add(time.Duration(n%100*600+i*300) * time.Second)
				events = append(events, ledger.TransitionEvent{Transition: mesh.Transition{
					ID: fmt.Sprintf("%d-%d-%d", day, n, i), Host: hostName(n / y.checks), Public: true,
					Check: fmt.Sprintf("check %d", n%y.checks), Verdict: verdict, Began: at, Published: at,
					To: map[mesh.Verdict]mesh.Status{mesh.Down: mesh.MajorOutage, mesh.Up: mesh.Operational}[verdict],
				}})
			}
		}
		if err := led.Append(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}

// report prints the sizes, and how long queries take on files that were opened just now.
func (y *year) report(ctx context.Context, conn *coordinator.Conn, out io.Writer) error {
	streams, err := conn.Streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range streams {
		if s.Name != "OBS" {
			fmt.Fprintf(out, "%-52s %8.1f MB\n", "stream "+s.Name+", messages", float64(s.Bytes)/1e6)
		}
	}
	for _, path := range []string{"bus", "view.db", "latency.db"} {
		bytes, err := sizeOf(y.file(path))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-52s %8.1f MB\n", path+", on the disk", float64(bytes)/1e6)
	}
	end := begin.AddDate(0, 0, y.days)
	for _, by := range []latency.Step{latency.Day, latency.Hour} {
		name := "a year of a check's latency by " + string(by)
		if err := y.measure(out, name, func() (int, error) { return y.latencyOf(ctx, by, end) }); err != nil {
			return err
		}
	}
	return y.measure(out, "90 days of uptime of all hosts and checks", func() (int, error) {
		return y.uptime(ctx, conn, end)
	})
}

// sizeOf returns the bytes of a file or of all files of a directory.
func sizeOf(path string) (bytes int64, err error) {
	err = filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

// measured is the time that a query took, without opening its file.
var measured, processor time.Duration

// measure prints the shortest of some queries.
func (y *year) measure(out io.Writer, name string, query func() (rows int, err error)) error {
	const queries = 10
	best, bestProcessor, rows := time.Hour, time.Hour, 0
	for range queries {
		var err error
		if rows, err = query(); err != nil {
			return err
		}
		best, bestProcessor = min(best, measured), min(bestProcessor, processor)
	}
	fmt.Fprintf(out, "%-52s %8.1f ms (%.1f ms of a processor), %d rows\n", name,
		best.Seconds()*1000, bestProcessor.Seconds()*1000, rows)
	return nil
}

// timed measures fn.
func timed(fn func() error) error {
	began, used := time.Now(), processorTime()
	err := fn()
	measured, processor = time.Since(began), processorTime()-used
	return err
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (y *year) latencyOf(ctx context.Context, by latency.Step, end time.Time) (rows int, err error) {
	store, err := latency.Open(ctx, y.file("latency.db"))
	if err != nil {
		return 0, err
	}
	defer store.Close()
	err = timed(func() error {
		series, err := store.Series(ctx, latency.Query{Check: check(y.hosts/2, 0), By: by, From: begin, To: end})
		for _, s := range series {
			rows += len(s.Points)
		}
		return err
	})
	return rows, err
}

func (y *year) uptime(ctx context.Context, conn *coordinator.Conn, end time.Time) (rows int, err error) {
	_, v, err := engine.OpenLedger(ctx, conn, y.file("view.db"))
	if err != nil {
		return 0, err
	}
	defer v.Close()
	from := end.AddDate(0, 0, -90)
	err = timed(func() error {
		histories, err := v.Periods().Published(ctx, "", from, end)
		for _, h := range histories {
			sla.NewRow(h, nil, sla.DefaultMethod(), from, end, true)
			rows++
		}
		return err
	})
	return rows, err
}
