package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const statusLong = `
Status prints one line a host: its status, since when, the verdict of each check, and a sentence.
Lines that begin with "!" need attention: problems of the mesh itself, as silent agents, a full disk
or a catalog file with mistakes, and hosts in an outage, with the open incident. The last line counts
the agents that report.`

func newStatusCommand() *cobra.Command {
	return query{
		use: "status", short: "Show every host's status", long: statusLong,
		example: "  coordinator status\n  coordinator status --json",
		args:    cobra.NoArgs,
		value: func(ctx context.Context, client *admin.Client, s admin.State, _ []string) (any, error) {
			out := statusAnswer{
				At: s.Snapshot.At, Hosts: s.Snapshot.Hosts, Alerts: s.Snapshot.Alerts, Problems: s.Problems,
				Incidents: []editorial.Incident{},
			}
			all, err := admin.NewIncidentClient(client).List(ctx)
			if err != nil { // the status of hosts matters more
				out.Problems = append(out.Problems, "incidents are not known: "+err.Error())
			}
			for _, i := range all {
				if i.Resolved.IsZero() && i.Merged == "" {
					out.Incidents = append(out.Incidents, i)
				}
			}
			return out, nil
		},
		text: func(out io.Writer, s admin.State, value any, _ int) error {
			return writeStatus(out, s, value.(statusAnswer))
		},
	}.command()
}

// statusAnswer is what --json prints.
type statusAnswer struct {
	At        time.Time            `json:"at"`
	Hosts     []mesh.HostState     `json:"hosts"`
	Alerts    []string             `json:"alerts"`
	Problems  []string             `json:"problems"`
	Incidents []editorial.Incident `json:"incidents"` // that are open
}

// writeFailing prints a line for each host in an outage.
func (a statusAnswer) writeFailing(out io.Writer) {
	for _, h := range a.Hosts {
		switch h.Status {
		case mesh.DegradedPerformance, mesh.PartialOutage, mesh.MajorOutage:
		default:
			continue
		}
		which := "no incident is open"
		n := slices.IndexFunc(a.Incidents, func(i editorial.Incident) bool { return slices.Contains(i.Hosts, h.Name) })
		if n >= 0 {
			which = fmt.Sprintf("incident %s (%s)", a.Incidents[n].ID, a.Incidents[n].Title)
		}
		fmt.Fprintf(out, "! %s: %s since %s, %s\n", h.Name, strings.ReplaceAll(string(h.Status), "_", " "),
			formatTime(h.Since), which)
	}
}

// writeStatus prints the mesh's own problems before the hosts, since they may explain what the hosts show.
func writeStatus(out io.Writer, s admin.State, a statusAnswer) error {
	for _, line := range slices.Concat(a.Problems, a.Alerts) {
		fmt.Fprintln(out, "!", line)
	}
	a.writeFailing(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tSTATUS\tSINCE\tCHECKS\tSENTENCE")
	for _, h := range s.Snapshot.Hosts {
		var checks []string
		for _, c := range h.Checks {
			checks = append(checks, fmt.Sprintf("%s %s", c.Name, c.Verdict))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			h.Name, h.Status, formatTime(h.Since), strings.Join(checks, ", "), h.Sentence)
	}
	connected := 0
	for _, v := range s.Snapshot.Vantages {
		if !v.Silent && !v.LastBatch.IsZero() {
			connected++
		}
	}
	fmt.Fprintf(table, "\n%d of %s connected; as of %s\n",
		connected, mesh.Count(len(s.Snapshot.Vantages), "agent"), formatTime(s.Snapshot.At))
	return table.Flush()
}
