// Package gossip tells who is alive by what the agents say to one another, beside NATS and without a coordinator. It is a second
// opinion and never a vote. Start it, tell it the catalog with SetCatalog, look at Members, ask a host directly with Ping, and end
// it with Close.
package gossip

import (
	"context"
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
	Name    string   // the host's key
	Version string   // the agent's, told to the others
	Listen  string   // address and port, as DefaultListen; the others are expected at the same port. Port 0 is any free one, for tests
	Keys    [][]byte // 16, 24 or 32 bytes each, the one to encrypt with first. Without any there is no gossip until SetKeys
	// Interval is the time between probes; zero is two seconds. Only tests set it.
	Interval time.Duration
	Logger   zerolog.Logger
}

// Gossip is this agent's part in the mesh's gossip. One goroutine owns its life; its methods may be called from any.
type Gossip struct {
	Config
	bind     netip.Addr // zero: all addresses
	port     int
	book     *book
	ring     *memberlist.Keyring // of the owner
	list     atomic.Pointer[memberlist.Memberlist]
	catalogs chan *catalog.Catalog
	keys     chan [][]byte
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
}

// Start begins to gossip as soon as there is a catalog that names this host and a key. A port that is taken is a warning, and is
// tried again every minute.
func Start(ctx context.Context, c Config) (*Gossip, error) {
	if c.Interval == 0 {
		c.Interval = probeInterval
	}
	host, service, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address to gossip at, as in %s: %w", c.Listen, DefaultListen, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is not a port to gossip at; a port is a number up to 65535", service)
	}
	g := &Gossip{
		Config: c, port: int(port), book: newBook(c.Name, c.Interval), catalogs: make(chan *catalog.Catalog, 1), keys: make(chan [][]byte, 1),
	}
	if host != "" {
		if g.bind, err = netip.ParseAddr(host); err != nil {
			return nil, fmt.Errorf("%q is not an address to gossip at: %w", host, err)
		}
	}
	if err := checkKeys(c.Keys); err != nil {
		return nil, err
	}
	ctx, g.cancel = context.WithCancel(ctx)
	g.tasks.Go(func() { g.own(ctx) })
	return g, nil
}

// Close tells the others that this agent leaves, and returns when everything has ended.
func (g *Gossip) Close() {
	g.cancel()
	g.tasks.Wait()
}

// SetCatalog tells who may take part, and where they are. It does not wait.
func (g *Gossip) SetCatalog(c *catalog.Catalog) {
	g.book.allow(c)
	replace(g.catalogs, c)
}

// SetKeys replaces the ring while gossip goes on. Members keep one another when a new key is first added behind the old one
// everywhere, then put before it everywhere, and only then the old one is taken away. It does not wait.
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
func (g *Gossip) Members() []Member { return g.book.members(time.Now()) }

// Ping asks a host of the catalog itself, over UDP, whether it is there. Its acknowledgement shows in Members.
func (g *Gossip) Ping(host string) error {
	list, to := g.list.Load(), g.book.address(host, g.port)
	if list == nil || !to.IsValid() {
		return ErrNotRunning
	}
	sent := time.Now()
	rtt, err := list.Ping(host, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return fmt.Errorf("ping %s by gossip: %w", host, err)
	}
	g.book.acknowledged(host, sent, rtt)
	return nil
}
