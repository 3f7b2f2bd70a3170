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

const demoLong = `
Demo runs a coordinator and ten hosts in one process, each host with real services and an agent, and
a wide area network between them. It needs no setup, and removes its state when it ends. Break
services, hosts, regions or the network on the panel at /demo/, or from a script as it prints, and
watch the status page.`

func newDemoCommand() *cobra.Command {
	var c demo.Config
	var length time.Duration
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Run a whole mesh of ten hosts on this machine",
		Long:    demoLong,
		Example: "  coordinator demo\n  coordinator demo --listen 127.0.0.1:9080 --ops 127.0.0.1:9081 --for 5m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if length > 0 {
				ctx, cancel = context.WithTimeout(ctx, length)
			}
			defer cancel()
			c.Version, c.Logger = command.Version(), command.NewLogger(cmd).Level(zerolog.WarnLevel)
			return runDemo(ctx, command.Printable(cmd.OutOrStdout()), c)
		},
	}
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "`ADDRESS` of the status page and the panel")
	flags.StringVar(&c.OpsListen, "ops", "127.0.0.1:8081", "`ADDRESS` of the operators' view; loopback only")
	flags.DurationVar(&length, "for", 0, "end after this time (default: when interrupted)")
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
	const fault = `{"fault": "service", "host": "NC036", "check": "Sending mail"}`
	fmt.Fprintf(out, "try this          curl -d '%s' http://%s/demo/faults\n", fault, public)
	if reduced := d.Reduced(); reduced != "" {
		fmt.Fprintf(out, "reduced           %s\n", reduced)
	}
	return d.Run(ctx)
}
