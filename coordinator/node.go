package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/connlimit"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/coordinator/overspend"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// nodeConfig is what a coordinator is started with, by serve or by the demo.
type nodeConfig struct {
	data      string
	nats      string // where agents connect
	advertise string
	external  []string         // a cluster's servers; none: the server in this process
	catalog   *catalog.Catalog // built in; nil: the file's, or the ledger's
	file      string
	turn      func(now time.Time) // told that the engine's loop turns; nil in the demo
	reserve   bool                // hold room on the disk back for the day it is full; not in the demo
	deadMan   heartbeat.Config    // its address is empty where nobody outside is told that the coordinator judges
	log       zerolog.Logger
}

// node is a coordinator's inside: the bus, the ledger, the engine and the desk, opened in this order and closed in reverse.
type node struct {
	*engine.Engine
	desk *enroller.Desk
	*keeper
	tasks   []func(context.Context) error // that run beside the engine
	closers []func()
}

func openNode(ctx context.Context, c nodeConfig) (n *node, err error) {
	n = &node{}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return n, fmt.Errorf("make the data directory: %w", err)
	}
	if err := n.lock(c.data); err != nil {
		return n, err
	}
	named := func(component string) zerolog.Logger { return c.log.With().Str("component", component).Logger() }
	natsd, err := openBus(ctx, c, named("nats"))
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, natsd.Close)
	n.keeper = &keeper{data: c.data, bus: natsd}
	way, err := natsd.Coordinator()
	if err != nil {
		return n, err
	}
	conn, err := bus.DialCoordinator(ctx, way)
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, conn.Close)
	book, err := ledger.Open(ctx, filepath.Join(c.data, "view.db"), engine.Log(conn))
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, func() { _ = book.Close() })
	n.Engine, err = engine.New(ctx, engine.Config{
		Bus: conn, Ledger: book, Catalog: c.catalog, File: c.file, Getenv: os.LookupEnv, StreamsFunc: conn.Streams, Turn: c.turn, Logger: named("engine"),
	})
	if err != nil {
		return n, err
	}
	n.attend(c, natsd)
	accountant := overspend.New(overspend.Config{
		Bus: conn, Issuer: natsd, Members: n.Engine, Catalogs: book.CatalogsSince, Warn: n.Warn, Logger: named("overspend"),
	})
	n.tasks = append(n.tasks, accountant.Run)
	n.desk = enroller.New(enroller.Config{Bus: conn, Issuer: natsd, Members: n.Engine, Now: n.MeshTime, Warn: n.Warn, Logger: named("enrol")})
	return n, nil
}

// openBus starts the server in this process, or finds the way to those of a cluster.
func openBus(ctx context.Context, c nodeConfig, log zerolog.Logger) (*server.Server, error) {
	with := server.Config{Dir: filepath.Join(c.data, "bus"), Listen: c.nats, Advertise: c.advertise, Logger: log}
	if len(c.external) > 0 {
		return server.Use(ctx, with, c.external)
	}
	return server.Start(ctx, with)
}

// lock keeps a second coordinator off the directory.
func (n *node) lock(data string) error {
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("another coordinator runs on %s", data)
	}
	n.closers = append(n.closers, func() { f.Close() })
	return nil
}

// Invite makes a token for the host.
func (n *node) Invite(ctx context.Context, host string) (string, error) {
	return n.desk.Invite(ctx, host)
}

// Revoke ends the membership of the host's agent. It tells whether that was so already.
func (n *node) Revoke(ctx context.Context, host string) (already bool, err error) {
	return n.desk.Revoke(ctx, host)
}

// RotateGossipKey begins to give the agents another gossip key, and tells when the old one will have ended.
func (n *node) RotateGossipKey(ctx context.Context) (done time.Time, err error) {
	return n.desk.RotateGossipKey(ctx)
}

// Run judges, answers those who knock, and serves, until ctx ends or something fails. Everything has ended when it returns.
func (n *node) Run(ctx context.Context, servers ...listening) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Engine.Run(ctx) })
	g.Go(func() error {
		err := n.desk.Run(ctx, make(chan struct{}))
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	for _, task := range n.tasks {
		g.Go(func() error { return task(ctx) })
	}
	for _, s := range servers {
		g.Go(func() error { return s.serve(ctx) })
	}
	return g.Wait()
}

// Close closes what openNode opened, in reverse.
func (n *node) Close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	n.closers = nil
}

// control listens for the commands.
func (n *node) control(data string) (listening, error) {
	l, err := admin.Listen(data)
	return listening{Listener: l, handler: admin.NewHandler(n)}, err
}

// listening is a listener and what it serves.
type listening struct {
	net.Listener
	handler http.Handler
	door    *connlimit.Door // nil for those whom the file system lets in
}

const shutdownWait = 2 * time.Second

// listen opens a TCP address for HTTP.
func listen(address string, handler http.Handler) (listening, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return listening{}, fmt.Errorf("listen on %s: %w", address, err)
	}
	d := connlimit.New(l, connlimit.Config{})
	return listening{d, handler, d}, nil
}

// serve answers until ctx ends, then gives readers a moment to finish. Readers of events are told to go at once.
func (l listening) serve(ctx context.Context) error {
	going, leave := context.WithCancel(context.Background())
	defer leave()
	s := &http.Server{
		Handler: l.handler, ReadHeaderTimeout: connlimit.HeaderWait, IdleTimeout: connlimit.IdleWait,
		BaseContext: func(net.Listener) context.Context { return going },
	}
	if l.door != nil {
		l.door.Bound(s)
	}
	var ending errgroup.Group
	stop := context.AfterFunc(ctx, func() {
		leave()
		ending.Go(func() error {
			end, cancel := context.WithTimeout(context.Background(), shutdownWait)
			defer cancel()
			return s.Shutdown(end)
		})
	})
	err := s.Serve(l)
	stop()
	_ = ending.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// loopback reports whether an address to listen on is this machine's alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secured speaks TLS where there is a certificate.
func (l listening) secured(certificate, key string) (listening, error) {
	if certificate == "" && key == "" {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		l.Close()
		return l, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	l.Listener = tls.NewListener(l.Listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	return l, nil
}
