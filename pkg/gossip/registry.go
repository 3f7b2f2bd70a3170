package gossip

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// State is the state of a member.
type State string

// The states of a member. A suspect has not acknowledged this agent's own probes lately, although others report it
// alive.
const (
	Alive   State = "alive"
	Suspect State = "suspect"
	Dead    State = "dead"
	Left    State = "left" // it announced that it leaves: its agent was stopped
)

// Member is another host of the catalog, as this agent's gossip knows it.
type Member struct {
	Name    string         `json:"name"` // the host's key
	Address netip.AddrPort `json:"address"`
	Region  string         `json:"region,omitempty"`
	Version string         `json:"version,omitempty"`
	State   State          `json:"state"`
	Since   time.Time      `json:"since"` // when it joined, died or left
	// Asked is when the latest probe was sent that it acknowledged directly, over UDP; zero where there is none.
	Asked time.Time     `json:"asked,omitzero"`
	RTT   time.Duration `json:"rtt"` // of that probe, nanoseconds
}

// peer is a host of the catalog.
type peer struct {
	addresses []netip.Addr      // as the catalog has them, and those that its name resolves to
	named     string            // the name that the catalog has in place of an IP address, or empty
	first     netip.Addr        // the address to request proofs at; zero: the first of addresses
	key       ed25519.PublicKey // of its admitted agent; nil: none is known
	admitted  bool              // its agent may gossip
}

// registry records the catalog's hosts and what is known of the members. memberlist writes to it from goroutines of
// its own, so it has a lock.
type registry struct {
	self     string
	interval time.Duration

	mu      sync.Mutex
	peers   map[string]peer // of the catalog, this host too; replaced as a whole, never changed
	sources map[netip.Addr]bool
	known   map[string]*Member
	leaving map[string]bool // those that announced that they leave
}

func newRegistry(self string, interval time.Duration) *registry {
	return &registry{
		self: self, interval: interval, peers: map[string]peer{}, known: map[string]*Member{},
		leaving: map[string]bool{},
	}
}

// setCatalog sets who may take part: the catalog's hosts whose agents are admitted, at their addresses. Nil keys,
// from a coordinator that does not send them, admit every host, and none of them can prove anything.
func (r *registry) setCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	peers := map[string]peer{}
	for i := range c.Hosts {
		name := c.Hosts[i].Key()
		p := peer{key: keys[name], admitted: keys == nil || keys[name] != nil, first: firstAddress(&c.Hosts[i])}
		for _, a := range c.Hosts[i].Addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				p.addresses = append(p.addresses, ip.Unmap())
			} else {
				p.named = a
			}
		}
		if was := r.peers[name]; p.named != "" && was.named == p.named {
			p.addresses = was.addresses // until it is resolved again
		}
		peers[name] = p
	}
	r.replacePeers(peers)
	// A host that is in the catalog but not admitted is only hidden: it may be admitted again while memberlist has it.
	for name := range r.known {
		if _, ok := r.peers[name]; !ok {
			delete(r.known, name)
			delete(r.leaving, name)
		}
	}
}

// firstAddress returns the host's address of the family of which the judge accepts proofs: the first family,
// whichever address the catalog lists first. It is zero for a host with a name.
func firstAddress(h *catalog.Host) (a netip.Addr) {
	if families := h.Families(); len(families) > 0 {
		a, _ = netip.ParseAddr(h.Address(families[0])) // it fails for a name
	}
	return a.Unmap()
}

// replacePeers sets the peers and the addresses from which gossip is accepted. The caller locks.
func (r *registry) replacePeers(peers map[string]peer) {
	r.peers, r.sources = peers, map[netip.Addr]bool{}
	for name, p := range peers {
		if p.admitted && name != r.self {
			for _, a := range p.addresses {
				r.sources[a] = true
			}
		}
	}
}

// accepts reports whether gossip from the address is accepted: it is a known address of an admitted host.
func (r *registry) accepts(from netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[from]
}

// namedPeers returns the other admitted hosts that have a name in place of an IP address, and that name.
func (r *registry) namedPeers() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	for name, p := range r.peers {
		if p.named != "" && p.admitted && name != r.self {
			out[name] = p.named
		}
	}
	return out
}

// setResolved sets the addresses that a host's name resolves to.
func (r *registry) setResolved(host, named string, addresses []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[host]
	if !ok || p.named != named {
		return
	}
	peers := maps.Clone(r.peers)
	p.addresses = addresses
	peers[host] = p
	r.replacePeers(peers)
}

// peer returns an admitted host.
func (r *registry) peer(name string) (peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[name]
	return p, ok && p.admitted
}

// allPeers returns the hosts of the catalog; one that is not admitted has no key. The map is never changed.
func (r *registry) allPeers() map[string]peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers
}

