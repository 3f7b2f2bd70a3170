package mesh

import "strings"

// Reasons of inconclusive probes that cannot use the edge's family at all. While the latest probe has such a reason,
// the edge does not take part in its vantage's vote: see CannotAsk and NoSuchAddress.
const (
	// ReasonNoRoute says that the vantage's machine has no route to the address.
	ReasonNoRoute = "no local route"
	// ReasonNotPermitted begins the reason of a probe that the vantage's machine does not permit.
	ReasonNotPermitted = "not permitted: "

	noAddress = "the name has no "
)

// ReasonNoAddress says that a name has addresses in the other family alone.
func ReasonNoAddress(f Family) string { return noAddress + f.Title() + " address" }

// CannotAsk reports whether an inconclusive look's reason says that the vantage's machine cannot ask through the
// family.
func CannotAsk(reason string) bool {
	return strings.HasPrefix(reason, ReasonNoRoute) || strings.HasPrefix(reason, ReasonNotPermitted)
}

// NoSuchAddress reports whether an inconclusive look's reason says that the name has no address in the family: there
// is nothing to ask.
func NoSuchAddress(reason string) bool { return strings.HasPrefix(reason, noAddress) }
