// Package server is the NATS server inside a coordinator: JetStream on the data directory, three accounts, and TLS with a CA
// of its own, made at the first start. Agents never link it.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
)

// Config is where the server keeps its state and listens.
type Config struct {
	Dir       string // keys, accounts and streams
	Listen    string // address and port for agents; port 0 lets the kernel choose
	Advertise string // address or name, with or without a port, that tokens name; empty: the machine's first global address
	// How long an agent's credentials and the server's certificate are valid; zero: Life. Both are renewed at a third of it.
	CredentialLife, CertificateLife time.Duration
	Logger                          zerolog.Logger
}

// Life is how long credentials and certificates are valid.
const Life = 90 * 24 * time.Hour

// Server is a running server, or the way to a cluster of them.
type Server struct {
	server  *natsd.Server
	trust   *trust
	ca      *authority
	servers []string
	log     zerolog.Logger
	store   string             // where the streams are
	leave   context.CancelFunc // ends what watches the connections
	tasks   sync.WaitGroup

	revoking sync.Mutex    // one change of the account at a time
	pushes   atomic.Uint64 // accounts pushed: each undoes what ban changed in memory
}

const (
	readyWait   = 20 * time.Second
	controlLine = 4096
	connections = 16 << 10
	// What the streams may take together. It is more than a small disk has, since the server holds the streams' own bounds
	// against it at once; how much room there really is, the coordinator watches.
	storeMax = 1 << 40
	// Messages that wait for the disk. What comes on top is refused, and sent again by agents that mean well: a flood holds
	// them up no longer than the disk takes for so many.
	waitingMax = 512
)

// Start starts the server and returns when it takes connections.
func Start(_ context.Context, c Config) (*Server, error) {
	host, port, err := split(c.Listen)
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
	if err := s.trust.renewAccounts(); err != nil {
		return nil, err
	}
	if err := s.trust.openResolver(); err != nil {
		return nil, err
	}
	certificates := &certificates{ca: s.ca, life: cmp.Or(c.CertificateLife, Life)}
	if _, err := certificates.current(time.Now()); err != nil {
		return nil, err
	}
	s.trust.life = cmp.Or(c.CredentialLife, Life)
	opts := &natsd.Options{
		ServerName: "coordinator", Host: host, Port: port, NoSigs: true, DontListen: false,
		JetStream: true, StoreDir: filepath.Join(c.Dir, "streams"), SyncAlways: true, JetStreamMaxStore: storeMax,
		TLS: true, TLSConfig: certificates.config(), TLSTimeout: 5,
		MaxPayload: bus.PayloadMax, MaxControlLine: controlLine, MaxConn: connections,
		LameDuckGracePeriod: 50 * time.Millisecond, LameDuckDuration: 250 * time.Millisecond,
		PingInterval: 10 * time.Second, MaxPingsOut: 2, StreamMaxBufferedMsgs: waitingMax,
	}
	s.trust.configure(opts)
	if s.server, err = natsd.NewServer(opts); err != nil {
		return nil, fmt.Errorf("bus server: %w", err)
	}
	s.server.SetLoggerV2(logger{c.Logger, c.Logger.Sample(&zerolog.BurstSampler{Burst: saidMax, Period: time.Minute})}, false, false, false)
	s.server.Start()
	if !s.server.ReadyForConnections(readyWait) {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		return nil, fmt.Errorf("bus server: not ready on %s; is the port taken by another program?", c.Listen)
	}
	s.watch()
	s.servers, err = advertised(c.Advertise, s.server.Addr().(*net.TCPAddr))
	return s, err
}

// watch has the bouncer at the door until Close.
func (s *Server) watch() {
	ctx, leave := context.WithCancel(context.Background())
	s.leave = leave
	s.tasks.Go(func() { newBouncer(s).run(ctx) })
}

// split reads an address to listen on; an empty host is every address.
func split(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w; write it as :4222 or 192.0.2.1:4222", listen, err)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen address %q: the port is a number from 0 to 65535", listen)
	}
	if host == "" {
		host = "::"
		if !hasIPv6() {
			host = "0.0.0.0"
		}
	}
	if port == 0 {
		port = natsd.RANDOM_PORT
	}
	// A port that is taken is better told here than by a server that is never ready.
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	if err != nil {
		return "", 0, fmt.Errorf("listen for agents: %w", err)
	}
	return host, port, l.Close()
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// advertised is what tokens and identities name.
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

// globalAddress is the machine's first address that others can reach, or loopback where it has none.
func globalAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("the machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String(), nil
		}
	}
	return "127.0.0.1", nil
}

// Servers are the URLs that agents are told.
func (s *Server) Servers() []string { return s.servers }

// Endpoint returns the servers and the CA that agents connect by.
func (s *Server) Endpoint() bus.Endpoint { return bus.Endpoint{Servers: s.Servers(), CA: s.CA()} }

// CA is the certificate that agents trust, in PEM.
func (s *Server) CA() []byte { return s.ca.pem }

// Issue makes an agent's credentials for its public key: a JWT that lets it speak under its own name alone.
func (s *Server) Issue(name, publicKey string) (string, error) {
	if err := bus.CheckName(name); err != nil {
		return "", err
	}
	if !bus.IsPublicKey(publicKey) {
		return "", errors.New("that is not an agent's public key")
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

// Close ends the server: its clients are told to go before it stops, so that none waits for an answer.
func (s *Server) Close() {
	if s.server == nil {
		return
	}
	s.leave()
	s.tasks.Wait()
	s.server.LameDuckShutdown()
	s.server.WaitForShutdown()
}

// logger hands the server's words on. What it says at length is for debugging.
type logger struct{ log, sparse zerolog.Logger }

// saidMax is how many warnings and errors of the server are logged in a minute: anybody who knocks can cause one.
const saidMax = 30

func (l logger) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l logger) Warnf(format string, v ...any)   { l.sparse.Warn().Msgf(format, v...) }
func (l logger) Errorf(format string, v ...any)  { l.sparse.Error().Msgf(format, v...) }
func (l logger) Fatalf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l logger) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l logger) Tracef(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
