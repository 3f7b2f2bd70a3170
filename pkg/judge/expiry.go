package judge

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// formerExpiryWhy is why the result of an agent of version N-1 does not count.
const formerExpiryWhy = "agent too old: it takes a certificate that ends soon for a failure and tests nothing after it"

// withoutFormerExpiry converts the observation of an agent of version N-1 whose only finding is that a certificate ends
// soon: this version asks for no vote on that. The agent had compared the status before, and compares the body after
// the certificate. So the check's answer is good if it has no body, and is not known if it has one. Other observations
// are returned as they are.
func withoutFormerExpiry(env *environment, c *check, o *mesh.Observation) *mesh.Observation {
	if o.Outcome != mesh.Unreachable {
		return o
	}
	options, isHTTP := c.config.Options.(catalog.HTTP)
	if !isHTTP {
		return o
	}
	expiry, ok := mesh.FormerExpiry(o.Reason, o.Ended().Add(-env.offset))
	if !ok {
		return o
	}
	out := *o
	if options.Body != "" {
		out.Outcome, out.Reason = mesh.Inconclusive, formerExpiryWhy
		return &out
	}
	out.Outcome, out.Reason, out.Expiry = mesh.Reachable, "", expiry
	return &out
}

// expiry returns the earliest expiry that the latest results of the check's vantages contain, if it is within the days
// that the check asks for, and an advisory about it. Vantages see one certificate nearly always, so it is one advisory
// for all of them. It ends with the first results that see a renewed certificate, or when the results expire.
func (r reporter) expiry(c *check) (first *mesh.Expiry, advisory string) {
	now := r.env.now.Add(-r.env.offset)
	soon := now.Add(time.Duration(c.config.CertificateDays()) * 24 * time.Hour)
	seen, asked := map[*vantage]bool{}, map[*vantage]bool{}
	for _, e := range c.edges {
		if !e.outcome.Good() || e.unseen() || !e.fresh(r.env) || e.vantage.abstains(r.env) != "" {
			continue
		}
		asked[e.vantage] = true
		if x := e.expiry; x != nil && x.At.Before(soon) {
			seen[e.vantage] = true
			if first == nil || x.At.Before(first.At) {
				first = x
			}
		}
	}
	if first == nil {
		return nil, ""
	}
	advisory = first.Describe(now)
	if len(seen) < len(asked) {
		advisory += fmt.Sprintf(", as %d of %s see it", len(seen), mesh.Count(len(asked), "vantage"))
	}
	return first, advisory
}
