package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/httpserver"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/dirlock"
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
	n.serve(socket, httpserver.New(admin.NewHandler(backend), n.logger("http")))

	if n.publicTLS, err = n.tlsConfig(); err != nil {
		return err
	}
	if n.publicAddr, err = n.serveTCP(n.config.Listen, n.publicTLS, n.publicHandler(public)); err != nil {
		return err
	}
	config := consoleConfig(n, web.NewHandler(n.logger("web"), web.Operators, n.siteRoutes(n.source(), web.Operators)...))
	if n.config.MetricsListen != "" {
		handler := metricsHandler(n.tokens, console.NewMetrics(config))
		if _, err = n.serveTCP(n.config.MetricsListen, n.publicTLS, handler); err != nil {
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
		config.Nav, config.Theme, config.BrandSuffix = console.Navigation(), console.Theme(), console.BrandSuffix
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
		dirlock.FileName, admin.SocketName, viewName, viewName + "-wal", viewName + "-shm",
		latencyName, latencyName + "-wal", latencyName + "-shm", diskguard.File, momentsName,
		busName + "/streams", // the server saves them itself: a copy of files in use may be torn
	}}
}

// tlsConfig returns the TLS settings of the public address; nil means plain HTTP.
func (n *Node) tlsConfig() (*tls.Config, error) {
	// By itself nothing may connect for days, but watchCertificates asks for the certificate every minute.
	return httpserver.TLS(n.config.TLSCert, n.config.TLSKey, n.logger("http"), func(text string) {
		n.core.Warnings.Warn("certificate refused", text)
	})
}

// serveTCP adds a server on a TCP address, with limits for each client. It returns the address that it listens on.
func (n *Node) serveTCP(address string, certificates *tls.Config, handler http.Handler) (net.Addr, error) {
	server := httpserver.New(handler, n.logger("http"))
	l, err := httpserver.Listen(address, certificates, server)
	if err != nil {
		return nil, err
	}
	n.serve(l, server)
	return l.Addr(), nil
}

// serve adds a server for an open listener to the tasks. Close closes the listener too, for a node that never ran.
func (n *Node) serve(l net.Listener, server *http.Server) {
	n.closers = append(n.closers, func() { _ = l.Close() })
	n.tasks = append(n.tasks, func(ctx context.Context) error { return httpserver.Serve(ctx, l, server) })
}
