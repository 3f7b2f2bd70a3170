package node

import (
	"context"
	"fmt"
	"net/netip"
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
	check := catalog.Check{Kind: kind, Name: kind, Timeout: o.Timeout, Options: catalog.NewOptions(kind)}
	switch kind {
	case catalog.KindTCP:
		check.Options = o.TCP
	case catalog.KindHTTP:
		o.HTTP.URL = text
		check.Options = o.HTTP
	}
	if check.Options == nil {
		return probe.Target{}, fmt.Errorf("%q is not a kind of probe; the kinds are %s", kind,
			strings.Join(catalog.Kinds(), ", "))
	}
	host, err := parseSettings(&check, text, settings)
	if err != nil {
		return probe.Target{}, err
	}
	secrets, err := readSecrets(&check)
	if err != nil {
		return probe.Target{}, err
	}
	return probe.Target{Check: check, Address: host.String(), Secrets: secrets}, nil
}

// parseSettings sets the check's options, and its port from the address, whose default may depend on them.
func parseSettings(check *catalog.Check, text string, settings []string) (host address.Host, err error) {
	for _, setting := range settings {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return host, fmt.Errorf("%q is not key=value, as in certificate_days=14", setting)
		}
		if err := check.SetOption(key, value); err != nil {
			return host, err
		}
	}
	switch check.Kind {
	case catalog.KindPing:
		host, err = address.ParseHost(text)
	case catalog.KindHTTP:
		_, host, _, err = address.ParseURL(text)
	default:
		var port int
		host, port, err = address.ParseHostPort(text, catalog.DefaultPort(check.Options))
		check.SetPort(port)
	}
	if err == nil {
		err = check.ValidateOptions()
	}
	if err != nil {
		return host, fmt.Errorf("%s: %w", check.Kind, err)
	}
	return host, nil
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

// ProbeOnce probes the target once through each family, and reports each result, and what ends soon, as a sentence. It
// returns whether the target is good as a vantage's vote counts it: one family is good and none is bad. A family in
// which the name has no address, or through which this machine cannot probe, does not count.
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
