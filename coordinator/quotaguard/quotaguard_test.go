package quotaguard_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/quotaguard"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/bus/server/servertest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/quota"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// The sizes in these tests. A mesh of ten hosts has a budget of 1.1 GB and a stream of 3.8 GB: the budget is a
// seventieth of that, and the stream a twentieth, since what an agent publishes in the second until the servers refuse
// it does not scale.
const (
	budget = 16 << 20
	size   = 192 << 20
)

func scaled(*catalog.Catalog) quota.Plan {
	return quota.Plan{Agents: map[string]quota.Volume{"nc1": {Expected: budget / 10, Budget: budget}}, Unlisted: budget,
		Size: size}
}

// identity is an agent's credentials.
type identity struct{ public, token, seed string }

// world is a NATS server with a guard, and a clock that the test moves.
type world struct {
	t      *testing.T
	server *server.Server
	bus    *buscoordinator.Conn

	mu       sync.Mutex
	ahead    time.Duration
	warnings map[string]string
	keys     map[string]string
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) warn(subject, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warnings[subject] = text
}

func (w *world) warning() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warnings["overspending"]
}

func (w *world) Since(context.Context, string) (int64, error) { return 0, nil }

func (w *world) Agent(_ context.Context, host string) (ledger.Agent, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys[host] == "" {
		return ledger.Agent{}, ledger.ErrNoAgent
	}
	return ledger.Agent{PublicKey: w.keys[host]}, nil
}

func (w *world) join(name string) identity {
	w.t.Helper()
	public, seed, err := bus.NewKey()
	must(w.t, err)
	token, err := w.server.Issue(name, public)
	must(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[name] = public
	return identity{public, token, seed}
}

// run runs a guard until stop is called.
func (w *world) run() (stop func()) {
	a := quotaguard.New(quotaguard.Config{
		Bus: w.bus, Issuer: w.server, Members: w, Plan: scaled, Now: w.now, Warn: w.warn, Logger: zerolog.Nop(),
		Catalogs: func(context.Context, time.Time) ([]*catalog.Catalog, error) {
			return []*catalog.Catalog{{Revision: "1", Hosts: []catalog.Host{{Name: "NC1"}}}}, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = a.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); tasks.Wait() })
	w.t.Cleanup(stop)
	return stop
}

// connect opens a connection to one of the servers as an agent would, without reconnecting.
func (w *world) connect(id identity, url string) (*nats.Conn, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.server.CA())
	return nats.Connect(url, nats.Secure(&tls.Config{RootCAs: pool, ServerName: bus.ServerName}),
		nats.UserJWTAndSeed(id.token, id.seed),
		nats.NoReconnect(), nats.CustomInboxPrefix("_INBOX_nc1"), nats.Timeout(20*time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
}

// flood publishes batches of the largest size that the server accepts, without waiting for acknowledgements, and
// reconnects whenever the server disconnects it, until operators see a warning.
func (w *world) flood(id identity, name string) {
	w.t.Helper()
	sent, bytes := 0, 0
	for began := time.Now(); w.warning() == ""; {
		if time.Since(began) > 5*time.Minute {
			w.t.Fatalf("%s floods for five minutes and is not refused: %d batches, %d MB", name, sent, bytes>>20)
		}
		conn, err := w.connect(id, w.server.Servers()[0])
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if conn.Flush() != nil { // for the server's limits. It may refuse the agent meanwhile
			conn.Close()
			continue
		}
		data := make([]byte, min(conn.MaxPayload(), 250_000)-100)
		for ; conn.IsConnected() && w.warning() == ""; sent++ {
			_ = conn.Publish(bus.SubjectObservations+name, data)
			_ = conn.Flush()
			bytes += len(data)
		}
		conn.Close()
	}
	w.t.Logf("%s published %d batches, %d MB, before it was refused", name, sent, bytes>>20)
}

func (w *world) refused(id identity) bool {
	for _, url := range w.server.Servers() {
		if conn, err := w.connect(id, url); err == nil {
			conn.Close()
			return false
		}
	}
	return true
}

func (w *world) bytes(agent string) (n int64, count int) {
	w.t.Helper()
	var stored []bus.BatchInfo
	eventually(w.t, "the batches are listed", func() (ok bool) { // while they are removed there is no end to list to
		var err error
		stored, err = w.bus.Batches(w.t.Context(), agent)
		return err == nil
	})
	for _, s := range stored {
		n += s.Bytes
	}
	return n, len(stored)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within two minutes:", what)
		}
	}
}

func open(t *testing.T, s *server.Server) *world {
	t.Helper()
	way, err := s.CoordinatorConfig()
	must(t, err)
	var c *buscoordinator.Conn
	eventually(t, "the streams are there", func() bool { // a cluster elects its leaders first
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err = buscoordinator.Dial(ctx, way)
		return err == nil
	})
	t.Cleanup(c.Close)
	return &world{t: t, server: s, bus: c, warnings: map[string]string{}, keys: map[string]string{}}
}

func TestAFloodErasesNoEvidenceOfOthers(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(s.Close)
	testFlood(open(t, s))
}

