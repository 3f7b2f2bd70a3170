package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/connlimit"
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
  coordinator replica --from https://status.example.net --data /var/lib/status --listen 127.0.0.1:9080`

func newReplicaCommand() *cobra.Command {
	var from, data, listen string
	cmd := &cobra.Command{
		Use: "replica --from URL", Short: "Serve a copy that follows a status page", Long: replicaLong,
		Example: replicaExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := siteAddress(from)
			if err != nil {
				return command.Usage(err)
			}
			logger := command.NewLogger(cmd)
			r, err := replica.Open(replica.Config{
				Origin: &mirror.Origin{Base: base, Client: mirror.NewClient()}, Dir: data, Logger: logger,
			})
			if err != nil {
				return err
			}
			return runReplica(cmd.Context(), r, listen, logger)
		},
	}
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "`URL` of the status page to follow")
	flags.StringVar(&data, "data", command.StateDirectory("replica"), "`DIRECTORY` of the copy")
	flags.StringVar(&listen, "listen", ":8080", "public `ADDRESS` of the copy")
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
		return nil, fmt.Errorf("--from %q: write the URL of a status page, as in https://status.example.net", from)
	}
	return u, nil
}

// runReplica follows the original and answers readers until ctx ends.
func runReplica(ctx context.Context, r *replica.Replica, listen string, logger zerolog.Logger) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	limited := connlimit.New(l, connlimit.Config{})
	requests, endRequests := context.WithCancel(context.Background())
	defer endRequests()
	server := &http.Server{
		Handler: r.Handler(), ReadHeaderTimeout: connlimit.HeaderWait, IdleTimeout: connlimit.IdleWait,
		ErrorLog:    log.New(io.Discard, "", 0), // it has lines about connections alone, of which anybody can cause many
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	limited.Configure(server)
	logger.Info().Stringer("page", l.Addr()).Msg("replica started")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error {
		if err := server.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		endRequests() // event streams would otherwise last until the time is over
		shutdown, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(shutdown) != nil {
			_ = server.Close()
		}
		return nil
	})
	return g.Wait()
}
