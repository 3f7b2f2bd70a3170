package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/httpserver"
	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/replica"
	"github.com/probemesh/probemesh/pkg/command"
)

const replicaLong = `
Replica serves a read-only copy of another coordinator's status page, which it follows by the public
HTTP API: pages, feeds, badges, the API's answers and live updates. It needs no right there. Run it in
another place, so that clients can read what is known when the coordinator cannot be reached.

It keeps the copy in --data, and serves it after a restart too. When it has heard nothing for 15
seconds, every page says "Out of date: as of 20:20 UTC", and no badge or API answer says that
something works.`

const replicaExample = `  coordinator replica --from https://status.example.net
  coordinator replica --from https://status.example.net --data /var/lib/status --listen 127.0.0.1:9080
  coordinator replica --from https://status.example.net --listen :443 --tls-cert fullchain.pem --tls-key key.pem`

// replicaFlags are the command's flags.
type replicaFlags struct{ from, data, listen, cert, key string }

func newReplicaCommand() *cobra.Command {
	var f replicaFlags
	cmd := &cobra.Command{
		Use: "replica --from URL", Short: "Serve a copy that follows a status page", Long: replicaLong,
		Example: replicaExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := siteAddress(f.from)
			if err != nil {
				return command.Usage(err)
			}
			if err := httpserver.CheckFiles(f.cert, f.key); err != nil {
				return command.Usage(err)
			}
			logger := command.NewLogger(cmd)
			r, err := replica.Open(replica.Config{
				Origin: &mirror.Origin{Base: base, Client: mirror.NewClient()}, Dir: f.data, Logger: logger,
			})
			if err != nil {
				return err
			}
			return runReplica(cmd.Context(), r, f, logger)
		},
	}
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "`URL` of the status page to follow")
	flags.StringVar(&f.data, "data", command.StateDirectory("replica"), "`DIRECTORY` of the copy")
	flags.StringVar(&f.listen, "listen", ":8080", "public `ADDRESS` of the copy")
	flags.StringVar(&f.cert, "tls-cert", "", "PEM `FILE` with the certificate of --listen (default: plain HTTP)")
	flags.StringVar(&f.key, "tls-key", "", "PEM `FILE` with the key of --tls-cert")
	return cmd
}

// siteAddress parses the address of a status page.
func siteAddress(from string) (*url.URL, error) {
	if from == "" {
		return nil, errors.New("--from is missing: the URL of the status page to follow")
	}
	u, err := url.Parse(strings.TrimRight(from, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" ||
		u.User != nil {
		return nil, errors.New("--from: write the URL of a status page without a password, as in https://status.example.net")
	}
	return u, nil
}

// runReplica follows the original and answers readers until ctx ends.
func runReplica(ctx context.Context, r *replica.Replica, c replicaFlags, logger zerolog.Logger) error {
	// A replica has no operators to warn: its log has it.
	certificates, err := httpserver.TLS(c.cert, c.key, logger, func(string) {})
	if err != nil {
		return err
	}
	server := httpserver.New(r.Handler(), logger)
	l, err := httpserver.Listen(c.listen, certificates, server)
	if err != nil {
		return err
	}
	logger.Info().Stringer("page", l.Addr()).Msg("replica started")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return httpserver.Serve(ctx, l, server) })
	return g.Wait()
}
