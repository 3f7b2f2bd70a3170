package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// evidence is what led to the present verdict of one check.
type evidence struct {
	Check     string        `json:"check"`
	ID        string        `json:"id"` // of the transition
	Began     time.Time     `json:"began"`
	Published time.Time     `json:"published"`
	Events    []judge.Event `json:"events"`
	Missing   string        `json:"missing,omitempty"` // why there are no events
	catalog   *catalog.Catalog
}

const (
	// evidenceMax bounds the checks of one answer: the evidence of each costs a replay.
	evidenceMax = 3
	// transitionsSought bounds how many of a host's transitions are searched for the latest of each check.
	transitionsSought = 1000
)

// collectEvidence returns what led to the verdicts of a host's checks that were not up at the time of the explanation:
// some of the host's transitions, oldest first. Without it, an explanation is still complete: the votes are there.
func collectEvidence(
	ctx context.Context, client *admin.Client, of explanation, host *catalog.Host, all []mesh.Transition,
) (out []evidence) {
	for _, c := range of.Checks {
		if c.Verdict == mesh.Up || c.Verdict == mesh.Pending || len(out) >= evidenceMax {
			continue
		}
		t := latestChange(all, host, c.Name, of.At)
		if t == nil {
			continue
		}
		e := evidence{Check: c.Name, ID: t.ID, Began: t.Began, Published: t.Published, catalog: of.catalog}
		var err error
		if e.Events, err = admin.Trace(ctx, client, *t); err != nil {
			e.Missing = err.Error()
		}
		out = append(out, e)
	}
	return out
}

// latestChange returns the latest transition of a check up to a time; nil if there is none. It is found by its ids: the
// catalog of then may have other names.
func latestChange(all []mesh.Transition, host *catalog.Host, check string, at time.Time) *mesh.Transition {
	config := host.Check(check)
	for i := len(all) - 1; i >= 0 && config != nil; i-- {
		t := &all[i]
		if t.HostID == host.Identity() && t.CheckID == host.IdentityOf(config) && !t.Published.After(at) {
			return t
		}
	}
	return nil
}

// write draws the probes of each vantage over time, and lists the steps from the cause on.
func (e evidence) write(out io.Writer, rule catalog.Rule) {
	if e.Missing != "" {
		fmt.Fprintf(out, "  how it came to this cannot be replayed: %s\n", e.Missing)
		return
	}
	took := e.Published.Sub(e.Began)
	fmt.Fprintf(out, "  how it came to this, %s from the cause to the verdict (change %s):\n",
		mesh.Span(took), e.ID)
	e.draw(out)
	begin := judge.StepsBegin(e.Began, e.Events)
	for _, event := range e.Events {
		if event.At.Before(begin) {
			continue
		}
		fmt.Fprintf(out, "    %+8.2f s  %s\n", event.At.Sub(e.Began).Round(10*time.Millisecond).Seconds(), event.Text)
		if event.Rule != "" {
			fmt.Fprintf(out, "                rule: %s\n", quorum.VerdictInWords(event.Verdict, event.Rule, rule))
		}
	}
}

const (
	// drawnColumns is how wide the drawing is, drawnLeast where long names leave less of a line.
	drawnColumns, drawnLeast = 60, 20
	drawnLine                = 80
)

// draw prints a row for each vantage: what its probes found, at the time of the result.
func (e evidence) draw(out io.Writer) {
	from := judge.DrawnFrom(e.Began, e.Published, e.Events)
	width := e.namesWidth(from)
	columns := max(min(drawnColumns, drawnLine-width-len("     ")), drawnLeast)
	span := e.Published.Sub(from)
	column := func(at time.Time) int {
		return min(max(int(int64(columns)*int64(at.Sub(from))/int64(max(span, 1))), 0), columns-1)
	}
	rounds, rows := []byte(strings.Repeat(" ", columns)), map[string][]byte{}
	rounds[column(e.Began)] = 'c'
	for _, event := range e.Events {
		switch {
		case event.Kind == judge.RoundOpened && !event.At.Before(from):
			rounds[column(event.At)] = 'r'
		case event.Kind == judge.Observed && !event.Probe.Ended().Before(from):
			name := e.nameOf(event)
			if rows[name] == nil {
				rows[name] = []byte(strings.Repeat(".", columns))
			}
			rows[name][column(event.Probe.Ended())] = probeSymbol(*event.Probe)
		}
	}
	rounds[columns-1] = 'v'
	fmt.Fprintf(out, "    %-*s %s\n", width, "", rounds)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(out, "    %-*s %s\n", width, name, rows[name])
	}
	fmt.Fprintln(out, "    + reachable, ! first miss, X unreachable after its retries, ? inconclusive")
	fmt.Fprintln(out, "    c cause, r round, v verdict")
}

// nameOf names the vantage that an event is about.
func (e evidence) nameOf(event judge.Event) string {
	return sentence.City(e.catalog, event.Region) + " " + hostName(e.catalog, event.Vantage)
}

// namesWidth returns how wide the names of the vantages are that have a row in a drawing from a time on.
func (e evidence) namesWidth(from time.Time) (width int) {
	for _, event := range e.Events {
		if event.Kind == judge.Observed && !event.Probe.Ended().Before(from) {
			width = max(width, utf8.RuneCountInString(e.nameOf(event)))
		}
	}
	return width
}

func probeSymbol(o judge.Probe) byte {
	switch {
	case o.Stage == mesh.Missed:
		return '!'
	case o.Outcome == mesh.Unreachable:
		return 'X'
	case o.Outcome == mesh.Inconclusive:
		return '?'
	}
	return '+'
}
