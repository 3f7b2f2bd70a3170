package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func newExplainCommand() *cobra.Command {
	return reading{
		use: "explain HOST", short: "Explain a host's verdicts: who voted what, on which look, and why", args: cobra.ExactArgs(1), past: true,
		words: func(out io.Writer, s admin.State, value any) error {
			value.(explanation).write(out)
			return nil
		},
		value: func(ctx context.Context, client *admin.Client, s admin.State, args []string) (any, error) {
			return explain(ctx, client, s, args[0])
		},
	}.command()
}

// explanation is what the judge holds of a host, what fell with it, and what the operator changed last.
type explanation struct {
	mesh.HostState
	At         time.Time      `json:"at"`
	FellWith   []string       `json:"fell_with"` // hosts that fell within seconds of it, for the same voters
	LastChange *ledger.Change `json:"last_change,omitempty"`
}

func explain(ctx context.Context, client *admin.Client, s admin.State, name string) (e explanation, err error) {
	if e.HostState, err = findHost(s.Snapshot, name); err != nil {
		return e, err
	}
	e.At, e.FellWith = s.Snapshot.At, fellWith(s.Snapshot, e.HostState)
	e.LastChange, err = client.LastChange(ctx, mesh.Key(name), s.Snapshot.At)
	return e, err
}

// fellWith lists the other hosts whose broken checks have the host's cause.
func fellWith(s *mesh.Snapshot, h mesh.HostState) []string {
	causes, out := map[string]bool{}, []string{}
	for _, c := range h.Checks {
		causes[c.Cause] = c.Cause != ""
	}
	for _, o := range s.Hosts {
		if o.Name != h.Name && slices.ContainsFunc(o.Checks, func(c mesh.CheckState) bool { return causes[c.Cause] }) {
			out = append(out, o.Name)
		}
	}
	return out
}

func findHost(s *mesh.Snapshot, name string) (mesh.HostState, error) {
	for _, h := range s.Hosts {
		if mesh.Key(h.Name) == mesh.Key(name) {
			return h, nil
		}
	}
	return mesh.HostState{}, fmt.Errorf("the catalog has no host %q", name)
}

func (h explanation) write(out io.Writer) {
	fmt.Fprintf(out, "%s in %s is %s since %s, as of %s\n", h.Name, h.Region, h.Status, when(h.Since), when(h.At))
	if len(h.FellWith) > 0 {
		fmt.Fprintf(out, "fell with it, for the same voters: %s\n", strings.Join(h.FellWith, ", "))
	}
	if c := h.LastChange; c != nil {
		fmt.Fprintf(out, "last change of the catalog that touched it: %s, revision %s from %s\n", when(c.At), c.Revision, c.Source)
		for _, change := range c.Changes {
			fmt.Fprintf(out, "  %s\n", change)
		}
	}
	for _, c := range h.Checks {
		fmt.Fprintf(out, "\n%s (%s): %s, since %s\n  %s\n  rule: %s\n", c.Name, c.Kind, c.Verdict, when(c.Since), c.Sentence, c.Rule)
		for _, a := range c.Advisories {
			fmt.Fprintf(out, "  advisory: %s\n", a)
		}
		for _, v := range c.Votes {
			explainVote(out, v)
		}
	}
}

func explainVote(out io.Writer, v mesh.RegionVote) {
	own := ""
	if v.Own {
		own = " (the host's own region: not counted)"
	}
	fmt.Fprintf(out, "  %s votes %s%s\n", v.Region, v.Vote, own)
	for _, e := range v.Edges {
		fmt.Fprintf(out, "    %s by %s: %s", e.Vantage, e.Family, e.Vote)
		switch {
		case e.Why != "":
			fmt.Fprintf(out, ", %s", e.Why)
		case e.Reason != "":
			fmt.Fprintf(out, ", %s", e.Reason)
		}
		if e.Vote == mesh.OK {
			fmt.Fprintf(out, ", %s", e.RTT.Round(100*time.Microsecond))
		}
		switch {
		case e.Address == "":
		case e.Outcome.Good():
			fmt.Fprintf(out, ", by %s", e.Address)
		default:
			fmt.Fprintf(out, ", tried %s", e.Address)
		}
		fmt.Fprintf(out, "; looked %s, last good %s, last bad %s\n", when(e.At), when(e.LastGood), when(e.LastBad))
	}
}
