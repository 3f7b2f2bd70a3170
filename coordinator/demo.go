package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/demo"
	"github.com/probemesh/probemesh/deploy/examples"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
)

func newDemoCommand() *cobra.Command {
	var a addresses
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole mesh on this machine, with ten hosts to break: nothing to set up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if length > 0 {
				ctx, cancel = context.WithTimeout(ctx, length)
			}
			defer cancel()
			log := command.NewLogger(cmd.ErrOrStderr()).Level(zerolog.WarnLevel)
			return runDemo(ctx, cmd.OutOrStdout(), a, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&a.listen, "listen", "127.0.0.1:8080", "address of the status page and the panel")
	flags.StringVar(&a.ops, "ops", "127.0.0.1:8081", "address of the operators' view; loopback only")
	flags.DurationVar(&length, "for", 0, "end after this time; 0: when told to stop")
	return cmd
}

// runDemo is the mesh in one process: a coordinator as serve has it, and the demo's hosts with their agents.
func runDemo(ctx context.Context, out io.Writer, a addresses, log zerolog.Logger) error {
	if !loopback(a.ops) {
		return command.Usage(fmt.Errorf("--ops %s: the operators' view has no sign-in yet: use 127.0.0.1", a.ops))
	}
	source, err := catalog.Parse("ninernet.yaml", examples.Ninernet, os.LookupEnv)
	if err != nil {
		return err
	}
	dir, remove, err := demo.TemporaryDir()
	if err != nil {
		return err
	}
	defer remove()
	hosts, err := demo.New(source, log)
	if err != nil {
		return err
	}
	defer hosts.Close()
	n, err := openNode(ctx, nodeConfig{data: dir, nats: "127.0.0.1:0", advertise: "127.0.0.1", catalog: hosts.Catalog(), log: log})
	if err != nil {
		return err
	}
	defer n.Close()
	return serveDemo(ctx, out, n, hosts, a, dir, log)
}

func serveDemo(ctx context.Context, out io.Writer, n *node, hosts *demo.Demo, a addresses, dir string, log zerolog.Logger) error {
	socket, err := n.control(dir)
	if err != nil {
		return err
	}
	defer socket.Close()
	public, ops, err := openSites(n, a, hosts.Panel(n), log)
	if err != nil {
		return err
	}
	defer public.Close()
	defer ops.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(ctx, socket, public, ops) })
	g.Go(func() error { return hosts.Run(ctx, dir, command.Version(), n.Invite) })
	tell(out, public.Addr(), ops.Addr(), hosts.Reduced())
	if err := g.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tell says in four lines where to look and what to try.
func tell(out io.Writer, public, ops net.Addr, reduced string) {
	fmt.Fprintf(out, "status page       http://%s/\n", public)
	fmt.Fprintf(out, "break something   http://%s/demo/\n", public)
	fmt.Fprintf(out, "operators' view   http://%s/\n", ops)
	fmt.Fprintf(out, "try this          curl -d '{\"fault\": \"service\", \"host\": \"NC036\", \"check\": \"Sending mail\"}' http://%s/demo/faults\n", public)
	if reduced != "" {
		fmt.Fprintf(out, "reduced           %s\n", reduced)
	}
}
