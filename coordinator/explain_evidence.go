package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// evidence is what led to the present verdict of one check.
type evidence struct {
	Check     string        `json:"check"`
	ID        string        `json:"id"` // of the transition
	Began     time.Time     `json:"began"`
	Published time.Time     `json:"published"`
	Events    []judge.Event `json:"events"`
	Missing   string        `json:"missing,omitempty"` // why there are no events
}

const (
	// evidenceMax bounds the checks of one answer: the evidence of each costs a replay.
	evidenceMax = 3
	// transitionsSought bounds how many of a host's transitions are searched for the latest of each check.
	transitionsSought = 1000
)

// collectEvidence returns what led to the verdicts of a host's checks that were not up at the time. Without it, an
// explanation is still complete: the votes are there.
func collectEvidence(ctx context.Context, client *admin.Client, h mesh.HostState, at time.Time) ([]evidence, error) {
	var out []evidence
	all, err := client.Transitions(ctx, mesh.Key(h.Name), transitionsSought)
	if err != nil {
		return nil, err
	}
	for _, c := range h.Checks {
		if c.Verdict == mesh.Up || c.Verdict == mesh.Pending || len(out) >= evidenceMax {
			continue
		}
		for _, t := range slices.Backward(all) {
			if t.Check != c.Name || t.Published.After(at) {
				continue
			}
			e := evidence{Check: c.Name, ID: t.ID, Began: t.Began, Published: t.Published}
			if e.Events, err = admin.Trace(ctx, client, t); err != nil {
				e.Missing = err.Error()
			}
			out = append(out, e)
			break
		}
	}
	return out, nil
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
	for _, event := range e.Events {
		// The round whose answers were the first failures may have opened just before them.
		if event.At.Before(e.Began.Add(-500 * time.Millisecond)) {
			continue
		}
		fmt.Fprintf(out, "    %+8.2f s  %s\n", event.At.Sub(e.Began).Round(10*time.Millisecond).Seconds(), event.Text)
		if event.Rule != "" {
			fmt.Fprintf(out, "                rule: %s\n", quorum.VerdictInWords(event.Verdict, event.Rule, rule))
		}
	}
}

const drawnColumns = 60

// draw prints a row for each vantage: what its probes found, at the time of the result.
func (e evidence) draw(out io.Writer) {
	took := max(e.Published.Sub(e.Began), time.Second)
	from := e.Began.Add(-min(took, time.Minute))
	span := e.Published.Sub(from)
	column := func(at time.Time) int {
		return min(max(int(drawnColumns*int64(at.Sub(from))/int64(max(span, 1))), 0), drawnColumns-1)
	}
	rounds, rows := []byte(strings.Repeat(" ", drawnColumns)), map[string][]byte{}
	rounds[column(e.Began)] = 'c'
	for _, event := range e.Events {
		switch {
		case event.Kind == judge.RoundOpened && !event.At.Before(from):
			rounds[column(event.At)] = 'r'
		case event.Kind == judge.Observed && !event.Probe.Ended().Before(from):
			name := event.Region + " " + event.Vantage
			if rows[name] == nil {
				rows[name] = []byte(strings.Repeat(".", drawnColumns))
			}
			rows[name][column(event.Probe.Ended())] = probeSymbol(*event.Probe)
		}
	}
	rounds[drawnColumns-1] = 'v'
	width := 0
	for name := range rows {
		width = max(width, len(name))
	}
	fmt.Fprintf(out, "    %-*s %s\n", width, "", rounds)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(out, "    %-*s %s\n", width, name, rows[name])
	}
	fmt.Fprintln(out, "    + reachable, ! first miss, X unreachable after its retries, ? inconclusive; "+
		"c cause, r round, v verdict")
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
