package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/probemesh/probemesh/agent/localstatus"
	"github.com/probemesh/probemesh/agent/vantage"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Report is what `agent status` shows.
type Report struct {
	vantage.Snapshot
	Bus busagent.Link `json:"bus"`
}

// Status asks the agent that runs on the state directory for its report.
func Status(ctx context.Context, state string) (Report, error) {
	return localstatus.Status[Report](ctx, state)
}

// serveStatus answers Status in tasks, until ctx ends. It fails only where another agent runs on the directory: an
// agent whose socket fails probes all the same.
func (c Config) serveStatus(
	ctx context.Context, tasks *sync.WaitGroup, requests vantage.Requests, link func() busagent.Link,
) error {
	l, err := localstatus.Listen(c.State)
	switch {
	case errors.Is(err, localstatus.ErrRunning):
		return err
	case err != nil:
		c.Logger.Warn().Err(err).Msg("status socket unavailable")
		return nil
	}
	tasks.Go(func() {
		err := localstatus.Serve(ctx, l, c.Logger, func(ctx context.Context) (Report, error) {
			s, err := requests.Snapshot(ctx)
			return Report{s, link()}, err
		})
		if err != nil {
			c.Logger.Error().Err(err).Msg("status socket unavailable")
		}
	})
	return nil
}

// WriteText writes the report for people: a few lines about the agent, then a table with a row for each edge.
func (r Report) WriteText(out io.Writer) error {
	region := r.Region
	if region == "" {
		region = "no region yet"
	}
	fmt.Fprintf(out, "%s in %s, version %s, running since %s; as of %s\n",
		r.Name, region, r.Version, when(r.Began), when(r.At))
	fmt.Fprintf(out, "catalog  %s\n", orNone(r.Revision))
	fmt.Fprintf(out, "NATS     %s\n", connection(r.Bus, r.At))
	fmt.Fprintf(out, "spool    %s waiting, %s dropped\n",
		mesh.Count(int(r.Spool.Batches), "batch"), mesh.Count(int(r.Spool.Dropped), "observation"))
	if r.Spool.Off != "" {
		fmt.Fprintf(out, "         batches wait in memory, because the disk fails: %s\n", r.Spool.Off)
	}
	fmt.Fprintf(out, "gossip   %s\n\n", peers(r.Snapshot))
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
		rtt = milliseconds(e.RTT)
	}
	if !e.Seen.IsZero() {
		seen = ago(e.Seen, now)
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", host, check, e.Outcome, rtt, when(e.Since), seen, e.Reason)
}

func connection(l busagent.Link, now time.Time) string {
	since := when(l.Since) + " (" + ago(l.Since, now) + ")"
	text := "connected to " + l.Server + " since " + since
	if !l.Connected {
		text = "disconnected since " + since + "; observations wait in the spool"
	}
	if l.Error != "" {
		text += "; last error: " + l.Error
	}
	return text
}

func peers(s vantage.Snapshot) string {
	switch {
	case !s.Gossips:
		return "off"
	case len(s.Peers) == 0:
		return "no peers yet"
	}
	list := make([]string, len(s.Peers))
	for i, p := range s.Peers {
		list[i] = fmt.Sprintf("%s %s", p.Name, p.State)
		if p.State != gossip.Alive {
			list[i] += " since " + when(p.Since)
		} else if p.RTT > 0 {
			list[i] += " " + milliseconds(p.RTT)
		}
	}
	return mesh.Count(len(s.Peers), "peer") + ": " + strings.Join(list, ", ")
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
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
