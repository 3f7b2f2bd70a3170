package node

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/coordinator/httpserver"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Config describes one coordinator. Data and the three listening addresses are required; port 0 means a free one.
type Config struct {
	Data    string // the state directory; created if it is missing, locked while the node is open
	Version string // of the program, as the console and the metrics report it

	// The catalog in force at start: that of the file, which is also watched, else the built-in one, else the one in
	// the ledger.
	CatalogFile string
	Catalog     *catalog.Catalog

	// NATS: the server in this process, or, if NATSServers is not empty, a cluster that `coordinator nats-config`
	// configured.
	NATSListen  string // where agents connect
	Advertise   string // the address that join tokens contain; empty: the machine's first global address
	NATSServers []string

	// HTTP.
	Listen          string // the public status page
	TLSCert, TLSKey string // PEM files for Listen; both empty: plain HTTP
	OpsListen       string // the operators' view; loopback only
	MetricsListen   string // metrics for readers with a token; empty: none
	ConsoleURL      string // where operators reach the operators' view; empty: on this machine alone
	Panel           *Panel // served beside the status page; nil: none

	Heartbeat   heartbeat.Config    // URL and Every; an empty URL disables it
	DiskReserve bool                // reserve disk space that is released when the disk is full
	LoopTurned  func(now time.Time) // called on every turn of the engine's loop, for a watchdog; may be nil
	Logger      zerolog.Logger
}

// Panel is a handler that is served below Path on the public address and linked from the status page.
type Panel struct {
	Path, Title string
	Handler     func(Source) http.Handler
}

// Source is what a panel can show of the mesh.
type Source interface {
	Current() (*catalog.Catalog, *mesh.Snapshot)
	Changed() <-chan struct{}
}

// Validate reports settings that no coordinator can run with. Its errors name the flags of `coordinator serve`.
func (c Config) Validate() error {
	if !loopback(c.OpsListen) {
		return fmt.Errorf("--ops %s: the operators' view shows internal hosts and has no sign-in yet: "+
			"use 127.0.0.1 and reach it through an SSH tunnel", c.OpsListen)
	}
	if err := httpserver.CheckFiles(c.TLSCert, c.TLSKey); err != nil {
		return err
	}
	if c.MetricsListen != "" && !loopback(c.MetricsListen) && c.TLSCert == "" {
		return fmt.Errorf("--metrics-listen %s: the metrics name internal hosts, and a token in the clear can be read on "+
			"the way: add --tls-cert and --tls-key, or listen on 127.0.0.1", c.MetricsListen)
	}
	if u, err := url.Parse(c.ConsoleURL); c.ConsoleURL != "" && (err != nil || u.Hostname() == "" || u.User != nil ||
		u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("--console-url %q: write it as https://console.example.net", c.ConsoleURL)
	}
	if c.Heartbeat.URL != "" {
		return heartbeat.Check(c.Heartbeat.URL, c.Heartbeat.Every)
	}
	return nil
}

// loopback reports whether only this machine can reach the listening address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
