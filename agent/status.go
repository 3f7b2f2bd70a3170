package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/localstatus"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// report is what `agent status` shows.
type report struct {
	vantage.Snapshot
	Bus bus.Link `json:"bus"`
}

func newStatusCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the agent that runs here sees of all others",
		Long: "Status asks the agent that runs on the state directory what it last saw of every check, how its connection to NATS\n" +
			"is doing, what waits to be sent, and whom it gossips with. It asks nobody else, so it works when the coordinator is gone.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := localstatus.Status[report](cmd.Context(), state)
			if err != nil {
				return err
			}
			if !asJSON {
				return writeReport(cmd.OutOrStdout(), r)
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(r)
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// serveStatus answers `agent status` until ctx ends; the returned function waits for that. Two agents on one directory are an
// error; a socket that cannot be opened otherwise is told, and the agent does without it.
func serveStatus(ctx context.Context, state string, asked vantage.Requests, link func() bus.Link, log zerolog.Logger) (wait func(), err error) {
	l, err := localstatus.Listen(state)
	switch {
	case errors.Is(err, localstatus.ErrRunning):
		return nil, err
	case err != nil:
		log.Warn().Err(err).Msg("`agent status` will not be answered")
		return func() {}, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := localstatus.Serve(ctx, l, func(ctx context.Context) (report, error) {
			s, err := asked.Snapshot(ctx)
			return report{s, link()}, err
		})
		if err != nil {
			log.Error().Err(err).Msg("`agent status` will not be answered")
		}
	}()
	return func() { <-done }, nil
}

func writeReport(out io.Writer, r report) error {
	fmt.Fprintf(out, "%s in %s, version %s, runs since %s; as of %s\n", r.Name, orNone(r.Region), r.Version, when(r.Began), when(r.At))
	fmt.Fprintf(out, "catalog  %s\n", orNone(r.Revision))
	fmt.Fprintf(out, "NATS     %s\n", linkWords(r.Bus, r.At))
	fmt.Fprintf(out, "spool    %d batches wait, %d observations were dropped\n", r.Spool.Batches, r.Spool.Dropped)
	if r.Spool.Off != "" {
		fmt.Fprintf(out, "         they wait in memory, not on the disk: %s\n", r.Spool.Off)
	}
	fmt.Fprintf(out, "gossip   %s\n\n", gossipWords(r.Snapshot))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tCHECK\tOUTCOME\tRTT\tSINCE\tSEEN\tREASON")
	for _, e := range r.Edges {
		writeEdge(table, e.Host, e, r.At)
	}
	for _, e := range r.Anchors {
		writeEdge(table, "(anchor)", e, r.At)
	}
	return table.Flush()
}

func writeEdge(out io.Writer, host string, e vantage.Edge, now time.Time) {
	check := e.Check
	if e.Family != mesh.AnyFamily && host == e.Host {
		check += " " + e.Family.String()
	}
	rtt, seen := "-", "-"
	if e.RTT > 0 {
		rtt = fmt.Sprintf("%.1f ms", float64(e.RTT)/float64(time.Millisecond))
	}
	if !e.Seen.IsZero() {
		seen = ago(e.Seen, now)
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", host, check, e.Outcome, rtt, when(e.Since), seen, e.Reason)
}

func linkWords(l bus.Link, now time.Time) string {
	words := fmt.Sprintf("connected to %s since %s (%s)", l.Server, when(l.Since), ago(l.Since, now))
	if !l.Connected {
		words = fmt.Sprintf("away since %s (%s); what is seen is kept until it is back", when(l.Since), ago(l.Since, now))
	}
	if l.Error != "" {
		words += "; the last error: " + l.Error
	}
	return words
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func ago(t, now time.Time) string { return max(now.Sub(t), 0).Round(time.Second).String() + " ago" }

func orNone(s string) string {
	if s == "" {
		return "none yet"
	}
	return s
}
