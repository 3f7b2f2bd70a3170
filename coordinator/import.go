package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/blog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const importLong = `
Import publishes the posts of a blog with their dates, tags, categories and addresses: links to them
lead to where they are now. It reads WordPress's export (WXR), or an RSS, Atom or JSON feed, from a
file or an address. Drafts, private posts, pages, attachments and comments are counted and left out.

A post whose title begins with the name of a public host is tied to that host. Images are not copied:
texts have links to them. Importing again imports what is new.`

// importer is one run of the command.
type importer struct {
	data          string
	dryRun, group bool
}

func newImportCommand() *cobra.Command {
	var i importer
	cmd := &cobra.Command{
		Use: "import FILE|FEED", Short: "Import the posts of a blog", Long: importLong,
		Example: "  coordinator import blog.xml --dry-run\n  coordinator import https://blog.example.net/feed/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readExport(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			export, err := blog.Parse(data)
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			client, err := newClient(cmd, i.data)
			if err != nil {
				return err
			}
			return i.run(cmd.Context(), client, export, command.Printable(cmd.OutOrStdout()))
		},
	}
	dataFlag(cmd, &i.data)
	cmd.Flags().BoolVar(&i.dryRun, "dry-run", false, "report what would be imported, and import nothing")
	cmd.Flags().BoolVar(&i.group, "group", false, "list runs of posts that seem to be updates of one event")
	return cmd
}

const (
	exportMax  = 1 << 30  // bytes of a file
	feedMax    = 64 << 20 // bytes of a feed from elsewhere
	feedWait   = time.Minute
	importStep = 50 // posts of one call
)

// readExport reads a file, or what is at an address.
func readExport(ctx context.Context, from string) ([]byte, error) {
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f, exportMax)
	}
	ctx, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{} // the default client's timeout is that of notifications
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read %s: status %s", from, answer.Status)
	}
	return readBounded(answer.Body, feedMax)
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("there are more than %d MiB: divide the export", limit>>20)
	}
	return data, err
}

func (i importer) run(ctx context.Context, client *admin.Client, x blog.Export, out io.Writer) error {
	var done []editorial.ImportedPost
	for part := range slices.Chunk(x.Posts, importStep) {
		in := editorial.Import{DryRun: i.dryRun}
		for _, p := range part {
			in.Posts = append(in.Posts, editorial.Imported{
				Source: p.Source, Title: p.Title, Text: p.Text, Published: p.Published, Tags: p.Tags,
				Category: p.Category, Permalinks: p.Permalinks,
			})
		}
		report, err := admin.ImportPosts(ctx, client, in)
		if err != nil {
			return fmt.Errorf("imported so far: %d of %s; import again for the rest: %w", len(done),
				mesh.Count(len(x.Posts), "post"), err)
		}
		done = append(done, report.Posts...)
	}
	i.report(out, x, done)
	return nil
}

// report writes what became of the posts.
func (i importer) report(out io.Writer, x blog.Export, done []editorial.ImportedPost) {
	added, known, tied := 0, 0, 0
	for n, d := range done {
		switch {
		case d.Refused != "":
			fmt.Fprintf(out, "not imported: %q: %s\n", x.Posts[n].Title, d.Refused)
			continue
		case d.Known:
			known++
		default:
			added++
		}
		if d.Host != "" {
			tied++
		}
	}
	verb := "imported"
	if i.dryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(out, "%s %s, %d %s imported before; %d %s tied to a host\n", mesh.Count(added, "post"), verb,
		known, oneOrMore(known, "was", "were"), tied, oneOrMore(tied, "is", "are"))
	for _, what := range slices.Sorted(maps.Keys(x.LeftOut)) {
		fmt.Fprintf(out, "left out, %s: %d\n", what, x.LeftOut[what])
	}
	for _, note := range x.Notes {
		fmt.Fprintln(out, "note:", note)
	}
	for n, d := range done {
		if len(d.Internal) > 0 {
			fmt.Fprintf(out, "names internal hosts: %q: %s\n", x.Posts[n].Title, strings.Join(d.Internal, ", "))
		}
	}
	if i.dryRun {
		for _, p := range x.Posts {
			for _, image := range p.Images {
				fmt.Fprintf(out, "image: %q: %s\n", p.Title, image)
			}
		}
	}
	if i.group {
		i.reportRuns(out, x, done)
	}
}

// reportRuns lists runs of posts that seem to be updates of one event.
func (i importer) reportRuns(out io.Writer, x blog.Export, done []editorial.ImportedPost) {
	hosts := map[string]string{}
	for n, d := range done {
		hosts[x.Posts[n].Title] = d.Host
	}
	for _, run := range blog.Runs(x.Posts, func(title string) string { return hosts[title] }) {
		first := x.Posts[run[0]]
		fmt.Fprintf(out, "one incident of %s from %s?\n", hosts[first.Title], formatTime(first.Published))
		for _, n := range run {
			p := x.Posts[n]
			fmt.Fprintf(out, "  %s  %s  %s\n", done[n].ID, formatTime(p.Published), p.Title)
		}
	}
}

// oneOrMore returns the form of a verb for a number of things.
func oneOrMore(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
