package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/command"
)

const maintenanceEditLong = `
Edit changes what is given and keeps the rest. --text corrects the announcement, or the update that
--update names; the page shows that it was corrected, and the text before. --start and --end move what
is to come: a maintenance keeps its length unless --end says otherwise. Of one that recurs, name the
occurrence whose times change, by "maintenance list".

With --erase nobody can read what was there before, and it is erased from the disk; --update names the
update if several have a text. Without --text the page says that the text was removed. Backups made
before still have it: see "coordinator backup --help".

TIME is RFC 3339 as in 2026-03-01T02:31:00Z, 02:31 (UTC, the next one to come) or 10m (from now).`

// maintenanceEditFlags are the flags of `maintenance edit`.
type maintenanceEditFlags struct {
	data, title, text, textFile, start, end, category string
	tags                                              []string
	editorial.MaintenanceEdit
}

func newMaintenanceEditCommand() *cobra.Command {
	var f maintenanceEditFlags
	cmd := &cobra.Command{
		Use: "edit ID", Short: "Correct a maintenance, or move it", Long: maintenanceEditLong,
		Example: `  coordinator maintenance edit x7k2m4 --title "A new disk for mail" --start 03:00
  coordinator maintenance edit x7k2m4 --update k3v9w2 --erase`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	dataFlag(cmd, &f.data)
	cmd.Flags().StringVar(&f.title, "title", "", "the `TITLE`, one line")
	textFlags(cmd, &f.text, &f.textFile)
	cmd.Flags().StringVar(&f.Update, "update", "",
		"the `ID` of the update that is corrected, by \"maintenance list --json\"")
	cmd.Flags().StringArrayVar(&f.tags, "tag", nil, "a `TAG` instead of those before; repeat it for several")
	cmd.Flags().StringVar(&f.category, "category", "", "the `CATEGORY`, as in mail")
	cmd.Flags().StringVar(&f.start, "start", "", "the `TIME` at which it starts")
	cmd.Flags().StringVar(&f.end, "end", "", "the `TIME` at which it ends")
	cmd.Flags().BoolVar(&f.Erase, "erase", false, "erase what was there before")
	cmd.Flags().BoolVar(&f.Preview, "preview", false, "print the page's text and write nothing")
	return cmd
}

func (f *maintenanceEditFlags) run(cmd *cobra.Command, id string) (err error) {
	given := cmd.Flags().Changed
	texted := given("text") || given("text-file")
	if !texted && !given("title") && !given("tag") && !given("category") && !given("start") && !given("end") && !f.Erase {
		return command.Usage(errors.New(
			"nothing to change: give --text, --title, --tag, --category, --start, --end or --erase"))
	}
	if f.Start, f.End, err = parsePeriod(f.start, f.end, time.Now()); err != nil {
		return command.Usage(err)
	}
	text, err := readTextOf(cmd.InOrStdin(), f.text, f.textFile)
	if err != nil {
		return err
	}
	f.ID, f.Title, f.Text = id, ifGiven(given("title"), f.title), ifGiven(texted, text)
	f.Tags, f.Category = ifGiven(given("tag"), f.tags), ifGiven(given("category"), f.category)
	client, err := newClient(cmd, f.data)
	if err != nil {
		return err
	}
	out, err := admin.EditMaintenance(cmd.Context(), client, f.MaintenanceEdit)
	if err != nil {
		return err
	}
	w := command.Printable(cmd.OutOrStdout())
	if f.Preview {
		_, err = fmt.Fprint(w, out.Entry.Page())
		return err
	}
	fmt.Fprintf(w, "%s: %s, from %s to %s\n", id, out.Entry.State, formatTime(out.Entry.Start),
		formatTime(out.Entry.End))
	if out.Removal != nil {
		fmt.Fprintf(w, "%s: %s\n", id, outcomeOf(*out.Removal, "erased"))
	}
	return nil
}
