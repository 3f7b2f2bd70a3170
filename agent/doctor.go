package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/doctor"
	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/localstatus"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/gossip"
)

// examination is what the flags of `doctor` and `join` say of the patient.
type examination struct {
	state, gossip, resolver string
	joining                 bool
	clock                   time.Duration
}

func newDoctorCommand() *cobra.Command {
	var x examination
	cmd := &cobra.Command{
		Use:   "doctor [TOKEN|-|file:PATH]",
		Short: "Examine this machine: what the agent needs, and how to mend what is missing",
		Long: "Doctor looks at the state directory and its disk, the resolver, the routes, the coordinator's port, its certificate,\n" +
			"the clock, the permission to ping and the gossip port. It tells one finding a line, with a remedy where there is one,\n" +
			"and exits 1 when one is a fault. Before `agent join`, name the token: then the port and the pin are its own.",
		Example: "  agent doctor\n  agent doctor pm1-eyJoIjoibmMwMzYi...",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token := ""
			if len(args) > 0 {
				var err error
				if token, err = readToken(args[0], cmd.InOrStdin()); err != nil {
					return command.Usage(err)
				}
			}
			well := true
			x.examine(cmd.Context(), token, func(f doctor.Finding) {
				well = well && f.Level != doctor.Fault
				writeFinding(cmd.OutOrStdout(), f)
			})
			if !well {
				return command.ErrReported
			}
			return nil
		},
	}
	x.flags(cmd)
	return cmd
}

func (x *examination) flags(cmd *cobra.Command) {
	stateFlag(cmd, &x.state)
	flags := cmd.Flags()
	flags.StringVar(&x.gossip, "gossip-listen", gossip.DefaultListen, "address and port that agents gossip on; empty: none")
	flags.DurationVar(&x.clock, "clock-offset", 0, "pretend that this machine's clock is off by so much: for tests")
	flags.StringVar(&x.resolver, "resolver", "", "address and port of the resolver to ask instead of the machine's: for tests")
	_ = flags.MarkHidden("clock-offset") // the flags are there
	_ = flags.MarkHidden("resolver")
}

// examine has the doctor look, with a token or with what an earlier join kept.
func (x *examination) examine(ctx context.Context, token string, say func(doctor.Finding)) {
	p := doctor.Patient{Directory: x.state, Token: token, Gossip: x.gossip, ClockOffset: x.clock, Joining: x.joining, Running: localstatus.Running(x.state)}
	if x.resolver != "" {
		p.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, x.resolver)
		}}
	}
	id, err := identity.Load(x.state)
	switch {
	case err == nil:
		p.Joined, p.Servers, p.CA = true, id.Servers, id.CA
	case !errors.Is(err, identity.ErrNotJoined):
		p.Identity = err
	}
	doctor.Examine(ctx, p, say)
}

// writeFinding writes one line, and the remedy below it, with the commands as they are called here.
func writeFinding(out io.Writer, f doctor.Finding) {
	fmt.Fprintf(out, "%-6s  %-6s  %s\n", f.Level, f.Subject, command.WithProgramNames(f.Words))
	if f.Remedy != "" {
		fmt.Fprintf(out, "%16s%s\n", "", "to mend it: "+command.WithProgramNames(f.Remedy))
	}
}

// refuse has the doctor look before a join. What keeps an agent out is an error, and the rest is told.
func (x *examination) refuse(cmd *cobra.Command, token string) (err error) {
	x.joining = true
	x.examine(cmd.Context(), token, func(f doctor.Finding) {
		switch {
		case f.Refuses() && err == nil:
			err = fmt.Errorf("%s: %s; to mend it: %s", f.Subject, f.Words, f.Remedy)
		case f.Level == doctor.Fault:
			writeFinding(cmd.ErrOrStderr(), f)
		}
	})
	return err
}
