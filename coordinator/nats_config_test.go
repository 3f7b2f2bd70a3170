package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/deploy/examples"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/bus/server/servertest"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// shortDir is a temporary directory with a short name: the path of the socket in it may have about a hundred
// characters.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// natsConfig runs the command.
func natsConfig(t *testing.T, args ...string) error {
	t.Helper()
	root := newRootCommand()
	root.SetArgs(append([]string{"nats-config"}, args...))
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	return root.ExecuteContext(t.Context())
}

// openOn opens a coordinator on the cluster. It retries until the cluster has elected a leader for its streams.
func openOn(t *testing.T, c node.Config) *node.Node {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		n, err := node.Open(t.Context(), c)
		if err == nil {
			return n
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// onLoopback has a coordinator listen on free ports of this machine alone, and log nothing.
func onLoopback(c node.Config) node.Config {
	c.Listen, c.OpsListen, c.NATSListen, c.Logger = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", zerolog.Nop()
	return c
}

func dialAs(t *testing.T, id agent.Identity) *busagent.Conn {
	t.Helper()
	a, err := busagent.Dial(t.Context(), busagent.Config{
		Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, Seed: id.Seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// publishes reports whether a message is acknowledged in time.
func publishes(t *testing.T, a *busagent.Conn, id string, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return a.Publish(ctx, id, func() map[string]string { return nil }, []byte("{}")) == nil
}

// startCluster starts three stock servers with the files that nats-config creates for the data directory.
func startCluster(t *testing.T, data string) (out string, urls []string, servers []*natsd.Server) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "nodes")
	var addresses []string
	for _, port := range testenv.FreeClusterPorts(t, 3) {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	if err := natsConfig(t, "--data", data, "--nodes", strings.Join(addresses, ","), "--out", out); err != nil {
		t.Fatal(err)
	}
	for i, address := range addresses {
		servers = append(servers, servertest.Start(t, filepath.Join(out, fmt.Sprintf("nats-%d", i+1), "nats.conf")))
		urls = append(urls, "tls://"+address)
	}
	return out, urls, servers
}

// runOn runs a coordinator on the cluster until stop is called or the test ends.
func runOn(t *testing.T, data string, urls []string) (n *node.Node, stop func()) {
	t.Helper()
	ninernet, err := catalogfile.Parse("ninernet.yaml", examples.Ninernet, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	n = openOn(t, onLoopback(node.Config{Data: data, NATSServers: urls, Catalog: ninernet}))
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); tasks.Wait(); n.Close() })
	t.Cleanup(stop)
	return n, stop
}

// joinOn has an agent join for a host.
func joinOn(t *testing.T, n *node.Node, host string) agent.Identity {
	t.Helper()
	token, err := n.Invite(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // until Run answers on all nodes
		id, err := agent.Join(t.Context(), token, dir, nil)
		if err == nil {
			return id
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestMeshOnACluster(t *testing.T) {
	data := shortDir(t)
	out, urls, servers := startCluster(t, data)
	n, _ := runOn(t, data, urls)
	id := joinOn(t, n, "NC036")
	a := dialAs(t, id)
	if !publishes(t, a, "1", 20*time.Second) {
		t.Fatal("the agent's batch does not arrive")
	}
	for _, stream := range []string{"OBS", "LEDGER", "ROLLUP", "KV_enrolment"} {
		if copies := replicas(t, servers, stream); copies != 3 {
			t.Errorf("%s has %d copies", stream, copies)
		}
	}
	if _, err := n.Revoke(t.Context(), "NC036"); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(20 * time.Second)
	for _, there := a.Connected(); there && time.Now().Before(end); _, there = a.Connected() {
		time.Sleep(10 * time.Millisecond)
	}
	servers[0].Shutdown() // a node that restarts from its file refuses the agent too
	servers[0].WaitForShutdown()
	servertest.Start(t, filepath.Join(out, "nats-1", "nats.conf"))
	for _, url := range urls { // no node accepts the agent again
		id.Servers = []string{url}
		if publishes(t, dialAs(t, id), "2"+url, time.Second) {
			t.Errorf("the revoked agent publishes at %s", url)
		}
	}
}

// replicas counts the nodes with a copy of the stream. It waits until there are three.
func replicas(t *testing.T, servers []*natsd.Server, stream string) (n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		n = 0
		for _, s := range servers {
			z, err := s.Jsz(&natsd.JSzOptions{Accounts: true, Streams: true, Config: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, account := range z.AccountDetails {
				for _, d := range account.Streams {
					if d.Name == stream && d.Config.Replicas == 3 {
						n++
					}
				}
			}
		}
		if n == 3 {
			return n
		}
	}
	return n
}

func TestClusterFilesAreSecretAndNotReplaced(t *testing.T) {
	data, out := t.TempDir(), filepath.Join(t.TempDir(), "nodes")
	create := func() error {
		const nodes = "nats-1.example.net,nats-2.example.net,nats-3.example.net"
		return natsConfig(t, "--data", data, "--nodes", nodes, "--out", out, "--at", "/etc/nats")
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(out, "nats-2", "server.key")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	config, err := os.ReadFile(filepath.Join(out, "nats-2", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"nats-route://nats-1.example.net:6222"`, `"nats-route://nats-3.example.net:6222"`,
		`key_file: "/etc/nats/server.key"`,
	} {
		if !bytes.Contains(config, []byte(want)) {
			t.Errorf("no %s in %s", want, config)
		}
	}
	if bytes.Contains(config, []byte("nats-route://nats-2")) {
		t.Error("a node has a route to itself")
	}
	if err := create(); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Error(err)
	}
	for nodes, want := range map[string]string{
		"a,b": "a cluster has 3 or 5", "a,b,c:x": "the port is a number", `a,b,"c d"`: "write it as",
	} {
		if err := natsConfig(t, "--data", data, "--nodes", nodes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", nodes, err)
		}
	}
}
