package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// ProbeOptions are what the flags of `agent probe` ask.
type ProbeOptions struct {
	Timeout time.Duration
	TCP     catalog.TCP  // without the port, which is part of the address
	HTTP    catalog.HTTP // without the URL, which is the address
}

// ParseTarget returns what `agent probe KIND ADDRESS key=value ...` probes. The keys are those of a check in a catalog.
func ParseTarget(o ProbeOptions, kind, text string, settings []string) (probe.Target, error) {
	check := catalog.Check{Kind: kind, Name: kind, Timeout: o.Timeout}
	var host address.Host
	var err error
	switch kind {
	case catalog.KindPing:
		host, err = address.ParseHost(text)
		check.Options = catalog.Ping{}
	case catalog.KindTCP:
		host, o.TCP.Port, err = address.ParseHostPort(text, 0)
		check.Options = o.TCP
	case catalog.KindTLS:
		var o catalog.TLS
		host, o.Port, err = address.ParseHostPort(text, catalog.TLSPort)
		check.Options = o
	case catalog.KindDNS:
		var o catalog.DNS
		host, o.Port, err = address.ParseHostPort(text, catalog.DNSPort)
		check.Options = o
	case catalog.KindSMTP, catalog.KindIMAP, catalog.KindPOP3:
		var o catalog.MailSession
		host, o.Port, err = address.ParseHostPort(text, catalog.MailPort(kind, slices.Contains(settings, "tls=true")))
		check.Options = catalog.NewMailOptions(kind, o)
	case catalog.KindHTTP:
		_, host, _, err = address.ParseURL(text)
		o.HTTP.URL = text
		check.Options = o.HTTP
	default:
		return probe.Target{}, fmt.Errorf("%q is not a kind of probe; the kinds are %s", kind,
			strings.Join(catalog.Kinds(), ", "))
	}
	if err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", kind, err)
	}
	for _, setting := range settings {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return probe.Target{}, fmt.Errorf("%q is not key=value, as in certificate_days=14", setting)
		}
		if err := check.SetOption(key, value); err != nil {
			return probe.Target{}, err
		}
	}
	if err := check.ValidateOptions(); err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", kind, err)
	}
	return probe.Target{Check: check, Address: host.String()}, nil
}

// ParseFamilies returns the address families to probe the address through: an IP address's own, and those named, or
// both where none is, of a name.
func ParseFamilies(address string, names []string) ([]mesh.Family, error) {
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip.Unmap().Is4() {
			return []mesh.Family{mesh.IPv4}, nil
		}
		return []mesh.Family{mesh.IPv6}, nil
	}
	if len(names) == 0 {
		return []mesh.Family{mesh.IPv4, mesh.IPv6}, nil
	}
	var families []mesh.Family
	for _, name := range names {
		var f mesh.Family
		if err := f.UnmarshalText([]byte(name)); err != nil || f == mesh.AnyFamily {
			return nil, fmt.Errorf("%q is not an address family; the families are ipv4 and ipv6", name)
		}
		families = append(families, f)
	}
	return families, nil
}

// ProbeOnce probes the target once through each family, and reports each result, and what ends soon, as a
// sentence. It returns whether the
// target is good as a vantage's vote counts it: one family is good and none is bad. A family in which the name has no
// address, or through which this machine cannot probe, does not count.
func ProbeOnce(ctx context.Context, target probe.Target, families []mesh.Family, report func(sentence string)) bool {
	good, bad := 0, 0
	for _, target.Family = range families {
		bounded, cancel := context.WithTimeout(ctx, target.Check.Timeout)
		result := probe.Once(bounded, probe.Kernel{}, target, func() {})
		cancel()
		report(probe.Describe(target, result))
		if result.Outcome.Good() && result.Expiry != nil {
			report("advisory: " + result.Expiry.Describe(time.Now()))
		}
		switch {
		case result.Outcome.Good():
			good++
		case result.Outcome == mesh.Unreachable || !mesh.CannotAsk(result.Reason) && !mesh.NoSuchAddress(result.Reason):
			bad++
		}
	}
	return good > 0 && bad == 0
}
