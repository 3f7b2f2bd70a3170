package gossip

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bounds on requests and answers. A hundred agents that all lost the ping of one host send it a hundred requests a
// second; an answer costs some 30 µs and is shorter than the request.
const (
	askRate, askBurst       = 32, 128  // requests a second that this agent sends, in all
	answerRate, answerBurst = 200, 400 // answers a second, in all
	sourceRate, sourceBurst = 4, 20    // answers a second to one address
	sourcesMax              = 10_000   // addresses counted separately
	unansweredRetry         = time.Minute
)

// Reasons for a failed proof.
var (
	errAskRate  = errors.New("too many requests a second")
	errUnproven = errors.New("no valid answer within a second")
	errNotSent  = errors.New("the request could not be sent")
)

// Proof is first-hand evidence about a host: it contains nothing that another agent reported.
type Proof struct {
	Host       string    // the host's key
	Proved     time.Time // when the latest nonce was sent that the host signed; zero: it never signed one
	Unanswered time.Time // when the latest nonce was sent that it did not sign in time
}

// Confirms reports whether this agent's own challenges agree with the others' report of a dead member: the host
// answered before, and did not answer a challenge that was sent after it was reported dead. Without this condition,
// one agent could make all others report a host as dead that is alive, or that never gossiped.
func (p Proof) Confirms(dead Member) bool {
	return !p.Proved.IsZero() && p.Unanswered.After(p.Proved) && p.Unanswered.After(dead.Since)
}

// prover requests proofs from hosts and answers their requests. Its methods may be called from any goroutine.
type prover struct {
	self     string
	key      ed25519.PrivateKey // nil: this agent cannot answer
	registry *registry

	mu         sync.Mutex
	challenges challenges
	waiting    map[Nonce]chan struct{} // closed when the nonce is answered
	proofs     map[string]*Proof
	asks       *rate.Limiter
	answers    *rate.Limiter
	sources    *ratelimit.Rates[netip.Addr]
}

func newProver(self string, key ed25519.PrivateKey, b *registry) *prover {
	return &prover{
		self: self, key: key, registry: b, challenges: challenges{self, map[Nonce]challenge{}},
		waiting: map[Nonce]chan struct{}{}, proofs: map[string]*Proof{},
		asks: rate.NewLimiter(askRate, askBurst), answers: rate.NewLimiter(answerRate, answerBurst),
		sources: ratelimit.NewRates[netip.Addr](sourceRate, sourceBurst, sourcesMax),
	}
}

// sendFunc sends one packet from the gossip port.
type sendFunc func(packet []byte, to netip.AddrPort) error

// prove asks the host to sign a nonce, and returns nil once it has. It waits at most nonceLife.
func (p *prover) prove(ctx context.Context, host string, port int, send sendFunc) error {
	to := p.registry.proofAddresses(host, port)
	if len(to) == 0 {
		return fmt.Errorf("%s: %w", host, errNotAdmitted)
	}
	n, answered, sent, err := p.open(time.Now(), host)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	packet, delivered := request{p.self, host, n}.encode(), false
	for _, address := range to {
		delivered = send(packet, address) == nil || delivered
	}
	if !delivered {
		p.close(n, host, time.Time{})
		return fmt.Errorf("%s: %w", host, errNotSent)
	}
	expired := time.NewTimer(nonceLife)
	defer expired.Stop()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		p.close(n, host, time.Time{})
		return ctx.Err()
	case <-expired.C:
		p.close(n, host, sent)
		return fmt.Errorf("%s: %w", host, errUnproven)
	}
}

// open generates a nonce and records it as sent to the host.
func (p *prover) open(now time.Time, host string) (n Nonce, answered chan struct{}, sent time.Time, err error) {
	if len(host) > hostNameMax || len(p.self) > hostNameMax {
		return n, nil, now, fmt.Errorf("a name of more than %d bytes", hostNameMax)
	}
	if _, err := rand.Read(n[:]); err != nil {
		return n, nil, now, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asks.AllowN(now, 1) {
		return n, nil, now, errAskRate
	}
	if err := p.challenges.add(now, host, n); err != nil {
		return n, nil, now, err
	}
	answered = make(chan struct{})
	p.waiting[n] = answered
	return n, answered, now, nil
}

// close stops waiting for a nonce. A non-zero time is when a nonce that expired without an answer was sent.
func (p *prover) close(n Nonce, host string, unanswered time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, n)
	if unanswered.IsZero() {
		return
	}
	if proof := p.proof(host); unanswered.After(proof.Unanswered) { // two may expire at nearly the same time
		proof.Unanswered = unanswered
	}
}

