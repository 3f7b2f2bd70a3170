//go:build linux

package node_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	agentnode "github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// renameMesh is a coordinator with agents, all in this process: each host is an address of the loopback network with a
// service of its own.
type renameMesh struct {
	t        *testing.T
	config   node.Config
	client   *admin.Client
	port     int
	services []net.Listener // of the hosts, by their number
	states   []string       // the agents' state directories
	stop     func()         // of the coordinator
}

const renameHosts = 5

func address(i int) string { return fmt.Sprintf("127.0.77.%d", i+1) }

// newRenameMesh starts a mesh of hosts with these names.
func newRenameMesh(t *testing.T, names ...string) *renameMesh {
	m := &renameMesh{t: t, config: config(t)}
	for i := range names {
		m.serve(i)
	}
	m.config.Catalog, m.config.NATSListen = nil, testenv.FreeAddress(t)
	m.config.Logger = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	m.client = admin.NewClient(m.config.Data)
	m.start()
	t.Cleanup(func() { m.stop() })
	m.apply(names, nil)
	for i := range names {
		m.states = append(m.states, t.TempDir())
		token, err := m.client.Invite(t.Context(), names[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Join(t.Context(), token, m.states[i], nil); err != nil {
			t.Fatal(err)
		}
		m.run(i)
	}
	return m
}

// serve starts the service of a host: it accepts connections at the mesh's port.
func (m *renameMesh) serve(i int) {
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address(i), m.port))
	if err != nil {
		m.t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	m.services = append(m.services, l)
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// run runs an agent until the test ends.
func (m *renameMesh) run(i int) {
	ctx, cancel := context.WithCancel(m.t.Context())
	var task sync.WaitGroup
	state := m.states[i] // the list grows while agents run
	task.Go(func() {
		err := agentnode.Run(ctx, agentnode.Config{State: state, GossipListen: address(i) + ":27946",
			Version: "v1", Logger: m.config.Logger})
		if err != nil {
			m.t.Error("the agent ended:", err)
		}
	})
	m.t.Cleanup(func() { cancel(); task.Wait() })
}

// start starts the coordinator, again at the same address.
func (m *renameMesh) start() {
	n, err := node.Open(m.t.Context(), m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	m.stop = sync.OnceFunc(func() { cancel(); <-ended; n.Close() })
}

// apply puts the catalog in force in which the hosts have these names, in the order of their numbers; was are the
// names before.
func (m *renameMesh) apply(names, was []string) {
	m.t.Helper()
	var text strings.Builder
	text.WriteString("regions: [{name: r0}, {name: r1}, {name: r2}, {name: r3}, {name: r4}]\nhosts:\n")
	for i, name := range names {
		fmt.Fprintf(&text, "  - name: %s\n    region: r%d\n    public: true\n    address: %s\n", name, i, address(i))
		if was != nil && was[i] != name {
			fmt.Fprintf(&text, "    was: %s\n", was[i])
		}
		fmt.Fprintf(&text, "    checks: [{kind: tcp, name: Mail, port: %d, interval: 1s, timeout: 900ms}]\n", m.port)
	}
	c, err := catalogfile.Parse("test.yaml", []byte(text.String()), os.LookupEnv)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.client.Apply(m.t.Context(), c, "test", false); err != nil {
		m.t.Fatal(err)
	}
}

func (m *renameMesh) state() (*catalog.Catalog, *mesh.Snapshot) {
	m.t.Helper()
	s, err := m.client.State(m.t.Context(), time.Time{})
	if err != nil {
		m.t.Fatal(err)
	}
	return s.Catalog, s.Snapshot
}

// await waits until done returns nothing; it returns what is missing.
func (m *renameMesh) await(what string, done func() (missing string)) {
	m.t.Helper()
	missing := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if missing = done(); missing == "" {
			return
		}
	}
	m.t.Fatalf("%s: %s", what, missing)
}

// judged returns what is wrong unless every host has a verdict from all other regions, the host of number down is down,
// and the rest are up.
func (m *renameMesh) judged(names []string, down int) string {
	c, s := m.state()
	for i, name := range names {
		h := c.Host(mesh.Key(name))
		if h == nil || h.Addresses[0] != address(i) {
			return name + " is not in force"
		}
		k := 0
		for k < len(s.Hosts) && s.Hosts[k].Name != name {
			k++
		}
		if k == len(s.Hosts) {
			return name + " is not judged yet"
		}
		want := mesh.Up
		if i == down {
			want = mesh.Down
		}
		check := s.Hosts[k].Checks[0]
		if check.Verdict != want || check.Tally.OK+check.Tally.Bad != len(names)-1 {
			return fmt.Sprintf("%s is %s by %+v, not %s", name, check.Verdict, check.Tally, want)
		}
	}
	for _, v := range s.Vantages {
		if v.Silent || v.Abstains != "" || v.Refusal.Reason != "" || len(v.Advisories) > 0 {
			return fmt.Sprintf("%s: %+v", v.Name, v)
		}
	}
	return ""
}

// stays fails the test unless all stays as judged says for longer than a vote counts, and until the end.
func (m *renameMesh) stays(names []string, down int, end func() bool) {
	m.t.Helper()
	for began := time.Now(); time.Since(began) < 9*time.Second || !end(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			m.t.Fatal("it does not end")
		}
		// An agent that gets its name starts again, and has nothing to vote for a moment; that nobody sees.
		if wrong := m.judged(names, down); wrong != "" {
			m.t.Fatal(wrong)
		}
	}
}

// named returns which agent has no credentials under its host's name.
func (m *renameMesh) named(names []string) string {
	for i, name := range names {
		if id, err := identity.Load(m.states[i]); err != nil || id.Name != mesh.Key(name) {
			return fmt.Sprintf("the agent of %s is %s: %v", name, id.Name, err)
		}
	}
	return ""
}

// A mesh whose hosts swap names in one apply, while one is down, goes on as before: no verdict changes, and every agent
// goes on to vote for its own host's region and under its own credential.
func TestAMeshWhoseHostsSwapNames(t *testing.T) {
	names := []string{"A", "B", "C", "D", "E"}[:renameHosts]
	m := newRenameMesh(t, names...)
	m.await("at first", func() string { return m.judged(names, -1) })
	m.services[0].Close()
	m.await("with A down", func() string { return m.judged(names, 0) })

	swapped := []string{"B", "A", "D", "E", "C"} // two hosts, and three in a circle
	m.apply(swapped, names)
	m.await("after the swap", func() string { return m.judged(swapped, 0) })
	m.stays(swapped, 0, func() bool { return m.named(swapped) == "" })
	m.await("when all have their names", func() string { return m.named(swapped) })
	time.Sleep(time.Second)
	m.stays(swapped, 0, func() bool { return true })
	history, err := m.client.Transitions(t.Context(), "B", 10)
	if err != nil || len(history) == 0 || !strings.Contains(fmt.Sprint(history), "down") {
		t.Fatalf("the history of B, which was A, begins with %+v, %v", history, err)
	}
}
