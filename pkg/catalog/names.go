package catalog

import (
	"regexp"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidName reports whether the text can be the name of a region or the key of a host: NATS subjects and addresses of
// pages contain it.
func ValidName(text string) bool { return name.MatchString(text) }

// Anchor is the address of an anchor, and the check that tests it: a ping, or a TCP connect if the anchor has a port.
// ok is false if the text is neither.
func Anchor(anchor string) (host string, check Check, ok bool) {
	check = Check{
		Kind: KindPing, Name: anchor, Options: Ping{}, Interval: DefaultInterval, Timeout: DefaultTimeout,
	}
	if h, err := address.ParseHost(anchor); err == nil {
		return h.String(), check, true
	}
	h, port, err := address.ParseHostPort(anchor, 0)
	check.Kind, check.Options = KindTCP, TCP{Port: port}
	return h.String(), check, err == nil
}

// HasFamily reports whether the host may have an address of the family: a name may.
func (h *Host) HasFamily(f mesh.Family) bool { return h.Address(f) != "" }
