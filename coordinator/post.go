package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
)

const postLong = `
A post is news that is neither an incident nor maintenance. Its text is Markdown. An edit keeps the
text before, for operators. Deleting a post erases all its texts, on the disk too; only its id, its
tags and its times stay. Backups made before still have them: see "coordinator backup --help".`

func newPostCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "post", Short: "Publish, edit, delete and list posts", Long: postLong,
		Example: "  coordinator post publish --title \"New rack\" --text \"Two servers joined.\" --tag mail",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPostPublishCommand(), newPostEditCommand(), newPostDeleteCommand(), newPostListCommand())
	return cmd
}

// postFlags are what describes a post.
type postFlags struct {
	data, textFile string
	preview        bool
	editorial.Draft
}

func (f *postFlags) add(cmd *cobra.Command) {
	dataFlag(cmd, &f.data)
	cmd.Flags().StringVar(&f.Title, "title", "", "the `TITLE`, one line")
	textFlags(cmd, &f.Text, &f.textFile)
	cmd.Flags().BoolVar(&f.preview, "preview", false, "print the page's text and write nothing")
	cmd.Flags().StringArrayVar(&f.Tags, "tag", nil, "a `TAG`, as in smtp; repeat it for several")
	cmd.Flags().StringVar(&f.Category, "category", "", "the `CATEGORY`, as in mail")
	cmd.Flags().StringArrayVar(&f.Hosts, "host", nil, "a `HOST` that the post is about; repeat it for several")
}

// textReadMax bounds what is read from standard input: more than any post may have.
const textReadMax = 1 << 20

func (f *postFlags) readText(in io.Reader) (err error) {
	f.Text, err = readTextOf(in, f.Text, f.textFile)
	return err
}

func newPostPublishCommand() *cobra.Command {
	var f postFlags
	cmd := &cobra.Command{
		Use: "publish", Short: "Publish a post and print its id",
		Long:    "Publish publishes a post at once and prints its id alone.",
		Example: "  cat news.md | coordinator post publish --title \"New rack\" --text -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.readText(cmd.InOrStdin()); err != nil {
				return err
			}
			client, err := newClient(cmd, f.data)
			if err != nil {
				return err
			}
			if f.preview {
				return printPreview(cmd)(admin.PreviewPost(cmd.Context(), client, f.Draft))
			}
			id, err := client.PublishPost(cmd.Context(), f.Draft)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), id)
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func newPostEditCommand() *cobra.Command {
	var f postFlags
	var showBefore bool
	cmd := &cobra.Command{
		Use: "edit ID", Short: "Change a post",
		Long:    "Edit changes what is given and keeps the rest. Operators can still read the text before.",
		Example: "  coordinator post edit x7k2m4 --text \"Three servers joined.\" --show-before",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.readText(cmd.InOrStdin()); err != nil {
				return err
			}
			e := editorial.Edit{ID: args[0], ShowBefore: showBefore}
			given := cmd.Flags().Changed
			texted := given("text") || given("text-file")
			e.Title, e.Text, e.Category = ifGiven(given("title"), f.Title), ifGiven(texted, f.Text),
				ifGiven(given("category"), f.Category)
			e.Tags, e.Hosts = ifGiven(given("tag"), f.Tags), ifGiven(given("host"), f.Hosts)
			if e == (editorial.Edit{ID: args[0]}) {
				return command.Usage(fmt.Errorf("nothing to change: give --title, --text, --tag, --category or --host"))
			}
			client, err := newClient(cmd, f.data)
			if err != nil {
				return err
			}
			if f.preview {
				return printPreview(cmd)(admin.PreviewEdit(cmd.Context(), client, e))
			}
			return client.EditPost(cmd.Context(), e)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&showBefore, "show-before", false, "let the public read the text before, too")
	return cmd
}

// printPreview returns what prints a preview.
func printPreview(cmd *cobra.Command) func(editorial.PostPreview, error) error {
	return func(p editorial.PostPreview, err error) error {
		if err == nil {
			_, err = fmt.Fprint(command.Printable(cmd.OutOrStdout()), p.Page)
		}
		return err
	}
}

func ifGiven[T any](given bool, value T) *T {
	if !given {
		return nil
	}
	return &value
}

func newPostDeleteCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Remove a post and erase its texts",
		Long: `Delete removes a post and erases its texts from the disk. It says so if that is not complete yet.
A backup that was made before still has the text: restore it with --removals of a later backup.`,
		Example: "  coordinator post delete x7k2m4",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			removal, err := client.RemovePost(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			outcome := outcomeOf(removal, "removed and erased")
			if removal.Replicated && !removal.Pending {
				outcome += ": repeat the command to see whether it is erased"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], outcome)
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

// outcomeOf says what became of a text that was removed; erased is for one of which nothing is left.
func outcomeOf(r editorial.Removal, erased string) string {
	switch {
	case r.Pending:
		return "removed; its text is not erased yet: the coordinator tries again, and `status` names it until then"
	case r.Replicated:
		return "removed; the NATS servers' logs keep its text until each has written its next snapshot, " +
			"some minutes from now"
	}
	return erased
}

func newPostListCommand() *cobra.Command {
	return listing[ledger.Post]{
		use: "list", short: "List posts",
		long: `List prints the newest 1,000 posts, newest first. With --json it prints
the texts too, also those before each edit.`,
		example: "  coordinator post list\n  coordinator post list --json",
		read:    func(ctx context.Context, client *admin.Client) ([]ledger.Post, error) { return client.Posts(ctx) },
		write:   writePosts,
	}.command()
}

func writePosts(out, _ io.Writer, posts []ledger.Post) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPUBLISHED\tTAGS\tTITLE")
	for _, p := range posts {
		title := ""
		switch {
		case !p.Removed.IsZero():
			title = "(removed at " + p.Removed.Format(time.RFC3339) + ")"
		case len(p.Texts) == 0 || p.Texts[0].Missing:
			title = "(the text is lost)"
		default:
			title = p.Texts[0].Title
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.ID, formatTime(p.Published), strings.Join(p.Tags, ","), title)
	}
	return table.Flush()
}
