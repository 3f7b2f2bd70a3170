package demo

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// wan emulates the wide area network between the hosts. All that an agent sends, to another host or to the coordinator,
// crosses it: it takes as long as the distance requires, and faults lose it. Connections end at real listeners.
type wan struct {
	places map[string]place          // by the host's key
	owners map[netip.Addr]string     // the host's key by its address
	routes map[netip.AddrPort]string // the real address of a service, if it could not have its own

	mu     sync.RWMutex
	faults []Fault

	relays sync.WaitGroup // the goroutines of all connections, which end with open
	open   context.Context
	end    context.CancelFunc
}

// place is where a host is.
type place struct {
	host, region        string
	latitude, longitude float64
}

// coordinatorPlace is in none of the regions, so that cutting any of them cuts its agents off from the coordinator.
var coordinatorPlace = place{host: "", region: "", latitude: 50.1, longitude: 8.7}

func newWAN(c *catalog.Catalog) *wan {
	w := &wan{places: map[string]place{}, owners: map[netip.Addr]string{}, routes: map[netip.AddrPort]string{}}
	w.open, w.end = context.WithCancel(context.Background())
	for i := range c.Hosts {
		h := &c.Hosts[i]
		p := place{host: h.Key(), region: h.Region}
		if r := c.Region(h.Region); r != nil {
			p.latitude, p.longitude = r.Latitude, r.Longitude
		}
		w.places[h.Key()] = p
		w.owners[netip.MustParseAddr(h.Addresses[0])] = h.Key()
	}
	return w
}

// close ends all connections, also one that its owner gave up without closing it, and waits for them.
func (w *wan) close() {
	w.end()
	w.relays.Wait()
}

func (w *wan) setFaults(faults []Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append([]Fault(nil), faults...)
}

// path connects two places.
type path struct {
	wan      *wan
	from, to place
}

const (
	kilometersPerMs = 200                    // light in glass
	detour          = 1.4                    // cables do not follow great circles
	lastMile        = time.Millisecond       // of every path, even within a city
	earthRadius     = 6371                   // km
	cutPoll         = 25 * time.Millisecond  // how soon a mended path is noticed
	retransmit      = 200 * time.Millisecond // after a lost segment: RFC 6298 with Linux's minimum
	synRetry        = time.Second            // after a lost SYN, doubled each time
)

// delay is the time that a packet takes one way: the great-circle distance by the haversine formula, at the speed of
// light in glass.
func (p path) delay() time.Duration {
	rad := func(d float64) float64 { return d * math.Pi / 180 }
	sin2 := func(from, to float64) float64 { return math.Pow(math.Sin(rad(to-from)/2), 2) }
	h := sin2(p.from.latitude, p.to.latitude) +
		math.Cos(rad(p.from.latitude))*math.Cos(rad(p.to.latitude))*sin2(p.from.longitude, p.to.longitude)
	km := 2 * earthRadius * math.Asin(math.Sqrt(h))
	return lastMile + time.Duration(km/kilometersPerMs*detour*float64(time.Millisecond))
}

// condition returns whether a fault cuts the path, and which share of its packets is lost.
func (p path) condition() (cut bool, loss float64) {
	p.wan.mu.RLock()
	defer p.wan.mu.RUnlock()
	for _, f := range p.wan.faults {
		touches := f.Host != "" && (p.from.host == mesh.Key(f.Host) || p.to.host == mesh.Key(f.Host))
		crosses := f.Region != "" && (p.from.region == f.Region) != (p.to.region == f.Region)
		switch f.Fault {
		case faultFreeze:
			cut = cut || touches
		case faultCut:
			cut = cut || crosses
		case faultLoss:
			if touches || crosses || f.Host == "" && f.Region == "" {
				loss = max(loss, f.Loss)
			}
		}
	}
	return cut, loss
}

// roundTrip sends one packet there and one back. It reports whether both arrived, after the time that this takes.
func (p path) roundTrip(ctx context.Context) (arrived bool, err error) {
	if cut, loss := p.condition(); cut || rand.Float64() < loss || rand.Float64() < loss {
		return false, nil
	}
	return true, sleep(ctx, 2*p.delay())
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// dial makes TCP's handshake over the path and then connects to the address, where the path ends.
func (p path) dial(ctx context.Context, address string) (net.Conn, error) {
	for wait := synRetry; ; wait *= 2 {
		arrived, err := p.roundTrip(ctx)
		if err == nil && !arrived {
			err = sleep(ctx, wait)
		}
		if err != nil {
			return nil, err
		}
		if arrived {
			break
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return p.relay(conn), nil
}

// network is the network as the probes of one host see it.
type network struct {
	wan  *wan
	from place
}

// from is the network of the host with this key.
func (w *wan) from(host string) probe.Network { return network{w, w.places[host]} }

// coordinatorDialer returns how a host's agent dials the coordinator.
func (w *wan) coordinatorDialer(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	p := path{w, w.places[host], coordinatorPlace}
	return func(ctx context.Context, _, address string) (net.Conn, error) { return p.dial(ctx, address) }
}

// Dial connects to a service of another host.
func (n network) Dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	p, err := n.path(to.Addr())
	if err != nil {
		return nil, err
	}
	if real, ok := n.wan.routes[to]; ok {
		address = real
	}
	if strings.HasPrefix(protocol, "udp") {
		return p.dialDatagrams(ctx, address)
	}
	return p.dial(ctx, address)
}

// Ping returns the round-trip time to a host. Every host that can be reached answers; otherwise Ping lasts until ctx
// ends, as a real one.
func (n network) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	p, err := n.path(address)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	arrived, err := p.roundTrip(ctx)
	if err == nil && !arrived {
		<-ctx.Done()
		err = ctx.Err()
	}
	return time.Since(began), err
}

// Resolve finds nothing: the demo's catalog has addresses only.
func (n network) Resolve(_ context.Context, _ mesh.Family, name string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// path returns the path to the host with this address.
func (n network) path(to netip.Addr) (path, error) {
	host, ok := n.wan.owners[to]
	if !ok {
		return path{}, fmt.Errorf("%w to %s", probe.ErrNoRoute, to)
	}
	return path{n.wan, n.from, n.wan.places[host]}, nil
}
