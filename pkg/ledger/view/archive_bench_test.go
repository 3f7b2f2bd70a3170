//go:build unix

package view_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// generator writes posts as a hosting company's blog has them: some words in nearly all of them, many in few.
type generator struct {
	random *rand.Rand
	words  []string
	zipf   *rand.Zipf
}

func newGenerator() *generator {
	g := &generator{random: rand.New(rand.NewPCG(1, 2))}
	g.words = strings.Fields("the mail server was down for minutes after sending stopped and we restored disk space spam")
	for n := range 20000 {
		g.words = append(g.words, fmt.Sprintf("w%x", n*7919))
	}
	g.zipf = rand.NewZipf(g.random, 1.2, 4, uint64(len(g.words)-1))
	return g
}

func (g *generator) text(words int) string {
	var out strings.Builder
	for n := range words {
		if n > 0 && n%60 == 0 {
			out.WriteString(".\n\n")
		}
		fmt.Fprintf(&out, "%s ", g.words[g.zipf.Uint64()])
	}
	return out.String()
}

// post is one of n posts of five years.
func (g *generator) post(i, n int) ledger.PostEvent {
	begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	return ledger.PostEvent{
		ID: fmt.Sprintf("post%d", i), Mesh: begin.Add(5 * 365 * 24 * time.Hour / time.Duration(n) * time.Duration(i)),
		Tags:     []string{fmt.Sprintf("tag%d", g.random.IntN(40)), fmt.Sprintf("tag%d", g.random.IntN(40))},
		Category: fmt.Sprintf("category%d", g.random.IntN(8)), Hosts: []string{fmt.Sprintf("%012x", g.random.IntN(10))},
	}
}

// BenchmarkArchive measures a search and the page of a month among 5,000 posts of 200 words, of which half are of hosts
// that the reader may see. The 99th percentile of a search must be below 20 ms, and of a month below 10 ms.
func BenchmarkArchive(b *testing.B) {
	const posts = 5000
	l, g := newTextLog(), newGenerator()
	v, err := view.Open(b.Context(), filepath.Join(b.TempDir(), "view.db"), l)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	led, err := ledger.Open(b.Context(), l, v)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < posts; i += 100 {
		var events []ledger.Event
		for n := range 100 {
			events = append(events, l.written(b, g.post(i+n, posts), g.text(8), g.text(200)))
		}
		if err := led.Append(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
	readers := archive.Readers{}
	for n := range 5 {
		readers.Hosts = append(readers.Hosts, fmt.Sprintf("%012x", n))
	}
	a := v.Archive()
	b.Run("search", func(b *testing.B) {
		percentile(b, func() {
			q := archive.Query{Text: g.text(1 + g.random.IntN(2)), Limit: 20}
			switch g.random.IntN(4) {
			case 0:
				q.Text = `"` + g.text(2) + `"`
			case 1:
				q.Tag = fmt.Sprintf("tag%d", g.random.IntN(40))
			case 2:
				q.Host, q.From = readers.Hosts[0], time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			if _, err := a.Find(b.Context(), q, readers); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("word of all posts", func(b *testing.B) {
		percentile(b, func() {
			page, err := a.Find(b.Context(), archive.Query{Text: "the mail", Limit: 20}, readers)
			if err != nil || len(page.Found) != 20 {
				b.Fatal(len(page.Found), err)
			}
		})
	})
	b.Run("month", func(b *testing.B) {
		percentile(b, func() {
			from := time.Date(2020, time.Month(1+g.random.IntN(60)), 1, 0, 0, 0, 0, time.UTC)
			entries, err := a.Between(b.Context(), from, from.AddDate(0, 1, 0), readers)
			months, counted := a.Months(b.Context(), readers)
			if err != nil || counted != nil || len(entries) < 20 || len(months) < 60 {
				b.Fatal(len(entries), len(months), err, counted)
			}
		})
	})
	b.Run("feed", func(b *testing.B) {
		percentile(b, func() {
			if _, err := a.Latest(b.Context(), archive.Query{Tag: "tag7"}, readers, 50); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// percentile reports how long do takes: the median and the 99th percentile by the clock, and the mean of the
// processor's time, which other programs do not change.
func percentile(b *testing.B, do func()) {
	var all []time.Duration
	before := processorTime(b)
	for b.Loop() {
		began := time.Now()
		do()
		all = append(all, time.Since(began))
	}
	spent := processorTime(b) - before
	slices.Sort(all)
	for name, d := range map[string]time.Duration{
		"p50-ms": all[len(all)/2], "p99-ms": all[len(all)*99/100], "cpu-ms": spent / time.Duration(len(all)),
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, name)
	}
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
