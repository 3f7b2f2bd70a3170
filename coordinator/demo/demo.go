// Package demo runs a whole mesh in one process: a coordinator, every host of the example catalog on its own loopback
// address with real services and an agent, and between them an emulated wide area network that can be broken. Only the
// network is emulated: the coordinator is that of package node, the agents and the services are real.
package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/deploy/examples"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/spool"
)

// Config configures a demonstration.
type Config struct {
	Listen    string // the status page and the panel
	OpsListen string // the operators' view; loopback only
	Version   string // of the program
	Logger    zerolog.Logger
}

// Demo is a coordinator and the hosts that it watches, with their services, their agents and the network between them.
type Demo struct {
	config   Config
	dir      string // the state of the coordinator and of every agent
	node     *node.Node
	catalog  *catalog.Catalog
	wan      *wan
	services map[serviceKey]*service
	zone     *zone

	certificates certificates

	reduced string // see Reduced

	mu     sync.Mutex // guards what follows
	faults []Fault
	lastID int
}

// Open starts the services of the example catalog's hosts and a coordinator for them. Each host has its own loopback
// address: NC036 is 127.0.36.1, and its port 25 is 20025, or a free one if that is taken. Run then starts the agents.
// The caller calls Close.
func Open(ctx context.Context, c Config) (_ *Demo, err error) {
	source, err := catalogfile.Parse("ninernet.yaml", examples.Ninernet, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	d := &Demo{config: c, services: map[serviceKey]*service{}, zone: newZone()}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.dir, err = os.MkdirTemp("", "probemesh-demo-"); err != nil {
		return nil, fmt.Errorf("create the demo's state directory: %w", err)
	}
	if d.certificates, err = newCertificates(filepath.Join(d.dir, "authority.pem")); err != nil {
		return nil, fmt.Errorf("make the demo's certificates: %w", err)
	}
	if d.catalog, err = onLoopback(source); err != nil {
		return nil, err
	}
	d.wan = newWAN(d.catalog)
	for i := range d.catalog.Hosts {
		if err := d.startServices(source.Host(d.catalog.Hosts[i].Key()), &d.catalog.Hosts[i]); err != nil {
			return nil, err
		}
	}
	d.findServers(source)
	// Sealed only now, since startServices writes the ports that it found free into the catalog.
	catalog.Seal(d.catalog)
	d.node, err = node.Open(ctx, node.Config{
		Data: d.dir, Version: c.Version, Catalog: d.catalog, NATSListen: "127.0.0.1:0", Advertise: "127.0.0.1",
		Listen: c.Listen, OpsListen: c.OpsListen, Logger: c.Logger,
		Panel: &node.Panel{
			Path: panelPath, Title: panelTitle,
			Handler: func(source node.Source) http.Handler { return newPanel(d, source) },
		},
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Run runs the coordinator and an agent on every host until ctx ends or one of them fails. The agents are the same as
// on a real server, each with its own connection to the bus, and all their traffic crosses the demo's network.
func (d *Demo) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return d.node.Run(running) })
	for i := range d.catalog.Hosts {
		g.Go(func() error { return d.runAgent(running, d.catalog.Hosts[i].Key()) })
	}
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // every part fails when it is interrupted; that is how a demo ends
}

// Close closes the coordinator, stops the services, waits for all traffic between them, and removes the state.
func (d *Demo) Close() {
	if d.node != nil {
		d.node.Close()
	}
	for _, s := range d.services {
		s.stop()
	}
	if d.wan != nil {
		d.wan.close()
	}
	_ = os.RemoveAll(d.dir)
}

// PublicAddr is where the status page listens.
func (d *Demo) PublicAddr() net.Addr { return d.node.PublicAddr() }

// OpsAddr is where the operators' view listens.
func (d *Demo) OpsAddr() net.Addr { return d.node.OpsAddr() }

// Reduced says what of the demo this machine cannot do; empty if it can do everything.
func (d *Demo) Reduced() string { return d.reduced }

// onLoopback copies a catalog with a loopback address for every host, which is made of the number in its name, and a
// short interval for every check.
func onLoopback(source *catalog.Catalog) (*catalog.Catalog, error) {
	const interval = 10 * time.Second // so that a visitor sees a verdict within half a minute
	c := *source
	c.Hosts = make([]catalog.Host, len(source.Hosts))
	for i, h := range source.Hosts {
		var number int
		if _, err := fmt.Sscanf(digits(h.Name), "%d", &number); err != nil || number < 1 || number > 254 {
			return nil, fmt.Errorf("the demo needs a number from 1 to 254 in each host's name, and %s has none", h.Name)
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

// runAgent has the host's agent join and run.
func (d *Demo) runAgent(ctx context.Context, host string) error {
	state := filepath.Join(d.dir, host)
	dial := d.wan.coordinatorDialer(host)
	id, err := identity.Load(state)
	if err != nil {
		token, err := d.node.Invite(ctx, host)
		if err != nil {
			return err
		}
		if id, err = identity.Join(ctx, token, state, dial); err != nil {
			return fmt.Errorf("join %s: %w", host, err)
		}
	}
	// A broken network is what visitors come for: its warnings would fill the terminal.
	quiet := d.config.Logger.Level(zerolog.ErrorLevel).With().Str("agent", host).Logger()
	conn, err := busagent.Dial(ctx, busagent.Config{
		Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, Seed: id.Seed, Dial: dial, Logger: quiet,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	return vantage.Run(ctx, vantage.Config{
		Name: id.Name, Version: d.config.Version, Bus: conn, Network: d.wan.from(host),
		Spool: spool.Config{Dir: filepath.Join(state, "spool")}, Logger: quiet,
	})
}
