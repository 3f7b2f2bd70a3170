package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// AddressesMax bounds how many addresses of a name one probe tries: a name with hundreds must not cause hundreds
	// of probes.
	AddressesMax = 8
	// staggerMax is the longest wait before the next address of a name is tried: the Connection Attempt Delay of
	// RFC 8305.
	staggerMax = 250 * time.Millisecond
)

// Tried is an address that did not answer as the check requires, and the reason.
type Tried struct {
	Address netip.Addr
	Reason  string
}

// addresses returns the IP addresses to try for the target in its family, the preferred one first. The error is a
// *noAddressError if the name has addresses only in the other family, and a *net.DNSError if it has none.
func (a *attempt) addresses(ctx context.Context) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(a.target.Address); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	found, err := a.resolve(ctx, a.target.Family)
	if isNotFound(err) && a.target.Family != mesh.AnyFamily {
		// Go's resolver reports "no such name" and "no such record" alike. The first is a failure of the target, the
		// second only means that the check cannot use this family: resolving the other family distinguishes them.
		switch _, otherErr := a.resolve(ctx, otherFamily(a.target.Family)); {
		case otherErr == nil:
			return nil, &noAddressError{a.target.Family}
		case !isNotFound(otherErr):
			return nil, otherErr
		}
	}
	if err != nil {
		return nil, err
	}
	if i := slices.Index(found, a.target.Prefer); i > 0 {
		found = slices.Insert(slices.Delete(found, i, i+1), 0, a.target.Prefer)
	}
	return found[:min(len(found), AddressesMax)], nil
}

// resolve returns the name's distinct addresses in the family, at least one.
func (a *attempt) resolve(ctx context.Context, family mesh.Family) ([]netip.Addr, error) {
	answer, err := a.network.Resolve(ctx, family, a.target.Address)
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	for _, ip := range answer {
		ip = ip.Unmap()
		isOurs := family == mesh.AnyFamily || ip.Is4() == (family == mesh.IPv4)
		if isOurs && !slices.Contains(found, ip) {
			found = append(found, ip)
		}
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: a.target.Address, IsNotFound: true}
	}
	return found, nil
}

func otherFamily(f mesh.Family) mesh.Family {
	if f == mesh.IPv4 {
		return mesh.IPv6
	}
	return mesh.IPv4
}

func isNotFound(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name) && name.IsNotFound
}

// noAddressError reports that a name has addresses only in the other family.
type noAddressError struct{ family mesh.Family }

func (e *noAddressError) Error() string { return mesh.ReasonNoAddress(e.family) }

// anyAddress probes the target's addresses until one answers as the check requires, and merges the results if none
// does. The next address is tried as soon as a previous one fails or does not answer for a while. The previous ones
// continue meanwhile, so that a distant address still has its time to answer. The last address starts while half of
// the time is left.
func (a *attempt) anyAddress(ctx context.Context, probe func(context.Context, netip.Addr) Result) Result {
	addresses, err := a.addresses(ctx)
	if err == nil && a.target.Resolved != nil {
		a.target.Resolved(addresses)
	}
	switch {
	case err != nil:
		return classify(err)
	case len(addresses) == 1:
		return merge(addresses, []Result{probe(ctx, addresses[0])})
	}
	r := race{attempt: a, probe: probe, addresses: addresses, answers: make(chan answer, len(addresses))}
	return r.run(ctx)
}

// race tries the addresses of one probe ("happy eyeballs"), each in a goroutine of its own that run waits for.
type race struct {
	attempt   *attempt
	probe     func(context.Context, netip.Addr) Result
	addresses []netip.Addr
	results   []Result // of the addresses that were started, in their order
	answers   chan answer
	pending   int // started and not answered
}

// answer is the result of one address.
type answer struct {
	number int // index into addresses
	Result
}

