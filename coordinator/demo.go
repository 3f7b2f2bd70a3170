package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/demo"
	"github.com/probemesh/probemesh/pkg/command"
)

func newDemoCommand() *cobra.Command {
	var c demo.Config
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
			c.Version, c.Logger = command.Version(), command.NewLogger(cmd).Level(zerolog.WarnLevel)
			return runDemo(ctx, cmd.OutOrStdout(), c)
		},
	}
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address of the status page and the panel")
	flags.StringVar(&c.OpsListen, "ops", "127.0.0.1:8081", "address of the operators' view; loopback only")
	flags.DurationVar(&length, "for", 0, "end after this time; 0: when told to stop")
	return cmd
}

// runDemo runs a demonstration until ctx ends. It prints in four lines what to open and what to try.
func runDemo(ctx context.Context, out io.Writer, c demo.Config) error {
	d, err := demo.Open(ctx, c)
	if err != nil {
		return err
	}
	defer d.Close()
	public := d.PublicAddr()
	fmt.Fprintf(out, "status page       http://%s/\n", public)
	fmt.Fprintf(out, "break something   http://%s/demo/\n", public)
	fmt.Fprintf(out, "operators' view   http://%s/\n", d.OpsAddr())
	fmt.Fprintf(out, "try this          curl -d '{\"fault\": \"service\", \"host\": \"NC036\", \"check\": \"Sending mail\"}' http://%s/demo/faults\n", public)
	if reduced := d.Reduced(); reduced != "" {
		fmt.Fprintf(out, "reduced           %s\n", reduced)
	}
	return d.Run(ctx)
}
