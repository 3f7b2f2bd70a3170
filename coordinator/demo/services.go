package demo

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/probemesh/probemesh/pkg/catalog"
)

type serviceKey struct{ host, check string } // the host's key

// service is a server of a host that can be stopped, and started again at the same address.
type service struct {
	address string
	build   func(*manners) server
	manners *manners

	mu  sync.Mutex
	end func() // stops the server and waits for it; nil while it is stopped
}

// server serves a listener until it is closed.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// packetServer is a server that answers over UDP too, at the same port.
type packetServer interface {
	server
	ServePacket(net.PacketConn) error
}

// portBase is added to a service's port, since ports below 1024 need privileges.
const portBase = 20000

// startServices starts a server for every check of the host except pings, and writes its port into the check. Checks of
// one port share its server. The source is the same host with the original ports, which tell the protocol.
func (d *Demo) startServices(source, h *catalog.Host) error {
	address := netip.MustParseAddr(h.Addresses[0])
	shared := map[int]*service{}
	for i := range h.Checks {
		check := &h.Checks[i]
		if check.Kind == catalog.KindPing {
			continue
		}
		port, build, err := serverOf(source.Checks[i])
		if err != nil {
			return fmt.Errorf("%s %s: %w", h.Name, check.Name, err)
		}
		s := shared[port]
		if s == nil || check.Kind == catalog.KindHTTP {
			if s, err = d.startService(address, port, build); err != nil {
				return fmt.Errorf("%s %s: %w", h.Name, check.Name, err)
			}
			shared[port] = s
		}
		d.services[serviceKey{h.Key(), check.Name}] = s
		at := netip.MustParseAddrPort(s.address)
		d.wan.routes[netip.AddrPortFrom(address, at.Port())] = s.address
		d.setPort(check, int(at.Port()))
	}
	return nil
}

// startService starts a server at the address.
func (d *Demo) startService(address netip.Addr, port int, build func(*manners) server) (*service, error) {
	l, err := d.open(address, port)
	if err != nil {
		return nil, err
	}
	m := &manners{
		faults: map[string]bool{}, valid: d.certificates.valid, expired: d.certificates.expired, zone: d.zone,
	}
	s := &service{address: l.Addr().String(), build: build, manners: m}
	return s, s.serve(l)
}

// open listens on the host's address. macOS has no loopback address but 127.0.0.1: there it listens on that, and only
// the demo's network knows which host it is.
func (d *Demo) open(address netip.Addr, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(portBase+port)))
	if err == nil {
		return l, nil
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(address.String(), "0")); err == nil {
		return l, nil
	}
	d.reduced = "this machine has no loopback address but 127.0.0.1: only the demo's network knows the hosts' addresses"
	return net.Listen("tcp", "127.0.0.1:0")
}

// setPort writes the port into the check. A URL keeps its name, for the Host header, and loses TLS: the demo's web
// servers have no certificates. Its mail servers have one, for a handshake after STARTTLS, and know one user.
func (d *Demo) setPort(check *catalog.Check, port int) {
	switch o := check.Options.(type) {
	case catalog.TCP:
		o.TLS, o.Verification = false, catalog.Verification{}
		check.Options = o
	case catalog.SMTP:
		o.MailSession = d.mailSession(o.MailSession)
		check.Options = o
	case catalog.IMAP:
		o.MailSession = d.mailSession(o.MailSession)
		o.User, o.Password, o.PlainLogin = demoUser, demoPassword, !o.StartTLS
		check.Options = o
	case catalog.POP3:
		o.MailSession = catalog.MailSession{User: demoUser, Password: demoPassword, PlainLogin: true}
		check.Options = o
	case catalog.HTTP:
		if u, err := url.Parse(o.URL); err == nil {
			u.Scheme, u.Host = "http", net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
			o.URL, o.Verification = u.String(), catalog.Verification{}
			check.Options = o
		}
	}
	check.SetPort(port)
}

func (d *Demo) mailSession(o catalog.MailSession) catalog.MailSession {
	o.StartTLS, o.TLS = o.StartTLS || o.TLS, false
	if o.StartTLS {
		o.ServerName, o.CA = mailName, d.certificates.authority
	}
	return o
}

