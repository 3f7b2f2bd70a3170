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
	// AddressesMax bounds how many addresses of a name one probe tries.
	AddressesMax = 8
	// staggerMax is how long the next address of a name waits for an answer from the one before: the delay of RFC 8305.
	staggerMax = 250 * time.Millisecond
)

// Tried is an address of a name that did not answer as the check requires, and the reason.
type Tried struct {
	Address netip.Addr
	Reason  string
}

// addresses returns the IP addresses to try for the target in its family, the preferred one first. A name that has
// addresses in the other family alone is a *noAddressError; a name without any is a *net.DNSError.
func (a *attempt) addresses(ctx context.Context) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(a.target.Address); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	found, err := a.resolve(ctx, a.target.Family)
	if isNotFound(err) && a.target.Family != mesh.AnyFamily {
		// "No such name" and "no such record" look alike until the other family is asked.
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

// noAddressError says that a name has addresses in the other family alone.
type noAddressError struct{ family mesh.Family }

func (e *noAddressError) Error() string { return mesh.ReasonNoAddress(e.family) }

// anyAddress calls ask for the target's addresses until one answers as the check requires, and merges their results
// where none does. The next address starts as soon as one before it failed, or gave no answer for a while; those
// before go on meanwhile, so that an address far away is not cut short. The last one starts while half of the time is
// left.
func (a *attempt) anyAddress(ctx context.Context, ask func(context.Context, netip.Addr) Result) Result {
	addresses, err := a.addresses(ctx)
	if err == nil && a.target.Resolved != nil {
		a.target.Resolved(addresses)
	}
	switch {
	case err != nil:
		return classify(err)
	case len(addresses) == 1:
		return merge(addresses, []Result{ask(ctx, addresses[0])})
	}
	r := race{attempt: a, ask: ask, addresses: addresses, answers: make(chan answer, len(addresses))}
	return r.run(ctx)
}

// race tries the addresses of one probe, each in a goroutine of its own that run waits for.
type race struct {
	attempt   *attempt
	ask       func(context.Context, netip.Addr) Result
	addresses []netip.Addr
	results   []Result // of the addresses that were started
	answers   chan answer
	pending   int // started and not answered
}

// answer is the result of the address with the number.
type answer struct {
	number int
	Result
}

// run returns the first good result, or all of them merged.
func (r *race) run(ctx context.Context) Result {
	ctx, cancel := context.WithCancel(ctx)
	defer func() { // the losers end before the probe does
		cancel()
		r.attempt.end()
		for ; r.pending > 0; r.pending-- {
			<-r.answers
		}
	}()
	r.start(ctx)
	timer := time.NewTimer(r.attempt.stagger(ctx, len(r.addresses)))
	defer timer.Stop()
	stands := r.attempt.stands
	for r.pending > 0 {
		next := false // the next address starts
		select {
		case got := <-r.answers:
			r.pending--
			r.results[got.number] = got.Result
			if got.Outcome.Good() {
				return merge(r.addresses[got.number:got.number+1], []Result{got.Result})
			}
			if next = ctx.Err() == nil || r.attempt.talks(); !next {
				continue
			}
		case <-stands:
			stands = nil
		case <-timer.C:
			next = true
		}
		if len(r.results) == len(r.addresses) {
			continue // all are on their way; only answers are left to wait for
		}
		if next {
			r.start(ctx)
		}
		timer.Reset(r.attempt.stagger(ctx, len(r.addresses)))
	}
	return merge(r.addresses[:len(r.results)], r.results)
}

// start probes the next address. Once a connection stands, what is left of the time to talk bounds it instead of ctx.
func (r *race) start(ctx context.Context) {
	number := len(r.results)
	r.results, r.pending = append(r.results, Result{}), r.pending+1
	if r.attempt.talks() {
		ctx = r.attempt.talk
	}
	go func() { r.answers <- answer{number, r.ask(ctx, r.addresses[number])} }()
}

// stagger is how long to wait for an answer before the next of n addresses is tried: to a connect a moment, to what
// follows it half of the check's timeout, both so that the last address has half of the time.
func (a *attempt) stagger(ctx context.Context, n int) time.Duration {
	if a.talks() {
		return a.target.Check.Timeout / 2 / time.Duration(n-1)
	}
	left := a.target.Check.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	return min(staggerMax, left/2/time.Duration(n-1))
}

// merge combines the results of a probe's addresses. One good answer is enough. An address that this
// machine has no route to says nothing beside others that it could ask. Where one could not be asked for another
// reason, it might have answered, and the probe is inconclusive; only where all gave a definite answer is the whole
// one definite.
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
	asked := slices.ContainsFunc(results, func(r Result) bool { return r.Reason != mesh.ReasonNoRoute })
	for i, r := range results {
		out.Tried = append(out.Tried, Tried{addresses[i], r.Reason})
		if asked && r.Reason == mesh.ReasonNoRoute {
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

// Where returns the address that answered, or each address that was tried with its reason.
func (r Result) Where() string {
	if r.Address.IsValid() {
		return r.Address.String()
	}
	var all []string
	for _, t := range r.Tried {
		all = append(all, t.Address.String()+": "+t.Reason)
	}
	return strings.Join(all, "; ")
}

// Silence is like Where for addresses that had not answered when their probes were ended.
func Silence(addresses []netip.Addr) string {
	var r Result
	for _, ip := range addresses {
		r.Tried = append(r.Tried, Tried{ip, "timeout"})
	}
	return r.Where()
}
