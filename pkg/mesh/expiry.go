package mesh

import (
	"fmt"
	"time"
)

// What ends in an Expiry, as people read it.
const (
	Certificate = "certificate"
	Signature   = "DNSSEC signature"
)

// Expiry is something that a good answer depends on and that ends soon. It is an advisory to operators and never a
// vote. Values are immutable.
type Expiry struct {
	What string    `json:"what"` // Certificate or Signature; later versions may add others
	At   time.Time `json:"at"`   // when it ends, by the wall clock and not in mesh time
	// Issuer is the name on the certificate that ends, if that is an issuer's and not the server's own. The server
	// chooses the text.
	Issuer string `json:"issuer,omitempty"`
}

// Describe returns the expiry as it is at a time of the wall clock: "certificate ends in 4 days". Days are whole days
// that are left.
func (e *Expiry) Describe(now time.Time) string {
	what := e.What
	if e.Issuer != "" {
		what = fmt.Sprintf("%s of the issuer %q", e.What, e.Issuer)
	}
	const day = 24 * time.Hour
	switch left := e.At.Sub(now); {
	case left <= 0:
		return what + " has ended"
	case left < time.Hour:
		return what + " ends within an hour"
	case left < day:
		return what + " ends in " + Count(int(left/time.Hour), "hour")
	default:
		return what + " ends in " + Count(int(left/day), "day")
	}
}