// findServers replaces the other servers of a zone by the demo's: each is a host of the source with a name server.
func (d *Demo) findServers(source *catalog.Catalog) {
	at := map[string]string{} // by the address in the source
	for _, h := range source.Hosts {
		for _, check := range h.Checks {
			if s := d.services[serviceKey{h.Key(), check.Name}]; s != nil && check.Kind == catalog.KindDNS {
				demo := netip.MustParseAddr(d.catalog.Host(h.Key()).Addresses[0])
				port := netip.MustParseAddrPort(s.address).Port()
				at[h.Addresses[0]] = netip.AddrPortFrom(demo, port).String()
			}
		}
	}
	for i := range d.catalog.Hosts {
		for k := range d.catalog.Hosts[i].Checks {
			check := &d.catalog.Hosts[i].Checks[k]
			o, ok := check.Options.(catalog.DNS)
			if !ok || o.SOA == "" {
				continue
			}
			var servers []string
			for _, server := range o.Servers {
				servers = append(servers, cmp.Or(at[server], server))
			}
			o.Servers, o.Tolerance = servers, zoneTolerance
			check.Options = o
		}
	}
}

// zoneTolerance is short, so that a visitor sees a stale zone soon.
const zoneTolerance = 10 * time.Second

// serverOf returns the port of a check's service and a function that builds its server.
func serverOf(check catalog.Check) (port int, build func(*manners) server, err error) {
	port = check.Port()
	if o, ok := check.Options.(catalog.HTTP); ok {
		return port, func(*manners) server { return newHTTP(o) }, nil
	}
	kinds := map[string]func(*manners) server{
		catalog.KindSMTP: newSMTP, catalog.KindIMAP: newIMAP, catalog.KindPOP3: newPOP3, catalog.KindDNS: newDNS,
		catalog.KindSIP: newSIP,
	}
	if build = kinds[check.Kind]; build != nil {
		return port, build, nil
	}
	ports := map[int]func(*manners) server{
		25: newSMTP, 110: newPOP3, 143: newIMAP, 53: newDNS, 5060: newSIP,
	}
	if build = ports[port]; build == nil {
		err = fmt.Errorf("the demo has no service for port %d", port)
	}
	return port, build, err
}

// serve starts a server on the listener. The caller holds mu, or nobody else has the service yet.
func (s *service) serve(l net.Listener) error {
	server := s.build(s.manners)
	var serving sync.WaitGroup
	packets, ok := server.(packetServer)
	var c net.PacketConn
	if ok {
		var err error
		if c, err = net.ListenPacket("udp", s.address); err != nil {
			return errors.Join(err, l.Close())
		}
		serving.Go(func() { _ = packets.ServePacket(c) })
	}
	serving.Go(func() { _ = server.Serve(l) }) // fails when it is closed, which is how it ends
	s.end = func() {
		_ = server.Close()
		_ = l.Close()
		if c != nil {
			_ = c.Close()
		}
		serving.Wait()
	}
	return nil
}

// stop stops the service: connections to it are refused from then on. It may be stopped already.
func (s *service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

// start starts the service again at its address. It may be running already.
func (s *service) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("restart the service: %w", err)
	}
	return s.serve(l)
}

// discard is a logger for servers that would report every broken connection.
var discard = log.New(io.Discard, "", 0)

func newHTTP(o catalog.HTTP) server {
	return &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ErrorLog: discard,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status := http.StatusOK
			if !o.Accepts(status) {
				status = o.Status
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s\nSign in to %s\n", o.Body, r.Host)
		}),
	}
}

// phoneServer adapts sipgo to server.
type phoneServer struct {
	agent *sipgo.UserAgent
	sip   *sipgo.Server
}

func newSIP(*manners) server {
	agent, err := sipgo.NewUA()
	if err != nil {
		return failedServer{err}
	}
	s, err := sipgo.NewServer(agent)
	if err != nil {
		return failedServer{err}
	}
	s.OnOptions(func(request *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(request, 200, "OK", nil)) // fails only if the client has gone
	})
	return phoneServer{agent, s}
}

func (p phoneServer) ServePacket(c net.PacketConn) error { return p.sip.ServeUDP(c) }

func (p phoneServer) Serve(l net.Listener) error { return p.sip.ServeTCP(l) }

func (p phoneServer) Close() error { return errors.Join(p.sip.Close(), p.agent.Close()) }

// failedServer is a server that could not be built. Its port accepts connections and says nothing, which a check
// reports.
type failedServer struct{ err error }

func (s failedServer) Serve(net.Listener) error { return s.err }
func (s failedServer) Close() error             { return nil }
