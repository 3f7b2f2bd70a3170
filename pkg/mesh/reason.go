package mesh

import "strings"

// Reasons of probes that were inconclusive because they cannot use the edge's address family at all. While the latest
// probe has such a reason, the edge has no part in its vantage's vote; see CannotAsk and NoSuchAddress.
const (
	// ReasonNoRoute means that the vantage's machine has no route to the address.
	ReasonNoRoute = "no local route"
	// ReasonNotPermitted is the prefix of a reason: the vantage's machine does not permit the probe.
	ReasonNotPermitted = "not permitted: "

	noAddress = "the name has no "
)

// ReasonNoAddress returns the reason that a name has addresses of the other family only.
func ReasonNoAddress(f Family) string { return noAddress + f.Title() + " address" }

// CannotAsk reports whether the reason of an inconclusive probe is that the vantage's machine cannot use the family.
func CannotAsk(reason string) bool {
	return strings.HasPrefix(reason, ReasonNoRoute) || strings.HasPrefix(reason, ReasonNotPermitted)
}

// NoSuchAddress reports whether the reason of an inconclusive probe is that the name has no address of the family.
func NoSuchAddress(reason string) bool { return strings.HasPrefix(reason, noAddress) }
