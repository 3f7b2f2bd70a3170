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

	"github.com/probemesh/probemesh/pkg/fair"
)

// Bounds of asking and of answering. A hundred agents that all lost the ping of one host ask it a hundred times a
// second; an answer costs some 30 µs and is shorter than its question.
const (
	askRate, askBurst       = 32, 128  // questions a second that this agent sends, in all
	answerRate, answerBurst = 200, 400 // answers a second, in all
	sourceRate, sourceBurst = 4, 20    // answers a second to one address
	sourcesMax              = 10_000   // remembered for that
	patrolRetry             = time.Minute
)

// Why no evidence could be had.
var (
	errAskRate   = errors.New("too many questions a second")
	errUnproven  = errors.New("no valid answer within a second")
	errPortTaken = errors.New("the question could not be sent")
)

// Proof is what this agent knows first-hand of a host: it says nothing that another agent reported.
type Proof struct {
	Host       string    // the host's key
	Proved     time.Time // when the latest nonce was sent that the host signed; zero: it never signed one
	Unanswered time.Time // when the latest nonce was sent that it did not sign in time
}

// Confirms reports whether this agent's own questions agree with what the others say of a dead member: the host used
// to answer, and did not answer a question that was sent after it was reported dead. Without that, one agent could
// have every other report the death of a host that is alive, or that never gossiped.
func (p Proof) Confirms(dead Member) bool {
	return !p.Proved.IsZero() && p.Unanswered.After(p.Proved) && p.Unanswered.After(dead.Since)
}

// prover asks hosts for proofs and answers those that ask. Its methods may be called from any goroutine.
type prover struct {
	self string
	key  ed25519.PrivateKey // nil: this agent cannot answer
	book *book

	mu         sync.Mutex
	challenges challenges
	waiting    map[Nonce]chan struct{} // closed when the nonce is answered
	proofs     map[string]*Proof
	asks       *rate.Limiter
	answers    *rate.Limiter
	sources    *fair.Rates[netip.Addr]
}

func newProver(self string, key ed25519.PrivateKey, b *book) *prover {
	return &prover{
		self: self, key: key, book: b, challenges: challenges{self, map[Nonce]challenge{}},
		waiting: map[Nonce]chan struct{}{}, proofs: map[string]*Proof{},
		asks: rate.NewLimiter(askRate, askBurst), answers: rate.NewLimiter(answerRate, answerBurst),
		sources: fair.NewRates[netip.Addr](sourceRate, sourceBurst, sourcesMax),
	}
}

// sendFunc sends one packet from the gossip port.
type sendFunc func(packet []byte, to netip.AddrPort) error

// prove asks the host to sign a nonce, and returns nil once it did. It waits nonceLife at most.
func (p *prover) prove(ctx context.Context, host string, port int, send sendFunc) error {
	to := p.book.proofAddresses(host, port)
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
		return fmt.Errorf("%s: %w", host, errPortTaken)
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

// open draws a nonce and remembers it.
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

// close forgets a nonce that was not answered; a non-zero time is when it was sent in vain.
func (p *prover) close(n Nonce, host string, unanswered time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, n)
	if !unanswered.IsZero() {
		p.proof(host).Unanswered = unanswered
	}
}

// proof is the host's record. The caller locks.
func (p *prover) proof(host string) *Proof {
	if p.proofs[host] == nil {
		p.proofs[host] = &Proof{Host: host}
	}
	return p.proofs[host]
}

// receive handles a packet of this protocol from the address. It never waits.
func (p *prover) receive(now time.Time, packet []byte, from netip.AddrPort, send sendFunc) error {
	if r, ok := decodeRequest(packet); ok {
		return p.answer(now, r, from, send)
	}
	if a, ok := decodeAnswer(packet); ok {
		return p.settle(now, a, from.Addr())
	}
	return errors.New("a packet that is neither a question nor an answer")
}

// answer signs a question of an admitted agent that came from its own address in the catalog.
func (p *prover) answer(now time.Time, r request, from netip.AddrPort, send sendFunc) error {
	switch asker, ok := p.book.peer(r.asker); {
	case r.target != p.self || r.asker == p.self || p.key == nil:
		return fmt.Errorf("a question for %q", r.target)
	case !ok || !slices.Contains(asker.addresses, from.Addr()):
		return fmt.Errorf("%q asks: %w", r.asker, errWrongSource)
	}
	p.mu.Lock()
	allowed := p.sources.Allow(now, from.Addr()) && p.answers.AllowN(now, 1)
	p.mu.Unlock()
	if !allowed {
		return fmt.Errorf("%q asks too often", r.asker)
	}
	return send(answer{r.nonce, ed25519.Sign(p.key, ProofMessage(r.asker, p.self, r.nonce))}.encode(), from)
}

// settle records a valid answer.
func (p *prover) settle(now time.Time, a answer, from netip.Addr) error {
	peers := p.book.admittedPeers()
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

// forget drops what is known of hosts that have no admitted agent any more.
func (p *prover) forget(admitted func(host string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for host := range p.proofs {
		if !admitted(host) {
			delete(p.proofs, host)
		}
	}
}

// known is what this agent knows first-hand of the other hosts, by name.
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

// next is the host that the patrol asks after the one it asked before. One that has not answered for patrolRetry is
// asked once in as long only: it may be gone, of version N-1, or behind a closed port.
func (p *prover) next(now time.Time, before string) (host string, ok bool) {
	hosts := p.book.askable()
	at, _ := slices.BinarySearch(hosts, before+"\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range hosts {
		host := hosts[(at+i)%len(hosts)]
		known := p.proofs[host]
		if known == nil || known.Unanswered.Sub(known.Proved) < patrolRetry || now.Sub(known.Unanswered) >= patrolRetry {
			return host, true
		}
	}
	return "", false
}

// patrol asks one host after the other while gossip runs: so that, when an agent falls silent on NATS, the others
// already have evidence that it is alive.
func (g *Gossip) patrol(ctx context.Context) {
	ticker := time.NewTicker(g.Interval)
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
				g.Logger.Debug().Err(err).Str("host", host).Msg("no proof that a host is alive")
			}
		}
	}
}
