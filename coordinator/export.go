package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/export"
	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const exportLong = `
Export copies the public site of the running coordinator into DIR as static files for any web server:
pages, feeds, calendar, badges and the answers of the API that need no query. Links between pages are
relative, so that DIR may be served below any path. Readers see the copy before or the one after, and
only files that changed are written again. With --watch it goes on until it is interrupted.

Each page says "Copy of 20:20 UTC", and warns when that is a quarter of an hour ago. Write notice.md
into DIR, in Markdown, and its text stands on top of every page: on the day the coordinator is dead,
export shows it on the copy that DIR has.`

const exportExample = `  coordinator export /var/www/status
  coordinator export /var/www/status --watch`

func newExportCommand() *cobra.Command {
	var data string
	var watch bool
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Copy the status site into static files", Long: exportLong, Example: exportExample,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			base, site := admin.Site(client)
			e, err := export.Open(args[0], &mirror.Origin{Base: base, Client: site})
			if err != nil {
				return err
			}
			defer e.Close()
			if watch {
				return e.Watch(cmd.Context(), command.NewLogger(cmd))
			}
			return exportOnce(cmd, e)
		},
	}
	dataFlag(cmd, &data)
	command.AddLogFlag(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "keep the copy up to date until interrupted")
	return cmd
}

// exportOnce brings the copy up to date. Without a coordinator it still shows the notice, and fails all the same.
func exportOnce(cmd *cobra.Command, e *export.Exporter) error {
	report, err := e.Export(cmd.Context(), true)
	if err != nil {
		var request *url.Error
		if errors.As(err, &request) {
			err = request.Err // the address on the socket says nothing to people
		}
		announced, failed := e.Announce()
		if announced {
			err = fmt.Errorf("%w; the copy stays as it was, with the notice as it is now", err)
		}
		return errors.Join(err, failed)
	}
	fmt.Fprintf(command.Printable(cmd.OutOrStdout()), "%s in %s: %d written, %d removed\n",
		mesh.Count(report.Files, "file"), e.Dir, report.Written, report.Removed)
	return errors.Join(report.Failed...)
}
