package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
)

const tokenLong = `
A token lets a program read and write what people do through /api/v1: posts, incidents and
maintenance. The program sends it in the header "Authorization: Bearer TOKEN". The coordinator
stores a digest of it alone, so that it cannot be shown again.`

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Add, list and revoke tokens for the API", Long: tokenLong,
		Example: "  coordinator token add deploy --scope write\n  coordinator token list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenAddCommand(), newTokenListCommand(), newTokenRevokeCommand())
	return cmd
}

func newTokenAddCommand() *cobra.Command {
	var data, scope string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make a token and print it alone",
		Long: `Add makes a token and prints it alone. It is shown this once. NAME says in the audit log who used it.
With the scope read a program reads what operators do; with write it also changes it.`,
		Example: "  coordinator token add deploy --scope write > deploy.token",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if scope != string(operators.Read) && scope != string(operators.Write) {
				return command.Usage(fmt.Errorf("--scope %q: write read or write", scope))
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			token, err := client.Tokens().Add(cmd.Context(), args[0], operators.Scope(scope))
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), token)
			}
			return err
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&scope, "scope", "", "what the token permits: `read|write`")
	return cmd
}

func newTokenListCommand() *cobra.Command {
	return listing[operators.Token]{
		use: "list", short: "List tokens",
		long:    "List prints the tokens' names, scopes and uses, to the hour; revoked ones are last.",
		example: "  coordinator token list\n  coordinator token list --json",
		read: func(ctx context.Context, client *admin.Client) ([]operators.Token, error) {
			return client.Tokens().List(ctx)
		},
		write: writeTokens,
	}.command()
}

func writeTokens(out, _ io.Writer, tokens []operators.Token) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSCOPE\tADDED\tUSED\tREVOKED\tID")
	orNever := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return formatTime(t)
	}
	for _, t := range tokens {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			t.Name, t.Scope, formatTime(t.Created), orNever(t.Used), orNever(t.Revoked), t.ID)
	}
	return table.Flush()
}

func newTokenRevokeCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Revoke a token",
		Long:    "Revoke ends a token at once. Its name stays in the audit log and may be given again.",
		Example: "  coordinator token revoke deploy",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			if err := client.Tokens().Revoke(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(command.Printable(cmd.OutOrStdout()), "%s: revoked\n", args[0])
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

func newAuditCommand() *cobra.Command {
	var data string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Short: "Print who changed what, newest first",
		Long: `Audit prints the changes that people and programs made to what the public reads, to tokens, agents and the
catalog: when, by which token or by a command of this machine, what was done, and to what. A catalog
that came into force because its file changed is not a command.`,
		Example: "  coordinator audit\n  coordinator audit --json --limit 1000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return command.Usage(fmt.Errorf("--limit %d: write a number from 1 to 1000", limit))
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			entries, err := client.Tokens().AuditLog(cmd.Context(), limit)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), append([]ledger.AuditEntry{}, entries...))
			}
			return writeAudit(command.Printable(cmd.OutOrStdout()), entries)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVar(&limit, "limit", 100, "print at most `N` changes, up to 1000")
	return cmd
}

func writeAudit(out io.Writer, entries []ledger.AuditEntry) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tWHO\tWHAT\tID")
	for _, e := range entries {
		name := e.Name
		if name == "" {
			name = e.Actor
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", formatTime(e.At), name, e.Action, e.Object)
	}
	return table.Flush()
}
