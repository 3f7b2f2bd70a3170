// Command simulation shows on paper what the quorum rule is worth: how often it is false, what it misses and how fast it is,
// beside four simpler rules on networks that lose probes in the same way. It runs the real schedule, edges and judge in virtual
// time, and prints a table. With -liars it prints how many colluding agents publish something false: it plays their strategies against
// the real schedule and judge. The same seed gives the same table.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

func main() {
	seed := flag.Uint64("seed", 1, "of the random histories")
	quick := flag.Bool("quick", false, "a tenth of the work, with wider bounds")
	write := flag.String("write", "", "a file to put the table into, between its marks")
	liars := flag.Bool("liars", false, "compute instead how many agents must lie to publish something false")
	flag.Parse()
	compute := table
	if *liars {
		compute = liarTable
	}
	if err := compute(*seed, *quick, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// full is the work behind the table in deploy/docs/simulation.md, which takes a minute or two on two cores.
var full = effort{plain: 48 * time.Hour, simple: year / 2, episodes: 20_000, outages: 500}

func (e effort) tenth() effort {
	return effort{plain: e.plain / 10, simple: e.simple / 10, episodes: e.episodes / 10, outages: e.outages / 10}
}

func table(seed uint64, quick bool, write string) error {
	e := full
	if quick {
		e = e.tenth()
	}
	return output(write, "simulation", simulate(seed, e))
}

// output prints the table, or writes it into the file between the marks of this name.
func output(file, name, table string) error {
	if file == "" {
		_, err := os.Stdout.WriteString(table)
		return err
	}
	return replace(file, name, table)
}

// marks are the lines around a table of this name in a Markdown file.
func marks(name string) (begin, end string) {
	return "<!-- " + name + ": begin -->\n", "<!-- " + name + ": end -->\n"
}

// replace puts the table between the marks of the file.
func replace(file, name, table string) error {
	begin, end := marks(name)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(data, []byte(begin))
	_, after, foundEnd := bytes.Cut(rest, []byte(end))
	if !found || !foundEnd {
		return fmt.Errorf("%s has no marks %q and %q", file, begin, end)
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begin), []byte(table), []byte(end), after}, nil), 0o644)
}

// simulate makes the table: one model a time on each core.
func simulate(seed uint64, e effort) string {
	rows := make([]string, len(models))
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	done := make(chan struct{})
	for i, m := range models {
		go func() {
			places <- struct{}{}
			rows[i] = modelRows(m, seed+uint64(i)*1000, e)
			<-places
			done <- struct{}{}
		}()
	}
	for range models {
		<-done
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "| network | rule | false downs in 1,000 target-years (95 %% bound) | false partials | missed | detection p50 / p99 | extra probes |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		out.WriteString(r)
	}
	return out.String()
}
