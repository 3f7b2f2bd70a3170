// Command simulation measures the quorum rule: how often it publishes something false, which outages it misses, and how
// fast it detects the others. It compares the rule with four simpler ones on networks that lose probes in the same way.
// It runs the real schedule, edges and judge in virtual time and prints a table. With -liars it plays the strategies of
// colluding agents against the real schedule and judge instead, and prints how many of them it takes to publish
// something false. The same seed always gives the same table.
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
	seed := flag.Uint64("seed", 1, "seed of the random histories")
	quick := flag.Bool("quick", false, "do a tenth of the work, with wider bounds")
	write := flag.String("write", "", "replace the table in this `file`, between its marks")
	liars := flag.Bool("liars", false, "compute how many agents must lie to publish something false")
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

// full is the effort behind the table in deploy/docs/simulation.md. It takes a minute or two on two cores.
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

// output prints the table, or replaces the one in the file between the marks of this name.
func output(file, name, table string) error {
	if file == "" {
		_, err := os.Stdout.WriteString(table)
		return err
	}
	return replace(file, name, table)
}

// marks returns the lines around a table of this name in a Markdown file.
func marks(name string) (begin, end string) {
	return "<!-- " + name + ": begin -->\n", "<!-- " + name + ": end -->\n"
}

// replace replaces the text between the file's marks by the table.
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
	data = bytes.Join([][]byte{before, []byte(begin), []byte(table), []byte(end), after}, nil)
	return os.WriteFile(file, data, 0o644)
}

// simulate returns the table. It computes one model at a time on each core; each has seeds of its own, so that the
// result does not depend on the order in which they finish.
func simulate(seed uint64, e effort) string {
	rows := make([]string, len(models))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	done := make(chan struct{})
	for i, m := range models {
		go func() {
			slots <- struct{}{}
			rows[i] = modelRows(m, seed+uint64(i)*1000, e)
			<-slots
			done <- struct{}{}
		}()
	}
	for range models {
		<-done
	}
	var out bytes.Buffer
	out.WriteString("| network | rule | false downs in 1,000 target-years (95 % bound) | false partials | missed " +
		"| detection p50 / p99 | extra probes |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		out.WriteString(r)
	}
	return out.String()
}
