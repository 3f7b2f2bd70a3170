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

// service is one listener of a host, which can be stopped and started again at the same place.
type service struct {
	address string
	build   func() server
	mu      sync.Mutex
	end     func() // nil while it is stopped
}

// server answers on a listener until it is closed.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// portBase is added to a service's port, so that no privilege is needed.
const portBase = 20000

// startServices starts a server for every check of the host but pings, and writes where it listens into the check.
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
		moved(check, at)
	}
	return nil
}

// open listens on the host's address; where the machine has no such address, on the one it has.
func (d *Demo) open(address netip.Addr, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(portBase+port)))
	if err == nil {
		return l, nil
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(address.String(), "0")); err == nil {
		return l, nil
	}
	d.reduced = "this machine has 127.0.0.1 alone: the hosts' own addresses are known to the demo's network only"
	return net.Listen("tcp", "127.0.0.1:0")
}

// moved writes the port into the check. Its URL keeps the name, for the Host header, and loses TLS.
func moved(check *catalog.Check, port int) {
	if check.Kind == catalog.KindTCP {
		check.Port = port
		return
	}
	if u, err := url.Parse(check.URL); err == nil {
		u.Scheme, u.Host = "http", net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
		check.URL, check.CertificateDays = u.String(), 0
	}
}

// serverOf is the port of a check's service and what answers there.
func serverOf(check catalog.Check) (port int, build func() server, err error) {
	if check.Kind == catalog.KindHTTP {
		u, err := url.Parse(check.URL)
		if err != nil {
			return 0, nil, err
		}
		port = 80
		if u.Scheme == "https" {
			port = 443
		}
		return port, func() server { return newHTTP(check) }, nil
	}
	builders := map[int]func() server{25: newSMTP, 143: newIMAP, 53: newDNS, 5060: newSIP}
	if build = builders[check.Port]; build == nil {
		err = fmt.Errorf("the demo has no service for port %d", check.Port)
	}
	return check.Port, build, err
}

func (s *service) serve(l net.Listener) {
	server := s.build()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends when it is closed
	}()
	s.end = func() {
		_ = server.Close()
		_ = l.Close()
		<-done
	}
}

// stop ends the service: connections to it are refused from then on.
func (s *service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

// start starts the service again where it was.
func (s *service) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	s.serve(l)
	return nil
}

var silent = log.New(io.Discard, "", 0)

func newHTTP(check catalog.Check) server {
	status := check.Status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ErrorLog: silent,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s\nSign in to %s\n", check.Body, r.Host)
		}),
	}
}

// mail is a mail server that takes no mail.
type mail struct{}

func (mail) NewSession(*smtp.Conn) (smtp.Session, error) {
	return nil, errors.New("this is a demonstration: no mail is taken")
}

func newSMTP() server {
	s := smtp.NewServer(mail{})
	s.Domain, s.ErrorLog = "mail.ninernet.example", silent
	return s
}

func newIMAP() server {
	boxes := imapmemserver.New()
	return imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return boxes.NewSession(), nil, nil
		},
		Logger: silent, InsecureAuth: true,
	})
}

// nameserver fits dns.Server to the others.
type nameserver struct{ *dns.Server }

func newDNS() server {
	return nameserver{&dns.Server{Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
	})}}
}

func (n nameserver) Serve(l net.Listener) error {
	n.Listener = l
	return n.ActivateAndServe()
}

func (n nameserver) Close() error { return n.Shutdown() }

// phones fits sipgo to the others.
type phones struct {
	agent *sipgo.UserAgent
	*sipgo.Server
}

func newSIP() server {
	agent, err := sipgo.NewUA()
	if err != nil {
		return broken{err}
	}
	s, err := sipgo.NewServer(agent)
	if err != nil {
		return broken{err}
	}
	return phones{agent, s}
}

func (p phones) Serve(l net.Listener) error { return p.ServeTCP(l) }

func (p phones) Close() error { return errors.Join(p.Server.Close(), p.agent.Close()) }

// broken is a server that could not be made.
type broken struct{ error }

func (b broken) Serve(net.Listener) error { return b.error }
func (b broken) Close() error             { return nil }
