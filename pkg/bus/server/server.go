// Package server embeds the NATS server in a coordinator: JetStream in the data directory, an account each for
// coordinators, agents and agents that join, and TLS with a CA of its own, created at the first start. Agents never
// link it.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
)

// Config configures the server.
type Config struct {
	Dir    string // keys, accounts and streams
	Listen string // address and port for agents; port 0 takes a free port
	// The address or name, with or without a port, that tokens contain; empty: the machine's first global address.
	Advertise string
	// How long an agent's credentials and the server's certificate are valid; zero: Life. Agents renew their
	// credentials after a third of it, the server its certificate when a third is left.
	CredentialLife, CertificateLife time.Duration
	Logger                          zerolog.Logger
}

// Life is how long credentials and certificates are valid.
const Life = 90 * 24 * time.Hour

// Server is a running server, or the trust and the URLs of a cluster.
type Server struct {
	server       *natsd.Server // nil: a cluster
	proxy        *proxy        // of the server's connections
	trust        *trust
	ca           *authority
	certificates *certificates // that the server presents; nil: a cluster
	servers      []string
	log          zerolog.Logger
	store        string // directory of the streams
	stop         context.CancelFunc
	tasks        sync.WaitGroup

	revoking sync.Mutex    // one change of an account at a time
	pushes   atomic.Uint64 // accounts pushed: each push undoes what ban changed in memory
}

const (
	readyWait   = 20 * time.Second
	controlLine = 4096
	connections = 16 << 10
	// What the streams may use together. It is more than a small disk has, because the server reserves the streams' own
	// limits from it. Package diskguard watches how much space there really is.
	storeMax = 1 << 40
	// Messages that wait for the disk. The server refuses further ones, and agents send them again: a flood delays them
	// no longer than the disk needs for this many.
	waitingMax = 512
)

// Start starts the server and returns when it accepts connections.
func Start(_ context.Context, c Config) (*Server, error) {
	address, err := parseListen(c.Listen)
	if err != nil {
		return nil, err
	}
	s := &Server{log: c.Logger, store: filepath.Join(c.Dir, "streams")}
	if s.ca, err = openAuthority(filepath.Join(c.Dir, "ca")); err != nil {
		return nil, err
	}
	if s.trust, err = openTrust(filepath.Join(c.Dir, "trust")); err != nil {
		return nil, err
	}
	s.trust.life = cmp.Or(c.CredentialLife, Life)
	if err := s.trust.upgradeAccounts(); err != nil {
		return nil, err
	}
	if err := s.trust.openResolver(); err != nil {
		return nil, err
	}
	s.certificates = &certificates{ca: s.ca, life: cmp.Or(c.CertificateLife, Life)}
	// Once here, so that a CA that cannot sign stops the start and not the first connection.
	if _, err := s.certificates.current(time.Now()); err != nil {
		return nil, err
	}
	if s.server, err = natsd.NewServer(s.options()); err != nil {
		return nil, fmt.Errorf("NATS server: %w", err)
	}
	s.server.SetLoggerV2(newLogger(c.Logger), false, false, false)
	// Before the server starts, so that a port in use stops the start.
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	if err := startServer(s.server, s.trust.public); err != nil {
		_ = l.Close()
		s.server.Shutdown()
		s.server.WaitForShutdown()
		return nil, err
	}
	s.proxy = newProxy(l, s.server.InProcessConn, c.Logger)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tasks.Go(func() { newPolicer(s).run(ctx) })
	s.servers, err = advertised(c.Advertise, l.Addr().(*net.TCPAddr))
	return s, err
}

// startServer starts the embedded server and loads all accounts, before anything can use one. The server otherwise
// loads an account when it is used first. If two connections used it at once, the later of the two loads could end
// after a key was revoked or banned, and undo that.
func startServer(server *natsd.Server, accounts map[string]string) error {
	server.Start()
	if !server.ReadyForConnections(readyWait) {
		return fmt.Errorf("NATS server: not ready after %s", readyWait)
	}
	for _, name := range accountNames {
		if _, err := server.LookupAccount(accounts[name]); err != nil {
			return fmt.Errorf("NATS server: load the account %s: %w", name, err)
		}
	}
	return nil
}

