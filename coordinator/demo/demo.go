// Package demo is a whole mesh in one process: every host of a catalog on its own loopback address with real services, an agent
// on each, and between them a wide area network that can be broken. Nothing of it is pretended but the distance.
package demo

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/spool"
)

// Demo is the hosts, their services and the network between them.
type Demo struct {
	catalog  *catalog.Catalog
	wan      *wan
	services map[serviceKey]*service
	reduced  string
	log      zerolog.Logger

	mu     sync.Mutex // of the faults
	faults []Fault
	lastID int
}

// New starts the services of the catalog's hosts, each on the host's own loopback address: NC036 is 127.0.36.1, and its port 25
// is 20025, or a free one where that is taken.
func New(source *catalog.Catalog, log zerolog.Logger) (*Demo, error) {
	d := &Demo{services: map[serviceKey]*service{}, log: log}
	c, err := localised(source)
	if err != nil {
		return nil, err
	}
	d.catalog, d.wan = c, newWAN(c)
	for i := range c.Hosts {
		if err := d.startServices(source.Host(c.Hosts[i].Key()), &c.Hosts[i]); err != nil {
			d.Close()
			return nil, err
		}
	}
	catalog.Seal(c)
	return d, nil
}

// Catalog is the catalog as the demo plays it: the same hosts and checks, at their loopback addresses.
func (d *Demo) Catalog() *catalog.Catalog { return d.catalog }

// Reduced says what this machine cannot do of the demo; empty: nothing.
func (d *Demo) Reduced() string { return d.reduced }

// localised gives every host its loopback address and every check the demo's interval.
func localised(source *catalog.Catalog) (*catalog.Catalog, error) {
	const interval = 10 * time.Second
	c := *source
	c.Hosts = make([]catalog.Host, len(source.Hosts))
	for i, h := range source.Hosts {
		var number int
		if _, err := fmt.Sscanf(digits(h.Name), "%d", &number); err != nil || number < 1 || number > 254 {
			return nil, fmt.Errorf("the demo needs hosts with a number from 1 to 254 in their name, and %s has none", h.Name)
		}
		h.Addresses = []string{fmt.Sprintf("127.0.%d.1", number)}
		checks := make([]catalog.Check, len(h.Checks))
		for k, check := range h.Checks {
			check.Interval = interval
			checks[k] = check
		}
		h.Checks = checks
		c.Hosts[i] = h
	}
	return &c, nil
}

func digits(name string) string {
	var out []rune
	for _, r := range name {
		if r >= '0' && r <= '9' {
			out = append(out, r)
		}
	}
	return string(out)
}

// Run has an agent on every host join and work until ctx ends. They are the same as on a real server, each with its own
// connection to the bus, and all they send goes through the demo's network.
func (d *Demo) Run(ctx context.Context, dir, version string, invite func(ctx context.Context, host string) (token string, err error)) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range d.catalog.Hosts {
		g.Go(func() error { return d.runAgent(ctx, d.catalog.Hosts[i].Key(), dir, version, invite) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (d *Demo) runAgent(ctx context.Context, host, dir, version string, invite func(context.Context, string) (string, error)) error {
	state := filepath.Join(dir, host)
	dial := d.wan.coordinatorDialer(host)
	id, err := identity.Load(state)
	if err != nil {
		token, err := invite(ctx, host)
		if err != nil {
			return err
		}
		if id, err = identity.Join(ctx, token, state, dial); err != nil {
			return fmt.Errorf("%s joins: %w", host, err)
		}
	}
	quiet := d.log.Level(zerolog.ErrorLevel).With().Str("agent", host).Logger()
	conn, err := bus.DialAgent(ctx, bus.AgentConfig{
		Name: id.Name, Servers: id.Servers, JWT: id.JWT, Seed: id.Seed, CA: id.CA, Dial: dial, Logger: quiet,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	return vantage.Run(ctx, vantage.Config{Name: id.Name, Version: version, Bus: conn, Network: d.wan.from(host), Spool: spool.Config{Dir: filepath.Join(state, "spool")}, Logger: quiet})
}

// Close stops the services and waits for all that goes through the network.
func (d *Demo) Close() {
	for _, s := range d.services {
		s.stop()
	}
	d.wan.close()
}

// Source is what the panel shows of the mesh.
type Source interface {
	Current() (*catalog.Catalog, *mesh.Snapshot)
	Changed() <-chan struct{}
}

// Panel is the handler of /demo/: what is broken, what can be, and the votes as they come.
func (d *Demo) Panel(source Source) http.Handler { return newPanel(d, source) }

// TemporaryDir makes a directory for the demo's state, and a function that removes it.
func TemporaryDir() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "probemesh-demo-"); err != nil {
		return "", nil, fmt.Errorf("the demo's state: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
