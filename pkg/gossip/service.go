// Package gossip keeps the agents' membership beside NATS and without a coordinator, and collects proofs that hosts
// are alive. Members is what agents report of one another: a second opinion, which any agent can forge. Proofs are
// evidence: signatures of the hosts themselves, see proof.go. Start it, give it the catalog and the admitted agents'
// keys with SetCatalog, look at Members and Proofs, ask a host for a proof with Prove, and end it with Close.
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

// DefaultListen is where an agent gossips unless told otherwise.
const DefaultListen = ":7946"

const (
	probeInterval = 2 * time.Second // between the probes that one member sends, each to the next of the others
	suspicion     = 4               // intervals, times the logarithm of the mesh, until a suspect is dead
	rejoinEvery   = time.Minute     // those who are not alive are knocked at again, so that a mesh that was cut in two finds together
	aloneEvery    = 5 * time.Second // the same while nobody is alive
	seedsMax      = 5               // knocked at in one go: the others are learned from any of them
	leaveMax      = time.Second     // for the word of leaving to go out
	resolveMax    = 5 * time.Second // to look up the address of a host that is named
	tcpMax        = 10 * time.Second
	reclaimAfter  = 30 * time.Second // a dead host may come back by another address after so long
)

// ErrNotRunning says that this agent does not gossip: it has no key, no catalog that names it, or no port.
var ErrNotRunning = errors.New("gossip is not running")

// Config is what gossip is started with.
type Config struct {
	Name    string // the host's key
	Version string // the agent's, announced to the others
	Listen  string // address and port, as DefaultListen; the others are expected at the same port. Port 0 is any free one, for tests
	// Key is the agent's enrolment key, which signs proofs for others. Without it this agent proves nothing.
	Key  ed25519.PrivateKey
	Keys [][]byte // 16, 24 or 32 bytes each, the one to encrypt with first. Without any there is no gossip until SetKeys
	// Interval is the time between probes; zero is two seconds. Only tests set it.
	Interval time.Duration
	Logger   zerolog.Logger
}

// Gossip is this agent's part in the mesh's gossip. One goroutine owns its life; its methods may be called from any.
type Gossip struct {
	Config
	bind     netip.Addr // zero: all addresses
	port     int
	registry *registry
	prover   *prover
	net      atomic.Pointer[transport] // of list
	ring     *memberlist.Keyring       // of the owner
	list     atomic.Pointer[memberlist.Memberlist]
	catalogs chan *catalog.Catalog // the newest that the owner has not seen
	keys     chan [][]byte
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
}

// Start begins to gossip as soon as there is a catalog that names this host and a key. A port that is taken is a
// warning, and is tried again every minute.
func Start(ctx context.Context, c Config) (*Gossip, error) {
	if c.Interval == 0 {
		c.Interval = probeInterval
	}
	bind, port, err := ParseListen(c.Listen)
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		Config: c, bind: bind, port: port, registry: newRegistry(c.Name, c.Interval), catalogs: make(chan *catalog.Catalog, 1),
		keys: make(chan [][]byte, 1),
	}
	if err := checkKeys(c.Keys); err != nil {
		return nil, err
	}
	g.prover = newProver(c.Name, c.Key, g.registry)
	ctx, g.cancel = context.WithCancel(ctx)
	g.tasks.Go(func() { g.manage(ctx) })
	g.tasks.Go(func() { g.patrol(ctx) })
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

// Close tells the others that this agent leaves, and returns when everything has ended.
func (g *Gossip) Close() {
	g.cancel()
	g.tasks.Wait()
}

// SetCatalog sets where the hosts are, and whose agents are admitted: gossip from other addresses is dropped, and a
// proof needs the host's key. Nil keys admit every host, see registry.allow. It does not wait.
func (g *Gossip) SetCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey) {
	g.registry.allow(c, keys)
	g.prover.forget(func(host string) bool { _, ok := g.registry.peer(host); return ok })
	replace(g.catalogs, c)
}

// SetKeys replaces the ring while gossip goes on. Members keep one another when a new key is first added behind the
// old one everywhere, then put before it everywhere, and only then the old one is taken away. It does not wait.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	replace(g.keys, keys)
	return nil
}

// replace puts the newest word where the owner finds it, instead of an older one. Each mailbox has one writer.
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

// Members are the other hosts of the catalog that were ever heard of, by name.
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