// options returns the settings of the embedded server. It listens nowhere: the proxy forwards to it.
func (s *Server) options() *natsd.Options {
	opts := &natsd.Options{
		ServerName: "coordinator", DontListen: true, ProxyProtocol: true, NoSigs: true,
		// JetStream otherwise acknowledges a message before it is on the disk.
		JetStream: true, StoreDir: s.store, SyncAlways: true, JetStreamMaxStore: storeMax, StreamMaxBufferedMsgs: waitingMax,
		TLS: true, TLSConfig: s.certificates.config(), TLSTimeout: 5,
		MaxPayload: bus.PayloadMax, MaxControlLine: controlLine, MaxConn: connections,
		PingInterval: 10 * time.Second, MaxPingsOut: 2,
	}
	s.trust.configure(opts)
	return opts
}

// parseListen checks an address to listen on. An empty host is every address.
func parseListen(listen string) (string, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen address %q: %w; write it as :4222 or 192.0.2.1:4222", listen, err)
	}
	if port, err := strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", fmt.Errorf("listen address %q: the port is a number from 0 to 65535", listen)
	}
	if host == "" {
		host = "::"
		if !hasIPv6() {
			host = "0.0.0.0"
		}
	}
	return net.JoinHostPort(host, text), nil
}

// hasIPv6 reports whether this machine can listen on IPv6. A socket on [::] accepts IPv4 as well.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// advertised returns the URLs that tokens and identities contain.
func advertised(advertise string, listening *net.TCPAddr) ([]string, error) {
	port := strconv.Itoa(listening.Port)
	host := advertise
	if h, p, err := net.SplitHostPort(advertise); err == nil {
		host, port = h, p
	}
	switch {
	case host != "":
	case !listening.IP.IsUnspecified():
		host = listening.IP.String()
	default:
		var err error
		if host, err = globalAddress(); err != nil {
			return nil, err
		}
	}
	return []string{"tls://" + net.JoinHostPort(host, port)}, nil
}

// globalAddress returns the machine's first global address, or loopback if it has none.
func globalAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String(), nil
		}
	}
	return "127.0.0.1", nil
}

// Servers returns the URLs that agents connect to.
func (s *Server) Servers() []string { return s.servers }

// Endpoint returns the servers and the CA that agents connect by.
func (s *Server) Endpoint() bus.Endpoint { return bus.Endpoint{Servers: s.Servers(), CA: s.CA()} }

// CA returns the certificate that agents trust, in PEM.
func (s *Server) CA() []byte { return s.ca.pem }

// Issue creates an agent's JWT for its public key. It permits only the subjects of the agent's own name.
func (s *Server) Issue(name, publicKey string) (string, error) {
	if err := bus.CheckName(name); err != nil {
		return "", err
	}
	if !bus.IsPublicKey(publicKey) {
		return "", errors.New("issue credentials: not an agent's public key")
	}
	return s.trust.agent(name, publicKey)
}

// CoordinatorConfig returns the connection settings of this process's coordinator.
func (s *Server) CoordinatorConfig() (buscoordinator.Config, error) {
	token, seed, err := s.trust.user("mesh")
	c := buscoordinator.Config{JWT: token, Seed: seed, Logger: s.log}
	if s.server != nil {
		c.InProcess = s.server
	} else {
		c.Endpoint = s.Endpoint()
	}
	return c, err
}

// Close stops the server and closes all connections, so that no client waits for an answer.
func (s *Server) Close() {
	if s.server == nil {
		return
	}
	s.stop()
	s.tasks.Wait() // the policer asks the server for its connections
	s.proxy.stop()
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.proxy.wait()
}

// logger writes the server's log lines to ours, its notices as debug messages.
type logger struct{ log, sampled zerolog.Logger }

// logPerMinute bounds the warnings and errors of the server in the log: any client can cause them.
const logPerMinute = 30

func newLogger(log zerolog.Logger) logger {
	return logger{log, log.Sample(&zerolog.BurstSampler{Burst: logPerMinute, Period: time.Minute})}
}

func (l logger) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l logger) Fatalf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l logger) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l logger) Tracef(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }

// Warnf logs a warning of the server. A PROXY header that it cannot read is none: the proxy has closed the connection.
func (l logger) Warnf(format string, v ...any) {
	if strings.Contains(format, "PROXY protocol header") {
		l.log.Debug().Msgf(format, v...)
		return
	}
	l.sampled.Warn().Msgf(format, v...)
}

// Errorf logs an error of the server. A handshake that failed is none: anybody who connects can cause one, and each
// join does, since it reads the server's certificate by a handshake of its own before it trusts it.
func (l logger) Errorf(format string, v ...any) {
	if strings.Contains(format, "TLS handshake error") {
		l.log.Debug().Msgf(format, v...)
		return
	}
	l.sampled.Error().Msgf(format, v...)
}
