package demo

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// wan is the network between the hosts. What an agent sends, to another host or to the coordinator, goes through it: it takes
// as long as the distance asks, and is lost where a fault says so. Connections end at real listeners.
type wan struct {
	places map[string]place          // by the host's key
	owners map[netip.Addr]string     // an address's host
	routes map[netip.AddrPort]string // where a service really listens

	mu     sync.RWMutex
	faults []Fault
	relays sync.WaitGroup
}

// place is where a host stands.
type place struct {
	host, region        string
	latitude, longitude float64
}

// outside is where the coordinator stands: in none of the regions.
var outside = place{host: "", region: "", latitude: 50.1, longitude: 8.7}

func newWAN(c *catalog.Catalog) *wan {
	w := &wan{places: map[string]place{}, owners: map[netip.Addr]string{}, routes: map[netip.AddrPort]string{}}
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

func (w *wan) close() { w.relays.Wait() }

func (w *wan) setFaults(faults []Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append([]Fault(nil), faults...)
}

// path is the way between two places.
type path struct {
	wan      *wan
	from, to place
}

const (
	kilometersPerMs = 200 // light in glass
	detour          = 1.4 // cables do not lie on great circles
	lastMile        = time.Millisecond
	earthRadius     = 6371 // km
	poll            = 25 * time.Millisecond
	retransmit      = 200 * time.Millisecond // of a lost segment: RFC 6298 with Linux's minimum
	synRetry        = time.Second            // of a lost SYN
)

// delay is how long a packet takes one way: the great-circle distance by the haversine formula, at light's speed in glass.
func (p path) delay() time.Duration {
	rad := func(d float64) float64 { return d * math.Pi / 180 }
	h := math.Pow(math.Sin(rad(p.to.latitude-p.from.latitude)/2), 2) +
		math.Cos(rad(p.from.latitude))*math.Cos(rad(p.to.latitude))*math.Pow(math.Sin(rad(p.to.longitude-p.from.longitude)/2), 2)
	km := 2 * earthRadius * math.Asin(math.Sqrt(h))
	return lastMile + time.Duration(km/kilometersPerMs*detour*float64(time.Millisecond))
}

// broken is whether the path is cut, and which share of its packets is lost.
func (p path) broken() (cut bool, loss float64) {
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

// exchange is one packet there and one back. It reports whether both arrived, after the time that took.
func (p path) exchange(ctx context.Context) (arrived bool, err error) {
	if cut, loss := p.broken(); cut || rand.Float64() < loss || rand.Float64() < loss {
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

// dial is TCP's handshake over the path, then a connection to where it ends.
func (p path) dial(ctx context.Context, address string) (net.Conn, error) {
	for wait := synRetry; ; wait *= 2 {
		arrived, err := p.exchange(ctx)
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

// network is what the probes of one host look through.
type network struct {
	wan  *wan
	from place
}

func (w *wan) from(host string) probe.Network { return network{w, w.places[host]} }

// coordinatorDialer is how a host's agent reaches the coordinator.
func (w *wan) coordinatorDialer(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	p := path{w, w.places[host], outside}
	return func(ctx context.Context, _, address string) (net.Conn, error) { return p.dial(ctx, address) }
}

// Dial connects to a service of another host.
func (n network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	p, err := n.path(to.Addr())
	if err != nil {
		return nil, err
	}
	real, ok := n.wan.routes[to]
	if !ok {
		real = address
	}
	return p.dial(ctx, real)
}

// Ping is answered by every host that can be reached.
func (n network) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	p, err := n.path(address)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	arrived, err := p.exchange(ctx)
	if err == nil && !arrived {
		<-ctx.Done()
		err = ctx.Err()
	}
	return time.Since(began), err
}

// Resolve finds nothing: the demo's hosts are numbered.
func (n network) Resolve(_ context.Context, _ mesh.Family, name string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (n network) path(to netip.Addr) (path, error) {
	host, ok := n.wan.owners[to]
	if !ok {
		return path{}, fmt.Errorf("%w to %s", probe.ErrNoRoute, to)
	}
	return path{n.wan, n.from, n.wan.places[host]}, nil
}
