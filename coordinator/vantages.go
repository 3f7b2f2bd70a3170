package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/allowlist"
	"github.com/probemesh/probemesh/pkg/command"
)

const vantagesLong = `
Vantages prints the addresses of all hosts of the catalog in force: any of them may probe. Several
vantages that connect to one mail server look like an attack to fail2ban and postscreen, so let
these addresses in. Names are resolved; a comment names each host whose address is not known. The
formats are sets for nftables, a cidr_table(5) for Postfix's postscreen, a jail.d file for fail2ban,
and plain. Run it again when hosts change.`

// resolveTimeout bounds the resolution of all names together.
const resolveTimeout = 5 * time.Second

func newVantagesCommand() *cobra.Command {
	var data, format string
	cmd := &cobra.Command{
		Use:   "vantages",
		Short: "Print the addresses that probes come from",
		Long:  vantagesLong,
		Example: "  coordinator vantages --format nft | nft -f -\n" +
			"  coordinator vantages --format postfix >/etc/postfix/postscreen_access.cidr\n" +
			"  coordinator vantages --format fail2ban >/etc/fail2ban/jail.d/probemesh.local",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, known := allowlist.Formats[format]
			if !known {
				return command.Usage(fmt.Errorf("--format %s: write %s", format, allowlist.FormatNames))
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			state, err := client.State(cmd.Context(), time.Time{})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), resolveTimeout)
			defer cancel()
			write(cmd.OutOrStdout(), allowlist.Collect(ctx, state.Catalog, net.DefaultResolver.LookupNetIP))
			return nil
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&format, "format", "plain", "write the `FORMAT` "+allowlist.FormatNames)
	return cmd
}
