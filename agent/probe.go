package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

func newProbeCommand() *cobra.Command {
	check := catalog.Check{Timeout: 3 * time.Second}
	cmd := &cobra.Command{
		Use:   "probe KIND ADDRESS",
		Short: "Probe an address once, now, and say in words what was found",
		Long: "Probe runs one probe as the mesh would: `ping HOST`, `tcp HOST:PORT` or `http URL`.\n" +
			"It exits 0 when the address answered as asked, 1 when it did not.",
		Example: "  agent probe ping 127.0.0.1\n  agent probe tcp mail.example.net:25 --banner '^220 '\n" +
			"  agent probe http https://www.example.net/ --certificate-days 14",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := newTarget(check, args[0], args[1])
			if err != nil {
				return command.Usage(err)
			}
			return probeOnce(cmd, target)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&check.Timeout, "timeout", check.Timeout, "how long to wait for an answer")
	flags.StringVar(&check.Banner, "banner", "", "tcp: regular expression that the first line must match")
	flags.IntVar(&check.Status, "status", 200, "http: status wanted")
	flags.StringVar(&check.Body, "body", "", "http: text that the body must contain")
	flags.IntVar(&check.CertificateDays, "certificate-days", 0, "http: days the certificate must still last")
	return cmd
}

// newTarget reads what the user typed.
func newTarget(check catalog.Check, kind, address string) (probe.Target, error) {
	check.Kind, check.Name = kind, kind
	host := address
	switch kind {
	case catalog.KindPing:
	case catalog.KindTCP:
		name, port, err := net.SplitHostPort(address)
		if err != nil {
			return probe.Target{}, fmt.Errorf("a tcp probe wants HOST:PORT, as in mail.example.net:25, not %q", address)
		}
		if check.Port, err = strconv.Atoi(port); err != nil || check.Port < 1 || check.Port > 65535 {
			return probe.Target{}, fmt.Errorf("%q is not a port; a port is a number from 1 to 65535", port)
		}
		host = name
	case catalog.KindHTTP:
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return probe.Target{}, fmt.Errorf("an http probe wants a URL, as in https://www.example.net/, not %q", address)
		}
		check.URL, host = address, u.Hostname()
	default:
		return probe.Target{}, fmt.Errorf("%q is not a kind of probe; the kinds are ping, tcp and http", kind)
	}
	family := mesh.AnyFamily
	if ip, err := netip.ParseAddr(host); err == nil {
		family = mesh.IPv6
		if ip.Unmap().Is4() {
			family = mesh.IPv4
		}
	}
	return probe.Target{Check: check, Address: host, Family: family, Agent: "probe", Version: command.Version()}, nil
}

func probeOnce(cmd *cobra.Command, target probe.Target) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), target.Check.Timeout)
	defer cancel()
	result := probe.Once(ctx, probe.Kernel{}, target, func() {})
	fmt.Fprintln(cmd.OutOrStdout(), probe.Sentence(target, result))
	if !result.Outcome.Good() {
		return command.ErrSilent
	}
	return nil
}
