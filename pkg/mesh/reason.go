package mesh

import (
	"strconv"
	"strings"
	"time"
)

// Reasons of probes that were inconclusive because they cannot use the edge's address family at all. While the latest
// probe has such a reason, the edge has no part in its vantage's vote; see CannotAsk and NoSuchAddress.
const (
	// ReasonNoRoute means that the vantage's machine has no route to the address.
	ReasonNoRoute = "no local route"
	// ReasonNotPermitted is the prefix of a reason: the vantage's machine does not permit the probe.
	ReasonNotPermitted = "not permitted: "

	// ReasonTemporary is the prefix of the reason of a slow result: the server asks clients to come back later.
	ReasonTemporary = "temporary failure: "

	// ReasonOverObjective is the prefix of the reason of a slow result: a phase of it took longer than the check wants.
	ReasonOverObjective = "over the objective: "

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

// reasonExpiresSoon is the beginning of a reason that agents of version N-1 give with Unreachable: the certificate ends
// within the check's certificate_days. Agents of this version report an Expiry with a good answer instead.
const reasonExpiresSoon = "certificate expires in "

// FormerExpiry returns the expiry that such a reason describes, of a probe that ended at a time of the wall clock. The
// reason has whole units that are left, so the time is the middle of what is possible.
func FormerExpiry(reason string, ended time.Time) (*Expiry, bool) {
	rest, ok := strings.CutPrefix(reason, reasonExpiresSoon)
	if !ok {
		return nil, false
	}
	number, rest, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > formerDaysMax {
		return nil, false
	}
	for name, unit := range map[string]time.Duration{
		"day": 24 * time.Hour, "hour": time.Hour, "minute": time.Minute,
	} {
		if strings.HasPrefix(rest, name) {
			return &Expiry{What: Certificate, At: ended.Add(time.Duration(n)*unit + unit/2)}, true
		}
	}
	return nil, false
}

// formerDaysMax is the largest certificate_days that a check can have.
const formerDaysMax = 3650
