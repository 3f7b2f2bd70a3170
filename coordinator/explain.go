package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/control"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func newExplainCommand() *cobra.Command {
	return newReadCommand("explain HOST", "Explain a host's verdicts: who voted what, on which look, and why", cobra.ExactArgs(1),
		func(out io.Writer, s control.State, args []string) error {
			h, err := findHost(s.Snapshot, args[0])
			if err != nil {
				return err
			}
			explain(out, h)
			return nil
		},
		func(s control.State, args []string) (any, error) { return findHost(s.Snapshot, args[0]) })
}

func findHost(s *mesh.Snapshot, name string) (mesh.HostState, error) {
	for _, h := range s.Hosts {
		if mesh.Key(h.Name) == mesh.Key(name) {
			return h, nil
		}
	}
	return mesh.HostState{}, fmt.Errorf("the catalog has no host %q", name)
}

func explain(out io.Writer, h mesh.HostState) {
	fmt.Fprintf(out, "%s in %s is %s since %s\n", h.Name, h.Region, h.Status, when(h.Since))
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
		fmt.Fprintf(out, "; looked %s, last good %s, last bad %s\n", when(e.At), when(e.LastGood), when(e.LastBad))
	}
}
