package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/coordinator/connlimit"
	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
)

// openServers listens for commands, for the public and for operators, and adds the servers to the tasks.
func (n *Node) openServers(context.Context) error {
	socket, err := admin.Listen(n.config.Data)
	if err != nil {
		return err
	}
	public := n.siteRoutes(n.source(), web.Public, panelLinks(n.config.Panel)...)
	// The file system admits the commands, so nothing else bounds them.
	backend := admin.Backend{
		Engine: n.core.Engine, Replayer: n.core.Replayer, Catalogs: n.core.Catalogs, History: n.core.History,
		Problems: n.core.Health.Problems, Enroller: n.enroller, Backup: n.exporter(), Editor: n.editor,
		Incidents:   n.editor.Incidents(),
		Maintenance: n.editor.Maintenance(),
		Tokens:      n.tokens, Notifier: n.notifier, Site: forCopies(n.PublicAddr, web.NewMux(n.logger("web"), public...)),
	}
	n.serve(socket, n.newServer(admin.NewHandler(backend)))

	certificates, err := n.tlsConfig()
	if err != nil {
		return err
	}
	if n.publicAddr, err = n.serveTCP(n.config.Listen, certificates, n.publicHandler(public)); err != nil {
		return err
	}
	config := consoleConfig(n, web.NewHandler(n.logger("web"), web.Operators, n.siteRoutes(n.source(), web.Operators)...))
	if n.config.MetricsListen != "" {
		handler := metricsHandler(n.tokens, console.NewMetrics(config))
		if _, err = n.serveTCP(n.config.MetricsListen, certificates, handler); err != nil {
			return err
		}
	}
	n.opsAddr, err = n.serveTCP(n.config.OpsListen, nil, console.New(config))
	return err
}

// publicHandler is the status page, with the panel beside it if there is one.
func (n *Node) publicHandler(routes []web.Route) http.Handler {
	pages, panel := web.NewHandler(n.logger("web"), web.Public, routes...), n.config.Panel
	if panel == nil {
		return pages
	}
	mux := http.NewServeMux()
	mux.Handle(panel.Path, panel.Handler(n.core.Engine))
	mux.Handle("/", pages)
	return mux
}

// panelLinks are those to the panel, if there is one.
func panelLinks(p *Panel) []web.Link {
	if p == nil {
		return nil
	}
	return []web.Link{{Name: p.Title, URL: p.Path}}
}

// forCopies answers the requests of commands as those of a reader at the public address, which is in the absolute links
// of feeds if the catalog has none.
func forCopies(address func() net.Addr, site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = address().String()
		if a, ok := address().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
			r.Host = net.JoinHostPort("localhost", strconv.Itoa(a.Port))
		}
		site.ServeHTTP(w, r)
	})
}

func (n *Node) source() siteSource { return siteSource{n.core.Engine, n.core.History, n.latencies} }

// siteRoutes are the addresses of the status page and its API as an audience sees them.
func (n *Node) siteRoutes(source web.Source, a web.Audience, links ...web.Link) []web.Route {
	view := web.NewView(source, a)
	config := site.Config{View: view, Links: links}
	if a == web.Operators {
		config.Nav, config.Theme = console.Navigation(), console.Theme()
	}
	pages := site.New(config)
	c := api.Config{View: view, Pages: pages, Logger: n.logger("api")}
	if n.editor != nil { // not while only the history is served
		c.Tokens, c.Editor, c.Incidents, c.Maintenance = n.tokens, n.editor, n.editor.Incidents(), n.editor.Maintenance()
	}
	programs := api.New(c)
	routes := slices.Concat(pages.Routes(), programs.Routes(), feeds.New(view).Routes())
	if n.acknowledger != nil {
		routes = append(routes, n.acknowledger.Routes()...)
	}
	return routes
}

// exporter hands out everything of a data directory that a start does not make again.
func (n *Node) exporter() *backup.Exporter {
	return &backup.Exporter{Dir: n.config.Data, NATS: n.nats, Ledger: n.bus, Exclude: []string{
		lockName, admin.SocketName, viewName, viewName + "-wal", viewName + "-shm",
		latencyName, latencyName + "-wal", latencyName + "-shm", diskguard.File, momentsName,
		busName + "/streams", // the server saves them itself: a copy of files in use may be torn
	}}
}

// tlsConfig returns the TLS settings of the public address; nil means plain HTTP.
func (n *Node) tlsConfig() (*tls.Config, error) {
	if n.config.TLSCert == "" && n.config.TLSKey == "" {
		return nil, nil
	}
	c, err := newCertificate(n.config.TLSCert, n.config.TLSKey, n.logger("http"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		GetCertificate: c.current, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}, nil
}

// serveTCP adds a server on a TCP address, with limits for each client. It returns the address that it listens on.
func (n *Node) serveTCP(address string, certificates *tls.Config, handler http.Handler) (net.Addr, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	limited, server := connlimit.New(l, connlimit.Config{}), n.newServer(handler)
	limited.Configure(server)
	l = limited
	if certificates != nil {
		l = tls.NewListener(l, certificates) // outside of the limits, so that a handshake counts as a connection
	}
	n.serve(l, server)
	return l.Addr(), nil
}

// errorLines is how many lines a minute the HTTP servers log about connections: anybody who connects can cause one.
const errorLines = 10

// http2Requests is how many requests one connection may have open: pages need two.
const http2Requests = 100

func (n *Node) newServer(handler http.Handler) *http.Server {
	sparse := n.logger("http").Sample(&zerolog.BurstSampler{Burst: errorLines, Period: time.Minute})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: connlimit.HeaderWait, IdleTimeout: connlimit.IdleWait,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: http2Requests},
		ErrorLog: log.New(errorWriter{sparse}, "", 0),
	}
}

// errorWriter logs what net/http writes, one line each.
type errorWriter struct{ log zerolog.Logger }

func (w errorWriter) Write(line []byte) (int, error) {
	w.log.Warn().Str("err", strings.TrimSpace(string(line))).Msg("HTTP connection failed")
	return len(line), nil
}

// serve adds a server for an open listener to the tasks. Close closes the listener too, for a node that never ran.
func (n *Node) serve(l net.Listener, server *http.Server) {
	n.closers = append(n.closers, func() { _ = l.Close() })
	n.tasks = append(n.tasks, func(ctx context.Context) error { return serve(ctx, l, server) })
}

// shutdownWait bounds how long a stop waits for requests that are being answered.
const shutdownWait = 2 * time.Second

// serve answers requests until ctx ends or the listener fails, and returns when the server's goroutines have ended.
func serve(ctx context.Context, l net.Listener, server *http.Server) error {
	requests, endRequests := context.WithCancel(context.Background())
	defer endRequests()
	server.BaseContext = func(net.Listener) context.Context { return requests }
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	endRequests() // event streams would otherwise last until shutdownWait is over
	shutdown, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	if server.Shutdown(shutdown) != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}
