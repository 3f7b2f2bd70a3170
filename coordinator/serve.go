package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/node"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/command"
)

const serveLong = `
Serve runs the coordinator until it is interrupted: the NATS server that agents connect to, the
judge, the public status page and the operators' view. It needs no other program and keeps all its
state in --data.

With --catalog the file is in force at start and whenever it changes; a file with mistakes is
reported and the catalog in force stays. Without it, "coordinator apply" puts a catalog in force.

If the disk is full at start, the status page shows the history until there is space.

It cannot report its own death: point --heartbeat-url at an external monitor that alerts when
requests stop.`

const serveExample = `  coordinator serve --catalog catalog.yaml
  coordinator serve --catalog catalog.yaml --listen :443 --tls-cert fullchain.pem --tls-key key.pem
  coordinator serve --catalog catalog.yaml --advertise mesh.example.net --heartbeat-url https://ping.example.net/1234
  coordinator serve --catalog catalog.yaml --nats tls://nats-1.example.net:4222,tls://nats-2.example.net:4222`

func newServeCommand() *cobra.Command {
	var c node.Config
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the coordinator",
		Long:    serveLong,
		Example: serveExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBusFlags(c, cmd.Flags().Changed); err != nil {
				return command.Usage(err)
			}
			if err := c.Validate(); err != nil {
				return command.Usage(err)
			}
			// systemd restarts the coordinator if the engine's loop, the one that judges, hangs.
			c.Version, c.LoopTurned, c.DiskReserve = command.Version(), command.NewWatchdog().Alive, true
			c.Logger = command.NewLogger(cmd)
			n, err := node.OpenWhenRoom(cmd.Context(), c)
			switch {
			case err != nil && cmd.Context().Err() != nil:
				return nil // interrupted while it started
			case err != nil:
				return usageIfMistakes(err)
			}
			defer n.Close()
			c.Logger.Info().Stringer("page", n.PublicAddr()).Stringer("ops", n.OpsAddr()).Str("data", c.Data).
				Msg("coordinator started")
			return n.Run(cmd.Context())
		},
	}
	addServeFlags(cmd, &c)
	return cmd
}

// addServeFlags adds the flags, which set the config when the command line is parsed.
func addServeFlags(cmd *cobra.Command, c *node.Config) {
	dataFlag(cmd, &c.Data)
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&c.CatalogFile, "catalog", "",
		"catalog `FILE`, in force at start and whenever it changes (default: what \"coordinator apply\" put in force)")
	flags.StringVar(&c.Listen, "listen", ":8080", "public `ADDRESS` of the status page")
	flags.StringVar(&c.OpsListen, "ops", "127.0.0.1:8081", "`ADDRESS` of the operators' view; loopback only")
	flags.StringVar(&c.MetricsListen, "metrics-listen", "",
		"`ADDRESS` of /metrics for readers with an API token, by TLS with --tls-cert (default: on --ops alone)")
	flags.StringVar(&c.ConsoleURL, "console-url", "",
		"`URL` at which operators reach the operators' view; links in messages lead there (default: the page's url)")
	flags.StringVar(&c.TLSCert, "tls-cert", "",
		"PEM `FILE` with the certificate of --listen and --metrics-listen (default: plain HTTP)")
	flags.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE` with the key of --tls-cert")
	flags.StringVar(&c.NATSListen, "nats-listen", ":4222", "`ADDRESS` that agents connect to")
	flags.StringVar(&c.Advertise, "advertise", "",
		"`ADDRESS` or name in join tokens, with or without a port (default: the machine's first global address)")
	flags.StringSliceVar(&c.NATSServers, "nats", nil,
		"`URLS` of a NATS cluster from \"coordinator nats-config\" (default: a server in this process)")
	flags.StringVar(&c.Heartbeat.URL, "heartbeat-url", "",
		"`URL` of an external monitor that is requested regularly while the coordinator judges")
	flags.DurationVar(&c.Heartbeat.Every, "heartbeat-every", time.Minute,
		"interval between requests to --heartbeat-url")
}

// checkBusFlags refuses flags that configure the server in this process when a cluster is named instead.
func checkBusFlags(c node.Config, changed func(flag string) bool) error {
	if len(c.NATSServers) > 0 && slices.ContainsFunc([]string{"nats-listen", "advertise"}, changed) {
		return errors.New("--nats names a cluster with addresses of its own: leave out --nats-listen and --advertise")
	}
	return nil
}

// usageIfMistakes marks the mistakes of a catalog as wrong usage: the error itself says where they are.
func usageIfMistakes(err error) error {
	var mistakes catalogfile.Mistakes
	if errors.As(err, &mistakes) {
		return command.Usage(err)
	}
	return err
}
