// Package gossip maintains the agents' membership beside NATS and without a coordinator, and collects proofs that
// hosts are alive. Members is what agents report of one another: a second opinion, which any agent can forge. Proofs
// are evidence: signatures of the hosts themselves, see proof.go.
//
// Start it, give it the catalog and the admitted agents' keys with SetCatalog, read Members and Proofs, request a
// proof with Prove, and end it with Close. service.go is this interface, membership.go runs memberlist, registry.go
// is what is known of the members, transport.go bounds what comes in, and prover.go sends and answers requests for
// proofs.
package gossip

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// DefaultListen is the address at which an agent gossips by default.
const DefaultListen = ":7946"

const (
	probeInterval = 2 * time.Second // between two probes of one member, each to the next of the others
	suspicion     = 4               // intervals, times the logarithm of the mesh's size, until a suspect is dead

	// rejoinEvery is how often members that are not alive are contacted again, so that a mesh that was cut in two
	// unites.
	rejoinEvery         = time.Minute
	rejoinIsolatedEvery = 5 * time.Second // the same while no other member is alive
	seedsMax            = 5               // contacted at once: any one of them knows the others

	leaveMax     = time.Second      // for the message of leaving to be sent
	resolveMax   = 5 * time.Second  // to look up a host's name
	tcpMax       = 10 * time.Second // for one exchange over TCP
	reclaimAfter = 30 * time.Second // until a dead host may return with another address
)

// ErrNotRunning is returned by Prove while this agent has no gossip key, no catalog that names it, or no port.
var ErrNotRunning = errors.New("gossip is not running")

// Config configures gossip.
type Config struct {
	Name    string // the host's key
	Version string // the agent's, announced to the others
	Listen  string // as DefaultListen; the others are expected at the same port. Port 0 is any free one, for tests
	// Key is the agent's enrolment key, which signs proofs. Without it this agent proves nothing.
	Key ed25519.PrivateKey
	// Keys have 16, 24 or 32 bytes each, the one to encrypt with first. Without any, gossip begins with SetKeys.
	Keys [][]byte
	// Interval is the time between probes; zero is two seconds. Only tests set it.
	Interval time.Duration
	Logger   zerolog.Logger
}

// Gossip is this agent's membership. Its methods may be called from any goroutine.
type Gossip struct {
	config   Config
	bind     netip.Addr // zero: all addresses
	port     int
	registry *registry
	prover   *prover
	net      atomic.Pointer[transport] // of list
	ring     *memberlist.Keyring       // of list; only manage uses it
	list     atomic.Pointer[memberlist.Memberlist]
	catalogs chan *catalog.Catalog // the newest one, until manage receives it
	keys     chan [][]byte
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
}

// Start begins to gossip as soon as there are a key and a catalog that names this host. A port in use is logged and
// tried again every minute.
func Start(ctx context.Context, c Config) (*Gossip, error) {
	if c.Interval == 0 {
		c.Interval = probeInterval
	}
	bind, port, err := ParseListen(c.Listen)
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		config: c, bind: bind, port: port, registry: newRegistry(c.Name, c.Interval),
		catalogs: make(chan *catalog.Catalog, 1), keys: make(chan [][]byte, 1),
	}
	if err := checkKeys(c.Keys); err != nil {
		return nil, err
	}
	g.prover = newProver(c.Name, c.Key, g.registry)
	ctx, g.cancel = context.WithCancel(ctx)
	g.tasks.Go(func() { g.manage(ctx) })
	g.tasks.Go(func() { g.requestProofs(ctx) })
	return g, nil
}

// ParseListen reads an address to gossip at, such as DefaultListen. The zero address is all of the machine's; port 0
// is any free one.
func ParseListen(listen string) (bind netip.Addr, port int, err error) {
	host, service, err := net.SplitHostPort(listen)
	if err != nil {
		return bind, 0, fmt.Errorf("%q is not an address to gossip at, as in %s: %w", listen, DefaultListen, err)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return bind, 0, fmt.Errorf("%q is not a port to gossip at; a port is a number up to 65535", service)
	}
	if host != "" {
		if bind, err = netip.ParseAddr(host); err != nil {
			return bind, 0, fmt.Errorf("%q is not an address to gossip at: %w", host, err)
		}
	}
	return bind, int(n), nil
}

// Close tells the other members that this agent leaves, and returns after everything has ended.
func (g *Gossip) Close() {
	g.cancel()
	g.tasks.Wait()
}

// SetCatalog sets where the hosts are, and whose agents are admitted: gossip from other addresses is dropped, and a
// proof needs the host's key. Nil keys admit every host, see registry.setCatalog. It does not wait.
func (g *Gossip) SetCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey) {
	g.registry.setCatalog(c, keys)
	g.prover.forget(func(host string) bool { _, ok := g.registry.peer(host); return ok })
	replace(g.catalogs, c)
}

// SetKeys replaces the keyring while gossip goes on. Members stay in contact when a new key is first added behind the
// old one everywhere, then put before it everywhere, and the old one is removed last. It does not wait.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	replace(g.keys, keys)
	return nil
}

// replace puts the newest value into a channel with a buffer of one, in place of an older one that was not received.
// Each channel has one sender.
func replace[T any](mailbox chan T, v T) {
	for {
		select {
		case mailbox <- v:
			return
		default:
		}
		select {
		case <-mailbox:
		default:
		}
	}
}

// Members returns the other hosts of the catalog that were members at any time, by name.
func (g *Gossip) Members() []Member { return g.registry.members(time.Now()) }

// Proofs returns this agent's first-hand evidence about the other hosts, by name.
func (g *Gossip) Proofs() []Proof { return g.prover.known() }

// Prove asks a host for a proof that it is alive, and returns nil once the host signed this agent's nonce. It waits a
// second at most. The proof shows in Proofs.
func (g *Gossip) Prove(ctx context.Context, host string) error {
	net := g.net.Load()
	if net == nil {
		return ErrNotRunning
	}
	return g.prover.prove(ctx, host, g.port, net.send)
}
