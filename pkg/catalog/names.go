package catalog

import (
	"regexp"
	"slices"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidName reports whether the text can be the name of a region or the key of a host. Both are parts of NATS subjects
// and URLs, which limits their characters.
func ValidName(text string) bool { return namePattern.MatchString(text) }

// Anchor returns the address of an anchor and the check that probes it: a ping, or a TCP connect if the anchor has a
// port. ok is false if the text is neither.
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

// HasFamily reports whether the host has an address of the family, or a name, which may resolve to one.
func (h *Host) HasFamily(f mesh.Family) bool { return h.Address(f) != "" }

// SameAddress reports whether both are the same address, however they are spelled: early versions stored addresses in
// capitals or with a dot at the end, and a host did not move because a file's reader spells it otherwise now.
func SameAddress(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := address.ParseHost(a)
	y, errY := address.ParseHost(b)
	return errX == nil && errY == nil && x == y
}

// SameAddresses reports whether both have the same addresses in the same order. See SameAddress.
func (h *Host) SameAddresses(other *Host) bool {
	return slices.EqualFunc(h.Addresses, other.Addresses, SameAddress)
}