// proof is the host's record. The caller locks.
func (p *prover) proof(host string) *Proof {
	if p.proofs[host] == nil {
		p.proofs[host] = &Proof{Host: host}
	}
	return p.proofs[host]
}

// receive handles a packet of this protocol from the address. It never blocks.
func (p *prover) receive(now time.Time, packet []byte, from netip.AddrPort, send sendFunc) error {
	if r, ok := decodeRequest(packet); ok {
		return p.answer(now, r, from, send)
	}
	if a, ok := decodeAnswer(packet); ok {
		return p.settle(now, a, from.Addr())
	}
	return errors.New("a packet that is neither a request nor an answer")
}

// answer signs the request of an admitted agent, where it came from that agent's address in the catalog.
func (p *prover) answer(now time.Time, r request, from netip.AddrPort, send sendFunc) error {
	switch asker, ok := p.registry.peer(r.asker); {
	case r.target != p.self || r.asker == p.self || p.key == nil:
		return fmt.Errorf("a request to %q", r.target)
	case !ok || !slices.Contains(asker.addresses, from.Addr()):
		return fmt.Errorf("a request of %q: %w", r.asker, errWrongSource)
	}
	p.mu.Lock()
	allowed := p.sources.Allow(now, from.Addr()) && p.answers.AllowN(now, 1)
	p.mu.Unlock()
	if !allowed {
		return fmt.Errorf("too many requests of %q", r.asker)
	}
	return send(answer{r.nonce, ed25519.Sign(p.key, ProofMessage(r.asker, p.self, r.nonce))}.encode(), from)
}

// settle records a valid answer.
func (p *prover) settle(now time.Time, a answer, from netip.Addr) error {
	peers := p.registry.allPeers()
	p.mu.Lock()
	defer p.mu.Unlock()
	q, err := p.challenges.verify(now, a, from, peers)
	if err != nil {
		return err
	}
	if proof := p.proof(q.target); q.at.After(proof.Proved) {
		proof.Proved = q.at
	}
	if answered := p.waiting[a.nonce]; answered != nil {
		delete(p.waiting, a.nonce)
		close(answered)
	}
	return nil
}

// forget drops the records of hosts that no longer have an admitted agent.
func (p *prover) forget(admitted func(host string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for host := range p.proofs {
		if !admitted(host) {
			delete(p.proofs, host)
		}
	}
}

// known returns this agent's records of the other hosts, ordered by name.
func (p *prover) known() []Proof {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Proof, 0, len(p.proofs))
	for _, proof := range p.proofs {
		out = append(out, *proof)
	}
	slices.SortFunc(out, func(a, b Proof) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// next returns the host to request a proof from after the previous one. A host that has not answered for
// unansweredRetry is asked only once in that time: it may be gone, of version N-1, or behind a closed port.
func (p *prover) next(now time.Time, before string) (host string, ok bool) {
	hosts := p.registry.provable()
	at, _ := slices.BinarySearch(hosts, before+"\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range hosts {
		host := hosts[(at+i)%len(hosts)]
		known := p.proofs[host]
		answers := known == nil || known.Unanswered.Sub(known.Proved) < unansweredRetry
		if answers || now.Sub(known.Unanswered) >= unansweredRetry {
			return host, true
		}
	}
	return "", false
}

// requestProofs requests proofs from one host after the other while gossip runs, so that the others already have
// evidence that an agent is alive when it falls silent on NATS.
func (g *Gossip) requestProofs(ctx context.Context) {
	ticker := time.NewTicker(g.config.Interval)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			host, ok := g.prover.next(now, last)
			if !ok {
				continue
			}
			last = host
			if err := g.Prove(ctx, host); err != nil {
				g.config.Logger.Debug().Err(err).Str("host", host).Msg("proof request failed")
			}
		}
	}
}