// run returns the first good result, or all results merged.
func (r *race) run(ctx context.Context) Result {
	ctx, cancel := context.WithCancel(ctx)
	// No goroutine may outlive the probe: the caller counts concurrent probes, and a test's Network is gone afterwards.
	defer func() {
		cancel()
		r.attempt.cancel()
		for ; r.pending > 0; r.pending-- {
			<-r.answers
		}
	}()
	r.start(ctx)
	timer := time.NewTimer(r.attempt.stagger(ctx, len(r.addresses)))
	defer timer.Stop()
	established := r.attempt.established
	for r.pending > 0 {
		next := false // the next address starts
		select {
		case got := <-r.answers:
			r.pending--
			r.results[got.number] = got.Result
			if got.Outcome.Good() {
				return merge(r.addresses[got.number:got.number+1], []Result{got.Result})
			}
			// Once ctx is done a new address could only time out at once, unless the exchange's own time is running.
			if next = ctx.Err() == nil || r.attempt.isConnected(); !next {
				continue
			}
		case <-established:
			established = nil // a closed channel would be selected forever; only the timer below changes
		case <-timer.C:
			next = true
		}
		if len(r.results) == len(r.addresses) {
			continue // all are started; only answers are left to wait for
		}
		if next {
			r.start(ctx)
		}
		timer.Reset(r.attempt.stagger(ctx, len(r.addresses)))
	}
	return merge(r.addresses[:len(r.results)], r.results)
}

// start probes the next address. Once a connection is established, what is left of the exchange's time bounds the probe
// instead of ctx.
func (r *race) start(ctx context.Context) {
	number := len(r.results)
	r.results, r.pending = append(r.results, Result{}), r.pending+1
	if r.attempt.isConnected() {
		ctx = r.attempt.exchangeCtx
	}
	go func() { r.answers <- answer{number, r.probe(ctx, r.addresses[number])} }()
}

// stagger returns how long to wait for an answer before the next of n addresses is tried: at most staggerMax before
// the first connect, and a share of the check's timeout after it. Both leave half of the time to the last address.
func (a *attempt) stagger(ctx context.Context, n int) time.Duration {
	if a.isConnected() {
		return a.target.Check.Timeout / 2 / time.Duration(n-1)
	}
	left := a.target.Check.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	return min(staggerMax, left/2/time.Duration(n-1))
}

// merge combines the results of a probe's addresses, of which a good one comes alone. An address without a local route
// is ignored if others could be probed, as on an IPv4-only machine. An address that could not be probed for another
// reason might have answered, which makes the whole probe inconclusive. The result is definite only if every address
// gave a definite answer.
func merge(addresses []netip.Addr, results []Result) Result {
	if len(results) == 1 {
		r := results[0]
		if r.Outcome.Good() {
			r.Address = addresses[0]
		} else {
			r.Tried = []Tried{{addresses[0], r.Reason}}
		}
		return r
	}
	out := Result{Outcome: mesh.Unreachable, Definite: true}
	var reasons []string
	routed := slices.ContainsFunc(results, func(r Result) bool { return r.Reason != mesh.ReasonNoRoute })
	for i, r := range results {
		out.Tried = append(out.Tried, Tried{addresses[i], r.Reason})
		if routed && r.Reason == mesh.ReasonNoRoute {
			continue
		}
		if r.Outcome == mesh.Inconclusive && out.Outcome != mesh.Inconclusive {
			out.Outcome, reasons = mesh.Inconclusive, nil
		}
		out.Definite = out.Definite && r.Definite
		if r.Outcome == out.Outcome && !slices.Contains(reasons, r.Reason) {
			reasons = append(reasons, r.Reason)
		}
	}
	out.Reason = strings.Join(reasons, " or ")
	return out
}

// AddressSummary returns the address that answered, or each address that was tried with its reason.
func (r Result) AddressSummary() string {
	if r.Address.IsValid() {
		return r.Address.String()
	}
	var all []string
	for _, t := range r.Tried {
		all = append(all, t.Address.String()+": "+t.Reason)
	}
	return strings.Join(all, "; ")
}

// Silence is AddressSummary for addresses that had not answered when their probes were ended.
func Silence(addresses []netip.Addr) string {
	var r Result
	for _, ip := range addresses {
		r.Tried = append(r.Tried, Tried{ip, "timeout"})
	}
	return r.AddressSummary()
}