func TestAFloodErasesNoEvidenceOfOthersOnACluster(t *testing.T) {
	dir, place := t.TempDir(), t.TempDir()
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(t, err)
	s.Close() // the keys exist now
	var nodes []server.Node
	var urls []string
	for i, port := range testenv.FreeClusterPorts(t, 3) {
		nodes = append(nodes, server.Node{Name: fmt.Sprintf("nats-%d", i+1), Host: "127.0.0.1", Port: port})
		urls = append(urls, fmt.Sprintf("tls://127.0.0.1:%d", port))
	}
	files, err := server.ClusterFiles(dir, nodes, func(n server.Node) string { return filepath.Join(place, n.Name) })
	must(t, err)
	for _, n := range files {
		must(t, os.Mkdir(filepath.Join(place, n.Name), 0o700))
		for name, data := range n.Files {
			must(t, os.WriteFile(filepath.Join(place, n.Name, name), data, 0o600))
		}
		servertest.Start(t, filepath.Join(place, n.Name, server.ConfigFile))
	}
	eventually(t, "the cluster answers", func() bool {
		s, err = server.Use(t.Context(), server.Config{Dir: dir, Logger: zerolog.Nop()}, urls)
		return err == nil
	})
	t.Cleanup(s.Close)
	testFlood(open(t, s))
}

// testFlood has one agent publish as much as it can with its own credentials. Every batch that another publishes before
// and meanwhile stays.
func testFlood(w *world) {
	t := w.t
	stop := w.run()
	hostile := w.join("nc1")
	publish, checkHonest := w.honestAgent()
	for range 20 {
		publish()
	}

	w.flood(hostile, "nc1")
	publish()
	eventually(t, "its excess is removed", func() bool { n, _ := w.bytes("nc1"); return n <= quota.Retained(budget) })
	if kept, _ := w.bytes("nc1"); kept < quota.Retained(budget)*9/10 {
		t.Errorf("%d bytes of its oldest batches are left of %d", kept, quota.Retained(budget))
	}
	checkHonest()
	text := w.warning()
	if !strings.Contains(text, "agent NC1 may not publish until") || !strings.Contains(text, "coordinator revoke NC1") {
		t.Errorf("the warning is %q", text)
	}
	again := hostile
	var err error
	again.token, err = w.server.Issue("nc1", hostile.public)
	must(t, err)
	if !w.refused(hostile) || !w.refused(again) {
		t.Error("it can connect with its credentials, or with new ones")
	}

	// A restart counts again and keeps the term.
	stop()
	w.run()
	time.Sleep(3 * time.Second)
	if !w.refused(hostile) || !strings.Contains(w.warning(), "NC1") {
		t.Error("after a restart it can connect:", w.warning())
	}
	w.testNextTerm(hostile)
	checkHonest()
}

// testNextTerm waits for the end of the agent's term and has it flood again: the next term is longer. Then an operator
// readmits it with a new key.
func (w *world) testNextTerm(hostile identity) {
	t := w.t
	w.mu.Lock()
	w.ahead = quota.TermMin + time.Minute
	w.mu.Unlock()
	eventually(t, "it may publish again", func() bool { return !w.refused(hostile) && w.warning() == "" })
	ends := func() string { return w.now().Add(quota.Term(2)).UTC().Format("2006-01-02 15:") }
	earliest := ends()
	w.flood(hostile, "nc1")
	eventually(t, "it is reported again", func() bool { return strings.Contains(w.warning(), "NC1") })
	latest := ends() // another hour may have begun
	if text := w.warning(); !strings.Contains(text, earliest) && !strings.Contains(text, latest) {
		t.Errorf("the warning is %q, want %s or %s in it", text, earliest, latest)
	}

	must(t, w.server.Revoke(t.Context(), hostile.public))
	rejoined := w.join("nc1")
	eventually(t, "it may publish with another key", func() bool { return w.warning() == "" && !w.refused(rejoined) })
	if !w.refused(hostile) {
		t.Error("the revoked key can connect")
	}
}

// honestAgent connects another agent. publish has it publish one batch, and check compares what is stored with that.
func (w *world) honestAgent() (publish, check func()) {
	t, id, published := w.t, w.join("nc2"), 0
	agent, err := busagent.Dial(t.Context(), busagent.Config{
		Name: "nc2", Endpoint: w.server.Endpoint(), JWT: id.token, Seed: id.seed, Logger: zerolog.Nop(),
	})
	must(t, err)
	t.Cleanup(agent.Close)
	none := func() map[string]string { return nil }
	publish = func() {
		must(t, agent.Publish(t.Context(), fmt.Sprint("nc2-", published), none, []byte("{}")))
		published++
	}
	return publish, func() {
		t.Helper()
		if _, n := w.bytes("nc2"); n != published {
			t.Errorf("another agent published %d batches and %d are stored", published, n)
		}
	}
}

// Listing an agent's batches ends even if the last of them are removed meanwhile.
func TestAListEndsWhileItsLastBatchIsRemoved(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(s.Close)
	w := open(t, s)
	id := w.join("nc2")
	agent, err := busagent.Dial(t.Context(), busagent.Config{Name: "nc2", Endpoint: s.Endpoint(), JWT: id.token,
		Seed: id.seed, Logger: zerolog.Nop()})
	must(t, err)
	defer agent.Close()
	for n := range 200 {
		must(t, agent.Publish(t.Context(), fmt.Sprint("nc2-", n), func() map[string]string { return nil }, []byte("{}")))
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for sequence := uint64(200); sequence > 1; sequence-- {
			if err := w.bus.RemoveBatches(t.Context(), []uint64{sequence}); err != nil {
				t.Error(err)
			}
		}
	})
	if _, n := w.bytes("nc2"); n == 0 {
		t.Error("nothing is listed")
	}
	tasks.Wait()
	if _, n := w.bytes("nc2"); n != 1 {
		t.Errorf("%d are left", n)
	}
}
