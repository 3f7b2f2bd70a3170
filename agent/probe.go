package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

func newProbeCommand() *cobra.Command {
	check := catalog.Check{Timeout: 3 * time.Second}
	var families []string
	cmd := &cobra.Command{
		Use:   "probe KIND ADDRESS",
		Short: "Probe an address once, now, and say in words what was found",
		Long: "Probe runs one probe as the mesh would: `ping HOST`, `tcp HOST:PORT` or `http URL`.\n" +
			"A name is probed over IPv4 and over IPv6: all its addresses in the family, one good answer is enough.\n" +
			"It exits 0 when each family answered as asked, 1 when one did not. A family in which the name has no\n" +
			"address, or to which this machine has no route, does not count beside the other one.",
		Example: "  agent probe ping 127.0.0.1\n  agent probe tcp mail.example.net:25 --banner '^220 '\n" +
			"  agent probe http https://www.example.net/ --certificate-days 14",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := newTarget(check, args[0], args[1])
			if err != nil {
				return command.Usage(err)
			}
			asked, err := parseFamilies(target.Address, families)
			if err != nil {
				return command.Usage(err)
			}
			return probeFamilies(cmd, target, asked)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&check.Timeout, "timeout", check.Timeout, "how long to wait for an answer")
	flags.StringVar(&check.Banner, "banner", "", "tcp: regular expression that the first line must match")
	flags.IntVar(&check.Status, "status", 200, "http: status wanted")
	flags.StringVar(&check.Body, "body", "", "http: text that the body must contain")
	flags.StringSliceVar(&families, "families", nil, "address families of a name to probe: ipv4,ipv6")
	flags.IntVar(&check.CertificateDays, "certificate-days", 0, "http: days the certificate must still last")
	return cmd
}

// newTarget reads what the user typed.
func newTarget(check catalog.Check, kind, text string) (probe.Target, error) {
	check.Kind, check.Name = kind, kind
	var host address.Host
	var err error
	switch kind {
	case catalog.KindPing:
		host, err = address.ParseHost(text)
	case catalog.KindTCP:
		host, check.Port, err = address.ParseHostPort(text, 0)
	case catalog.KindHTTP:
		_, host, _, err = address.ParseURL(text)
		check.URL = text
	default:
		return probe.Target{}, fmt.Errorf("%q is not a kind of probe; the kinds are ping, tcp and http", kind)
	}
	if err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", kind, err)
	}
	return probe.Target{Check: check, Address: host.String(), Agent: "probe", Version: command.Version()}, nil
}

// parseFamilies are the families to probe the address through: a number's own, and both of a name unless the user
// named them.
func parseFamilies(address string, words []string) ([]mesh.Family, error) {
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip.Unmap().Is4() {
			return []mesh.Family{mesh.IPv4}, nil
		}
		return []mesh.Family{mesh.IPv6}, nil
	}
	if len(words) == 0 {
		return []mesh.Family{mesh.IPv4, mesh.IPv6}, nil
	}
	var families []mesh.Family
	for _, word := range words {
		var f mesh.Family
		if err := f.UnmarshalText([]byte(word)); err != nil || f == mesh.AnyFamily {
			return nil, fmt.Errorf("%q is not an address family; the families are ipv4 and ipv6", word)
		}
		families = append(families, f)
	}
	return families, nil
}

// probeFamilies probes the target through each family, and counts them as a vantage's vote does.
func probeFamilies(cmd *cobra.Command, target probe.Target, families []mesh.Family) error {
	good, failed := 0, 0
	for _, target.Family = range families {
		ctx, cancel := context.WithTimeout(cmd.Context(), target.Check.Timeout)
		result := probe.Once(ctx, probe.Kernel{}, target, func() {})
		cancel()
		fmt.Fprintln(cmd.OutOrStdout(), probe.Sentence(target, result))
		switch {
		case result.Outcome.Good():
			good++
		case result.Outcome == mesh.Unreachable || !mesh.CannotAsk(result.Reason) && !mesh.NoSuchAddress(result.Reason):
			failed++
		}
	}
	if good == 0 || failed > 0 {
		return command.ErrReported
	}
	return nil
}
