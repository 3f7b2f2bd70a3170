package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/coordinator/page"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
)

// addresses are where a coordinator listens.
type addresses struct {
	listen, ops      string
	certificate, key string // of --listen; empty: plain HTTP
}

func newServeCommand() *cobra.Command {
	var c nodeConfig
	var a addresses
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the coordinator: the bus, the judge, the status page and the operators' view",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.turn = command.NewWatchdog().Turn
			c.log, c.reserve = command.NewLogger(cmd.ErrOrStderr()), true
			if c.deadMan.URL != "" {
				if err := heartbeat.Check(c.deadMan.URL, c.deadMan.Every); err != nil {
					return command.Usage(err)
				}
			}
			if err := c.checkBus(cmd.Flags().Changed); err != nil {
				return command.Usage(err)
			}
			return serve(cmd.Context(), c, a)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.file, "catalog", "", "the catalog's file, put in force at start and whenever it changes; without it, `coordinator apply` is the way")
	dataFlag(cmd, &c.data)
	flags.StringVar(&a.listen, "listen", ":8080", "public address of the status page")
	flags.StringVar(&a.ops, "ops", "127.0.0.1:8081", "address of the operators' view; loopback only")
	flags.StringVar(&c.nats, "nats-listen", ":4222", "address where agents connect")
	flags.StringSliceVar(&c.external, "nats", nil, "servers of a NATS cluster that `coordinator nats-config` configured, as in tls://nats-1.example.net:4222; without it the bus is in this process")
	flags.StringVar(&c.advertise, "advertise", "", "address or name that tokens name, with or without a port (default the machine's first global address)")
	flags.StringVar(&c.deadMan.URL, "dead-man", "", "address outside that is asked regularly while the coordinator judges, so that its silence says that it does not")
	flags.DurationVar(&c.deadMan.Every, "dead-man-every", time.Minute, "how often --dead-man is asked")
	flags.StringVar(&a.certificate, "tls-cert", "", "certificate of --listen, PEM; without it plain HTTP")
	flags.StringVar(&a.key, "tls-key", "", "key of --tls-cert, PEM")
	return cmd
}

func serve(ctx context.Context, c nodeConfig, a addresses) error {
	if !loopback(a.ops) {
		return command.Usage(fmt.Errorf("--ops %s: the operators' view shows internal hosts and has no sign-in yet: use 127.0.0.1 and reach it through an SSH tunnel", a.ops))
	}
	n, err := openNode(ctx, c)
	if err != nil {
		return wrongCatalog(err)
	}
	defer n.Close()
	socket, err := n.control(c.data)
	if err != nil {
		return err
	}
	defer socket.Close()
	public, ops, err := openSites(n, a, nil, c.log)
	if err != nil {
		return err
	}
	defer public.Close()
	defer ops.Close()
	c.log.Info().Str("page", public.Addr().String()).Str("ops", ops.Addr().String()).Str("data", c.data).Msg("the coordinator runs")
	return n.Run(ctx, socket, public, ops)
}

// wrongCatalog makes a catalog with mistakes a wrong use of the command: its mistakes say where they are.
func wrongCatalog(err error) error {
	var mistakes catalog.Mistakes
	if errors.As(err, &mistakes) {
		return command.Usage(err)
	}
	return err
}

// openSites listens on the two addresses for people. panel is served at /demo/ where there is one.
func openSites(n *node, a addresses, panel http.Handler, log zerolog.Logger) (public, ops listening, err error) {
	var links []page.Link
	if panel != nil {
		links = append(links, page.Link{Name: "Break something", URL: "/demo/"})
	}
	named := log.With().Str("component", "page").Logger()
	site := page.New(page.Config{Source: n, Audience: page.Public, Links: links, Logger: named})
	if panel != nil {
		mux := http.NewServeMux()
		mux.Handle("/demo/", panel)
		mux.Handle("/", site)
		site = mux
	}
	if public, err = listen(a.listen, site); err != nil {
		return public, ops, err
	}
	if public, err = public.secured(a.certificate, a.key); err != nil {
		return public, ops, err
	}
	inside := page.New(page.Config{Source: n, Audience: page.Operators, Logger: named})
	ops, err = listen(a.ops, console.New(console.Config{Source: n, Page: inside, Disk: n.disk, Version: command.Version(), Logger: log.With().Str("component", "console").Logger()}))
	if err != nil {
		public.Close()
	}
	return public, ops, err
}
