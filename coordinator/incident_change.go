package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
)

const (
	resolveLong = `Resolve ends an open incident. While the mesh still measures a failure of its hosts, the page
says "monitoring"; it says "resolved" as soon as everything works.`
	reopenLong     = `Reopen continues a resolved incident: the outage came back, or was not over.`
	postmortemLong = `Postmortem explains a resolved incident: what happened, why, and what will prevent it.`
)

func newIncidentUpdateCommand() *cobra.Command {
	var f incidentFlags
	var u editorial.Update
	var status, impact string
	cmd := &cobra.Command{
		Use: "update ID", Short: "Write an update of an open incident",
		Long: `Update adds a text to an open incident, and sets its status: investigating, identified,
monitoring or resolved. An incident that the mesh opened is taken over by it.`,
		Example: "  coordinator incident update x7k2m4 --status identified --text \"A full disk.\" --next-update 1h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			reported := []incident.State{
				incident.Investigating, incident.Identified, incident.Monitoring, incident.Resolved,
			}
			if status != string(incident.Postmortem) { // of which the coordinator says how to write it
				if err := oneOf("status", incident.State(status), reported); err != nil {
					return err
				}
			}
			if err := oneOf("impact", incident.Impact(impact), incident.Impacts); err != nil {
				return err
			}
			return f.run(cmd, "update", func(text string) any {
				u.ID, u.Text, u.Status, u.Impact = args[0], text, incident.State(status), incident.Impact(impact)
				u.Preview = f.preview
				return u
			}, false)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&status, "status", "", "investigating, identified, monitoring or resolved (default as before)")
	cmd.Flags().StringVar(&impact, "impact", "", "none, minor, major or critical (default as before)")
	cmd.Flags().StringArrayVar(&u.Hosts, "host", nil, "a `HOST` that is affected as well; repeat it for several")
	cmd.Flags().StringArrayVar(&u.Checks, "check", nil, "a `CHECK` of those hosts; repeat it for several")
	nextUpdateFlag(cmd, &u.NextUpdate)
	templateFlag(cmd, &u.Template)
	return cmd
}

// newIncidentNoteCommand makes a command that takes an incident and a text.
func newIncidentNoteCommand(action, short, long string) *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use: action + " ID", Short: short, Long: long,
		Example: "  coordinator incident " + action + " x7k2m4 --text -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, action, func(text string) any {
				return editorial.Note{ID: args[0], Text: text, Preview: f.preview}
			}, false)
		},
	}
	f.add(cmd)
	return cmd
}

func newIncidentEditCommand() *cobra.Command {
	var f incidentFlags
	var entry, title, impact, category string
	var tags, hosts []string
	var erase bool
	cmd := &cobra.Command{
		Use: "edit ID", Short: "Correct an incident, or erase its texts",
		Long: `Edit changes what is given and keeps the rest. --text corrects the latest update that a person
wrote, or the one that --update names; the page shows that it was corrected, and the text before.

With --erase nobody can read what was there before, and it is erased from the disk: the texts of the
update, which --update names if there are several, or, with --title and without --text and --update,
the titles before. Without --text the page says that the text was removed. Backups made before still
have it: see "coordinator backup --help".`,
		Example: `  coordinator incident edit x7k2m4 --text "The disk of the mail queue is full." --tag smtp
  coordinator incident edit x7k2m4 --update k3v9w2 --erase`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			texted := given("text") || given("text-file")
			if !texted && !given("title") && !given("impact") && !given("tag") && !given("category") && !given("host") &&
				!erase {
				return command.Usage(fmt.Errorf(
					"nothing to change: give --text, --title, --impact, --tag, --category, --host or --erase"))
			}
			if err := oneOf("impact", incident.Impact(impact), incident.Impacts); err != nil {
				return err
			}
			return f.run(cmd, "edit", func(text string) any {
				return editorial.Correction{
					ID: args[0], Entry: entry, Preview: f.preview, Hosts: hosts, Erase: erase,
					Title: ifGiven(given("title"), title), Text: ifGiven(texted, text),
					Impact: ifGiven(given("impact"), incident.Impact(impact)),
					Tags:   ifGiven(given("tag"), tags), Category: ifGiven(given("category"), category),
				}
			}, false)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&entry, "update", "", "the `ID` of the update that is corrected, by \"incident show --json\"")
	cmd.Flags().BoolVar(&erase, "erase", false, "erase what was there before")
	cmd.Flags().StringVar(&title, "title", "", "the `TITLE`, one line")
	cmd.Flags().StringVar(&impact, "impact", "", "none, minor, major or critical")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "a `TAG` instead of those before; repeat it for several")
	cmd.Flags().StringVar(&category, "category", "", "the `CATEGORY`, as in mail")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "a `HOST` that is affected as well; repeat it for several")
	return cmd
}

func newIncidentMergeCommand() *cobra.Command {
	var f incidentFlags
	var into string
	cmd := &cobra.Command{
		Use: "merge ID INTO", Short: "Continue an incident in another one",
		Long: `Merge makes the incident ID a part of the incident INTO: hosts, windows and updates go there, and
the address of ID leads there. INTO keeps its title, and has the worse impact of the two. --into is
the same as the second argument.`,
		Example: "  coordinator incident merge x7k2m4 q9d3f1",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				into = args[1]
			}
			if into == "" {
				return command.Usage(fmt.Errorf("name the incident that continues %s", args[0]))
			}
			return f.run(cmd, "merge", func(string) any {
				return editorial.Merger{ID: args[0], Into: into, Preview: f.preview}
			}, false)
		},
	}
	dataFlag(cmd, &f.data)
	cmd.Flags().StringVar(&into, "into", "", "the `ID` of the incident that continues it")
	cmd.Flags().BoolVar(&f.preview, "preview", false, "print the page's text and write nothing")
	return cmd
}

func newIncidentPublishCommand() *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use: "publish ID", Short: "Show a measured incident to the public now",
		Long: `Publish makes an incident public that the mesh opened, where the catalog says
"incidents: {publish: by_hand}" or a delay. What a person writes is public at once.`,
		Example: "  coordinator incident publish kfbrjffs-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, "publish", func(string) any { return args[0] }, false)
		},
	}
	dataFlag(cmd, &f.data)
	return cmd
}
