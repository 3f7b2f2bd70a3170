package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func newApplyCommand() *cobra.Command {
	var data string
	var prune bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Put a catalog in force, and show what changes and what the regions see of what is new",
		Long: "Apply validates the file, shows what it changes, puts it in force, and waits until every region has looked at what\n" +
			"is new. A check that is new is pending until it was once up, so that a mistyped port is never an outage.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readCatalog(cmd, args[0])
			if err != nil {
				return err
			}
			source, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return apply(cmd.Context(), cmd.OutOrStdout(), admin.NewClient(data), c, source, prune)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&prune, "prune", false, "stop watching hosts that the file no longer has")
	return cmd
}

func apply(ctx context.Context, out io.Writer, client *admin.Client, c *catalog.Catalog, source string, prune bool) error {
	changes, err := client.Apply(ctx, c, source, prune)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Fprintln(out, "nothing changes")
		return nil
	}
	var looks []catalog.Change
	wait := time.Duration(0)
	for _, change := range changes {
		fmt.Fprintln(out, change)
		if change.Look {
			looks = append(looks, change)
			check := c.Host(mesh.Key(change.Host)).Check(change.Check)
			wait = max(wait, check.Interval+check.Timeout+lookSlack)
		}
	}
	return awaitLooks(ctx, out, client, c, looks, min(max(wait, lookSlack), lookWaitMax))
}

const (
	lookSlack   = 3 * time.Second // for the new catalog to reach every agent, and for what they see to come back
	lookWaitMax = 30 * time.Second
	lookEvery   = 200 * time.Millisecond
)

// awaitLooks waits until every region has looked at what is new, and tells what they saw.
func awaitLooks(ctx context.Context, out io.Writer, client *admin.Client, c *catalog.Catalog, looks []catalog.Change, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		state, err := client.State(ctx, time.Time{})
		if err != nil {
			return err
		}
		late := time.Now().After(deadline)
		if state.Snapshot.Revision == c.Revision {
			if len(looks) > 0 && !anybodyHeard(state.Snapshot) {
				fmt.Fprintln(out, command.WithProgramNames("no agent was heard yet, so nobody looks: `coordinator invite HOST`"))
				return nil
			}
			looks = tellLooks(out, state.Snapshot, c, looks, late)
		}
		if late || len(looks) == 0 && state.Snapshot.Revision == c.Revision {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

func anybodyHeard(s *mesh.Snapshot) bool {
	return slices.ContainsFunc(s.Vantages, func(v mesh.VantageState) bool { return !v.Heard.IsZero() })
}

// tellLooks tells of the checks that every region has looked at, of all of them when it is late, and returns the others.
func tellLooks(out io.Writer, s *mesh.Snapshot, c *catalog.Catalog, looks []catalog.Change, late bool) []catalog.Change {
	var waiting []catalog.Change
	for _, l := range looks {
		seen := findCheck(s, l.Host, l.Check)
		if seen == nil || !late && seen.Tally.OK+seen.Tally.Bad < max(seen.Tally.Voters, 1) {
			waiting = append(waiting, l)
			continue
		}
		what := "it"
		if port := c.Host(mesh.Key(l.Host)).Check(l.Check).Port; port != 0 {
			what = fmt.Sprintf("port %d", port)
		}
		fmt.Fprintf(out, "%s %s: %d of %d regions reach %s\n", l.Host, l.Check, seen.Tally.OK, seen.Tally.Voters, what)
	}
	return waiting
}

// findCheck is the check's state, or nil.
func findCheck(s *mesh.Snapshot, host, check string) *mesh.CheckState {
	for i := range s.Hosts {
		if s.Hosts[i].Name != host {
			continue
		}
		for k := range s.Hosts[i].Checks {
			if s.Hosts[i].Checks[k].Name == check {
				return &s.Hosts[i].Checks[k]
			}
		}
	}
	return nil
}
