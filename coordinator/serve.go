package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
)

func newServeCommand() *cobra.Command {
	var c node.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the coordinator: the bus, the judge, the status page and the operators' view",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBusFlags(c, cmd.Flags().Changed); err != nil {
				return command.Usage(err)
			}
			if err := c.Validate(); err != nil {
				return command.Usage(err)
			}
			c.Version, c.LoopTurned, c.DiskReserve = command.Version(), command.NewWatchdog().Alive, true
			c.Logger = command.NewLogger(cmd)
			n, err := node.Open(cmd.Context(), c)
			if err != nil {
				return usageIfMistakes(err)
			}
			defer n.Close()
			c.Logger.Info().Stringer("page", n.PublicAddr()).Stringer("ops", n.OpsAddr()).Str("data", c.Data).Msg("the coordinator runs")
			return n.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.CatalogFile, "catalog", "", "the catalog's file, put in force at start and whenever it changes; without it, `coordinator apply` is the way")
	dataFlag(cmd, &c.Data)
	command.AddLogFlag(cmd)
	flags.StringVar(&c.Listen, "listen", ":8080", "public address of the status page")
	flags.StringVar(&c.OpsListen, "ops", "127.0.0.1:8081", "address of the operators' view; loopback only")
	flags.StringVar(&c.NATSListen, "nats-listen", ":4222", "address where agents connect")
	flags.StringSliceVar(&c.NATSServers, "nats", nil, "servers of a NATS cluster that `coordinator nats-config` configured, as in tls://nats-1.example.net:4222; without it the bus is in this process")
	flags.StringVar(&c.Advertise, "advertise", "", "address or name that tokens name, with or without a port (default the machine's first global address)")
	flags.StringVar(&c.Heartbeat.URL, "heartbeat-url", "", "address outside that is asked regularly while the coordinator judges, so that its silence says that it does not")
	flags.DurationVar(&c.Heartbeat.Every, "heartbeat-every", time.Minute, "how often --heartbeat-url is asked")
	flags.StringVar(&c.TLSCert, "tls-cert", "", "certificate of --listen, PEM; without it plain HTTP")
	flags.StringVar(&c.TLSKey, "tls-key", "", "key of --tls-cert, PEM")
	return cmd
}

// checkBusFlags refuses flags that configure the server in this process when a cluster is named instead.
func checkBusFlags(c node.Config, changed func(flag string) bool) error {
	if len(c.NATSServers) > 0 && slices.ContainsFunc([]string{"nats-listen", "advertise"}, changed) {
		return errors.New("--nats names a cluster, which listens itself: leave --nats-listen and --advertise out")
	}
	return nil
}

// usageIfMistakes marks the mistakes of a catalog as wrong usage: the error itself says where they are.
func usageIfMistakes(err error) error {
	var mistakes catalog.Mistakes
	if errors.As(err, &mistakes) {
		return command.Usage(err)
	}
	return err
}
