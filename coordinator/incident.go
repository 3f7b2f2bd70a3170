package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
)

const incidentLong = `
An incident has two states side by side: what the mesh measures, and what people say. The mesh opens
and resolves incidents by itself; once a person has written about one, a person resolves it. Downtime
is always measured. Texts are Markdown and public at once, if the host is public.`

func newIncidentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "incident", Short: "Open, update, resolve and list incidents", Long: incidentLong,
		Example: "  coordinator incident open --host NC036 --title \"Mail is delayed\" --text \"We look into it.\"\n" +
			"  coordinator incident list",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newIncidentListCommand(), newIncidentShowCommand(), newIncidentOpenCommand(), newIncidentUpdateCommand(),
		newIncidentNoteCommand("resolve", "Resolve an incident", resolveLong),
		newIncidentNoteCommand("reopen", "Open a resolved incident again", reopenLong),
		newIncidentNoteCommand("postmortem", "Explain a resolved incident", postmortemLong),
		newIncidentEditCommand(), newIncidentMergeCommand(), newIncidentPublishCommand(),
	)
	return cmd
}

// incidentFlags are what commands on incidents have in common.
type incidentFlags struct {
	data, text, textFile string
	preview              bool
}

func (f *incidentFlags) add(cmd *cobra.Command) {
	dataFlag(cmd, &f.data)
	textFlags(cmd, &f.text, &f.textFile)
	cmd.Flags().BoolVar(&f.preview, "preview", false, "print the page's text and write nothing")
}

// run sends a command, after reading its text, and prints the outcome: that the id is printed alone is for scripts.
func (f *incidentFlags) run(cmd *cobra.Command, action string, build func(text string) any, printID bool) error {
	text, err := readTextOf(cmd.InOrStdin(), f.text, f.textFile)
	if err != nil {
		return err
	}
	client, err := newClient(cmd, f.data)
	if err != nil {
		return err
	}
	out, err := admin.NewIncidentClient(client).Write(cmd.Context(), action, build(text))
	if err != nil {
		return err
	}
	if out.Note != "" {
		fmt.Fprintf(command.Printable(cmd.ErrOrStderr()), "%s: %s\n", out.ID, out.Note)
	}
	if out.Removal != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out.ID, outcomeOf(*out.Removal, "erased"))
	}
	switch {
	case f.preview:
		fmt.Fprint(command.Printable(cmd.OutOrStdout()), out.Page)
	case printID:
		fmt.Fprintln(cmd.OutOrStdout(), out.ID)
	}
	return nil
}

func newIncidentListCommand() *cobra.Command {
	return listing[editorial.Incident]{
		use: "list", short: "List incidents",
		long: `List prints the id, state, hosts and title of the newest 200 incidents, newest first; those of
internal hosts too. Who acknowledged an open one, and what the mesh proposes, follow on standard
error. --json prints everything.`,
		example: "  coordinator incident list\n  coordinator incident list --json",
		read: func(ctx context.Context, client *admin.Client) ([]editorial.Incident, error) {
			return admin.NewIncidentClient(client).List(ctx)
		},
		write: writeIncidents,
	}.command()
}

// writeIncidents prints a table, and as remarks what the mesh proposes.
func writeIncidents(out, remarks io.Writer, all []editorial.Incident) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tHOSTS\tTITLE")
	for _, i := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", i.ID, i.State, strings.Join(i.Hosts, ","), i.Title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, i := range all {
		writeRemarks(remarks, i)
	}
	return nil
}

// writeRemarks prints what operators should know of an open incident beside its page.
func writeRemarks(remarks io.Writer, i editorial.Incident) {
	if i.Acknowledged != nil && i.Resolved.IsZero() {
		fmt.Fprintf(remarks, "%s: acknowledged by %s at %s\n", i.ID, i.Acknowledged.By, formatTime(i.Acknowledged.At))
	}
	if i.Proposal != "" {
		fmt.Fprintf(remarks, "%s: %s\n", i.ID, i.Proposal)
	}
}

func newIncidentShowCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Print an incident as its page shows it",
		Long:    "Show prints the text of an incident's page. --json prints the ids of its updates too, which edit takes.",
		Example: "  coordinator incident show x7k2m4",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			i, err := admin.NewIncidentClient(client).Show(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), i.Incident)
			}
			fmt.Fprint(command.Printable(cmd.OutOrStdout()), i.Page)
			writeRemarks(command.Printable(cmd.ErrOrStderr()), i.Incident)
			return nil
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newIncidentOpenCommand() *cobra.Command {
	var f incidentFlags
	var o editorial.Opening
	var impact string
	cmd := &cobra.Command{
		Use: "open", Short: "Open an incident and print its id",
		Long: `Open opens an incident and prints its id alone. If the mesh's incident of the host is open, it is
taken over: both are one, and an impact below the measured one is left to "incident update". One that
is resolved is not continued: see "incident reopen". All hosts must be public, or all internal.`,
		Example: "  coordinator incident open --host NC036 --title \"Mail is late\" --impact minor --next-update 30m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.Hosts) == 0 {
				return command.Usage(errors.New("--host is needed: name at least one host that the incident affects"))
			}
			if err := oneOf("impact", incident.Impact(impact), incident.Impacts); err != nil {
				return err
			}
			return f.run(cmd, "open", func(text string) any {
				o.Text, o.Impact, o.Preview = text, incident.Impact(impact), f.preview
				return o
			}, true)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&o.Title, "title", "", "the `TITLE`, one line")
	cmd.Flags().StringArrayVar(&o.Hosts, "host", nil, "a `HOST` that is affected; repeat it for several")
	cmd.Flags().StringArrayVar(&o.Checks, "check", nil, "a `CHECK` of the host; repeat it for several (default all)")
	cmd.Flags().StringVar(&impact, "impact", "", "none, minor, major or critical (default the measured one)")
	cmd.Flags().StringArrayVar(&o.Tags, "tag", nil, "a `TAG`, as in smtp; repeat it for several")
	cmd.Flags().StringVar(&o.Category, "category", "", "the `CATEGORY`, as in mail")
	nextUpdateFlag(cmd, &o.NextUpdate)
	templateFlag(cmd, &o.Template)
	return cmd
}

// oneOf returns what is wrong with a value that is given and is none of those that there are.
func oneOf[T ~string](name string, value T, known []T) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	names := make([]string, len(known))
	for n, k := range known {
		names[n] = string(k)
	}
	last := len(names) - 1
	return command.Usage(fmt.Errorf("%s %q: write %s or %s", name, value, strings.Join(names[:last], ", "), names[last]))
}

func nextUpdateFlag(cmd *cobra.Command, next *string) {
	cmd.Flags().StringVar(next, "next-update", "", "promise the next update in a `TIME`: 30m, or 2026-03-01T13:00:00Z")
}

func templateFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "template", "", "start from the template `NAME` of the catalog")
}