// provable returns the other hosts that can prove that they are alive, by name.
func (r *registry) provable() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for name, p := range r.peers {
		if name != r.self && p.key != nil && len(p.addresses) > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// proofAddresses returns where to request a proof: at the host's address of the first family, which alone a proof is
// about. The port is this agent's own, since all agents use the same one. Where the host advertises another it is
// tried too, but never instead: any member could have advertised it.
func (r *registry) proofAddresses(name string, port int) (out []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[name]
	if name == r.self || p.key == nil || len(p.addresses) == 0 {
		return nil
	}
	at := p.first
	if !at.IsValid() {
		at = p.addresses[0]
	}
	out = append(out, netip.AddrPortFrom(at, uint16(port)))
	if m := r.known[name]; m != nil && m.Address.Port() != uint16(port) && m.Address.Port() != 0 {
		out = append(out, netip.AddrPortFrom(at, m.Address.Port()))
	}
	return out
}

var (
	errUnknownHost  = errors.New("the catalog has no such host, or its agent is not admitted")
	errWrongAddress = errors.New("the catalog has the host at another address")
)

// admit returns an error where a host may not be a member.
func (r *registry) admit(name string, at netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[name]
	switch {
	case !ok || !p.admitted && name != r.self:
		return errUnknownHost
	case name != r.self && !slices.Contains(p.addresses, at):
		return errWrongAddress
	}
	return nil
}

func (r *registry) joined(name string, at netip.Addr, port uint16, m Meta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.peers[name].admitted || name == r.self {
		return
	}
	delete(r.leaving, name)
	member := Member{
		Name: name, State: Alive, Since: time.Now(), Address: netip.AddrPortFrom(at, port),
		Region: m.Region, Version: m.Version,
	}
	if was := r.known[name]; was != nil {
		member.Asked, member.RTT = was.Asked, was.RTT
	}
	r.known[name] = &member
}

func (r *registry) updated(name string, m Meta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if member := r.known[name]; member != nil {
		member.Region, member.Version = m.Region, m.Version
	}
}

// markLeaving notes that a host announced that it leaves. It has left once memberlist removes it; the announcement
// may arrive after that, over the slower path.
func (r *registry) markLeaving(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch member := r.known[name]; {
	case member == nil:
	case member.State == Dead && time.Since(member.Since) < leaveMessageLate:
		member.State = Left
	default:
		r.leaving[name] = true
	}
}

// leaveMessageLate is how long after a host was removed its announcement of leaving may arrive.
const leaveMessageLate = 10 * time.Second

func (r *registry) removed(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	member := r.known[name]
	if member == nil {
		return
	}
	member.State, member.Since = Dead, time.Now()
	if r.leaving[name] {
		member.State = Left
	}
}

func (r *registry) acknowledged(name string, asked time.Time, rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	member := r.known[name]
	if member == nil {
		return // it answers a probe, but has not joined yet
	}
	if asked.After(member.Asked) {
		member.Asked, member.RTT = asked, rtt
	}
}

// members returns all members, by name.
func (r *registry) members(now time.Time) []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Member, 0, len(r.known))
	// Each member is probed once in a cycle, which failed probes of others prolong. One that missed three is a suspect.
	suspectAfter := 3 * r.interval * time.Duration(r.alive()+1)
	for _, m := range r.known {
		if !r.peers[m.Name].admitted {
			continue
		}
		member := *m
		if latest := later(m.Asked, m.Since); m.State == Alive && now.Sub(latest) > suspectAfter {
			member.State = Suspect
		}
		out = append(out, member)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// alive returns how many members are alive. The caller locks.
func (r *registry) alive() (n int) {
	for _, m := range r.known {
		if m.State == Alive && r.peers[m.Name].admitted {
			n++
		}
	}
	return n
}

func (r *registry) isolated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alive() == 0
}

// address returns where to contact the host: the address that it advertised, else the catalog's. It is zero for an
// unknown host, and for one whose name has not been resolved.
func (r *registry) address(name string, port int) netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.known[name]; m != nil && m.State == Alive {
		return m.Address
	}
	if p := r.peers[name]; len(p.addresses) > 0 {
		return netip.AddrPortFrom(p.addresses[0], uint16(port))
	}
	return netip.AddrPort{}
}

// seed is a host to contact in order to join.
type seed struct{ name, named string }

// notAlive returns the other hosts of the catalog that are not alive.
func (r *registry) notAlive() []seed {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []seed
	for name, p := range r.peers {
		if m := r.known[name]; name != r.self && p.admitted && (m == nil || m.State != Alive) {
			out = append(out, seed{name, p.named})
		}
	}
	return out
}
