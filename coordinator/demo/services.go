package demo

import (
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

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-smtp"
	"github.com/emiago/sipgo"
	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/catalog"
)

type serviceKey struct{ host, check string } // the host's key

// service is a server of a host that can be stopped, and started again at the same address.
type service struct {
	address string
	build   func() server

	mu  sync.Mutex
	end func() // stops the server and waits for it; nil while it is stopped
}

// server serves a listener until it is closed.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// portBase is added to a service's port, since ports below 1024 need privileges.
const portBase = 20000

// startServices starts a server for every check of the host except pings, and writes its port into the check. The
// source is the same host with the original ports, which tell the protocol.
func (d *Demo) startServices(source, h *catalog.Host) error {
	address := netip.MustParseAddr(h.Addresses[0])
	for i := range h.Checks {
		check := &h.Checks[i]
		if check.Kind == catalog.KindPing {
			continue
		}
		port, build, err := serverOf(source.Checks[i])
		if err != nil {
			return fmt.Errorf("%s %s: %w", h.Name, check.Name, err)
		}
		l, err := d.open(address, port)
		if err != nil {
			return fmt.Errorf("%s %s: %w", h.Name, check.Name, err)
		}
		s := &service{address: l.Addr().String(), build: build}
		s.serve(l)
		d.services[serviceKey{h.Key(), check.Name}] = s
		at := l.Addr().(*net.TCPAddr).Port
		d.wan.routes[netip.AddrPortFrom(address, uint16(at))] = s.address
		setPort(check, at)
	}
	return nil
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

// setPort writes the port into the check. A URL keeps its name, for the Host header, and loses TLS: the demo has no
// certificates.
func setPort(check *catalog.Check, port int) {
	switch o := check.Options.(type) {
	case catalog.TCP:
		o.Port, o.TLS, o.Verification = port, false, catalog.Verification{}
		check.Options = o
	case catalog.HTTP:
		if u, err := url.Parse(o.URL); err == nil {
			u.Scheme, u.Host = "http", net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
			o.URL, o.CertificateDays = u.String(), 0
			check.Options = o
		}
	}
}

// serverOf returns the port of a check's service and a function that builds its server.
func serverOf(check catalog.Check) (port int, build func() server, err error) {
	port = check.Port()
	if o, ok := check.Options.(catalog.HTTP); ok {
		return port, func() server { return newHTTP(o) }, nil
	}
	builders := map[int]func() server{25: newSMTP, 143: newIMAP, 53: newDNS, 5060: newSIP}
	if build = builders[port]; build == nil {
		err = fmt.Errorf("the demo has no service for port %d", port)
	}
	return port, build, err
}

// serve starts a server on the listener. The caller holds mu, or nobody else has the service yet.
func (s *service) serve(l net.Listener) {
	server := s.build()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // fails when it is closed, which is how it ends
	}()
	s.end = func() {
		_ = server.Close()
		_ = l.Close()
		<-done
	}
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
	s.serve(l)
	return nil
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

// mailBackend is a mail server that accepts no mail.
type mailBackend struct{}

func (mailBackend) NewSession(*smtp.Conn) (smtp.Session, error) {
	return nil, errors.New("this demonstration accepts no mail")
}

func newSMTP() server {
	s := smtp.NewServer(mailBackend{})
	s.Domain, s.ErrorLog = "mail.ninernet.example", discard
	return s
}

func newIMAP() server {
	boxes := imapmemserver.New()
	return imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return boxes.NewSession(), nil, nil
		},
		Logger: discard, InsecureAuth: true,
	})
}

// nameserver adapts dns.Server to server.
type nameserver struct{ dns *dns.Server }

func newDNS() server {
	return nameserver{&dns.Server{Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
	})}}
}

func (n nameserver) Serve(l net.Listener) error {
	n.dns.Listener = l
	return n.dns.ActivateAndServe()
}

func (n nameserver) Close() error { return n.dns.Shutdown() }

// phoneServer adapts sipgo to server.
type phoneServer struct {
	agent *sipgo.UserAgent
	sip   *sipgo.Server
}

func newSIP() server {
	agent, err := sipgo.NewUA()
	if err != nil {
		return failedServer{err}
	}
	s, err := sipgo.NewServer(agent)
	if err != nil {
		return failedServer{err}
	}
	return phoneServer{agent, s}
}

func (p phoneServer) Serve(l net.Listener) error { return p.sip.ServeTCP(l) }

func (p phoneServer) Close() error { return errors.Join(p.sip.Close(), p.agent.Close()) }

// failedServer is a server that could not be built. Its port accepts connections and says nothing, which a check
// reports.
type failedServer struct{ err error }

func (s failedServer) Serve(net.Listener) error { return s.err }
func (s failedServer) Close() error             { return nil }
