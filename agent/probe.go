package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
)

func newProbeCommand() *cobra.Command {
	options := node.ProbeOptions{Timeout: catalog.DefaultTimeout}
	var families []string
	cmd := &cobra.Command{
		Use:   "probe KIND ADDRESS [KEY=VALUE ...]",
		Short: "Probe an address once and print the result",
		Long: "Probe runs one probe as the mesh would: `ping HOST`, `tcp HOST:PORT`, `http URL`, or `HOST[:PORT]` after\n" +
			"tls, smtp, imap, pop3, dns or sip. The keys are those of a check in a catalog, as in certificate_days=14.\n" +
			"A name is probed over IPv4 and over IPv6; in each family one of its addresses has to answer as asked.\n\n" +
			"It exits 0 when every family answered as asked, and 1 when one did not. A family in which the name\n" +
			"has no address, or to which this machine has no route, does not count beside another.",
		Example: "  agent probe ping 127.0.0.1\n  agent probe tcp mail.example.net:25 --banner '^220 '\n" +
			"  agent probe http https://www.example.net/ certificate_days=14",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := node.ParseTarget(options, args[0], args[1], args[2:])
			if err != nil {
				return command.Usage(err)
			}
			target.Agent, target.Version = "probe", command.Version()
			through, err := node.ParseFamilies(target.Address, families)
			if err != nil {
				return command.Usage(err)
			}
			good := node.ProbeOnce(cmd.Context(), target, through, func(sentence string) {
				fmt.Fprintln(command.Printable(cmd.OutOrStdout()), sentence)
			})
			if !good {
				return command.ErrReported
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&options.Timeout, "timeout", options.Timeout, "how long to wait for an answer")
	flags.StringVar(&options.TCP.Banner, "banner", "", "tcp: regular expression that the first line must match")
	flags.IntVar(&options.HTTP.Status, "status", 200, "http: expected status code")
	flags.StringVar(&options.HTTP.Body, "body", "", "http: text that the body must contain")
	flags.StringSliceVar(&families, "families", nil, "address families to probe a name through: ipv4,ipv6")
	flags.IntVar(&options.HTTP.CertificateDays, "certificate-days", 0,
		"http: advise if the certificate ends within so many days")
	return cmd
}
