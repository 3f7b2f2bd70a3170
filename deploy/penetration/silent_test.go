package penetration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// serverEnv makes the test's program serve NATS in the directory that it names, so that the server's memory can be told
// from that of its attackers.
const serverEnv = "PENETRATION_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverEnv); dir != "" {
		if err := serveUntilEOF(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// credentials is what the parent gets of the server: where it is, and an identity for each agent.
type credentials struct {
	Endpoint bus.Endpoint
	Agents   map[string][2]string // JWT and seed
}

// serveUntilEOF runs a coordinator's server until the parent closes standard input.
func serveUntilEOF(dir string) error {
	ctx := context.Background()
	s, err := server.Start(ctx, server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.New(os.Stderr).Level(
		zerolog.InfoLevel)})
	if err != nil {
		return err
	}
	defer s.Close()
	config, err := s.CoordinatorConfig()
	if err != nil {
		return err
	}
	c, err := buscoordinator.Dial(ctx, config)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Lead(ctx); err != nil {
		return err
	}
	out := credentials{Endpoint: s.Endpoint(), Agents: map[string][2]string{}}
	for i := range 8 {
		name := fmt.Sprintf("nc%d", i)
		public, seed, err := bus.NewKey()
		if err != nil {
			return err
		}
		token, err := s.Issue(name, public)
		if err != nil {
			return err
		}
		out.Agents[name] = [2]string{token, seed}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// floodedServer is a server in a process of its own.
type floodedServer struct {
	t *testing.T
	credentials
	pid    int
	agents int // that have connected
}

func startFloodedServer(t *testing.T) *floodedServer {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverEnv+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	s := &floodedServer{t: t, pid: cmd.Process.Pid}
	must(t, json.NewDecoder(bufio.NewReader(out)).Decode(&s.credentials))
	return s
}

func (s *floodedServer) address() string { return strings.TrimPrefix(s.Endpoint.Servers[0], "tls://") }

// memory returns the server's resident memory in MB.
func (s *floodedServer) memory() int {
	s.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid), "status"))
	must(s.t, err)
	_, text, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(text)[0])
	must(s.t, err)
	return kilobytes >> 10
}

// agent connects an agent from an address.
func (s *floodedServer) agent(from string) *busagent.Conn {
	s.t.Helper()
	name := fmt.Sprintf("nc%d", s.agents)
	s.agents++
	id := s.Agents[name]
	a, err := busagent.Dial(s.t.Context(), busagent.Config{
		Name: name, Endpoint: s.Endpoint, JWT: id[0], Seed: id[1], Dial: dialer(from).DialContext, Logger: zerolog.Nop(),
	})
	must(s.t, err)
	s.t.Cleanup(a.Close)
	return a
}

func dialer(from string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: answerWait}
}

// publishes reports how long a batch takes until it is stored.
func publishes(ctx context.Context, a *busagent.Conn) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	began := time.Now()
	err := a.Publish(ctx, batchID(), func() map[string]string { return nil }, []byte("{}"))
	return time.Since(began), err
}

var sent atomic.Int64

func batchID() string { return fmt.Sprintf("silent-%d", sent.Add(1)) }

// silentFlood is an attack: connections from addresses, each of which stops at some point before it authenticates.
type silentFlood struct {
	name        string
	connections int
	addresses   []string
	begin       func(net.Conn) error
}

func silentFloods() []silentFlood {
	connections := 9000
	if testenv.Race {
		connections = 900 // the detector slows the attacker, the server and the agents on the same processors
	}
	many := make([]string, 250)
	for i := range many {
		many[i] = fmt.Sprintf("127.66.0.%d", i+1)
	}
	silent := func(net.Conn) error { return nil }
	return []silentFlood{
		{"silent, from one address", connections, many[:1], silent},
		{"silent, from 250 addresses", connections, many, silent},
		{"a handshake that stops, from 250 addresses", connections, many, func(c net.Conn) error {
			_, err := c.Write([]byte("\x16\x03\x01"))
			return err
		}},
		{"plain text, from 250 addresses", connections, many, func(c net.Conn) error {
			_, err := c.Write([]byte("CONNECT {}\r\nPING\r\n"))
			return err
		}},
	}
}

// run keeps all connections open, and opens those again that the server closes, until ctx ends.
func (f silentFlood) run(ctx context.Context, address string) (opened *atomic.Int64, wait func()) {
	opened = &atomic.Int64{}
	var tasks sync.WaitGroup
	for i := range f.connections {
		tasks.Go(func() {
			from := dialer(f.addresses[i%len(f.addresses)])
			for ctx.Err() == nil {
				c, err := from.DialContext(ctx, "tcp", address)
				if err == nil {
					opened.Add(1)
					stop := context.AfterFunc(ctx, func() { c.Close() })
					if f.begin(c) == nil {
						_, _ = io.Copy(io.Discard, c)
					}
					stop()
					c.Close()
				}
				pause(ctx, time.Second)
			}
		})
	}
	return opened, tasks.Wait
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

const (
	floodTime = 8 * time.Second
	// floodGrowth bounds by how much the server's memory may grow under all floods, in MB. It grows by about 140 MB, and
	// grew by 530 MB when the port was the server's own.
	floodGrowth = 300
	// floodedWait bounds how long an agent takes to connect or publish under a flood. The attacker has the same
	// processor.
	floodedWait = 30 * time.Second
)

// TestSilentConnections opens connections that never authenticate, as any stranger can. Agents must connect and publish
// meanwhile, and the server's memory must stay bounded.
func TestSilentConnections(t *testing.T) {
	testenv.RequireLong(t)
	s := startFloodedServer(t)
	agent := s.agent("127.0.0.1")
	_, err := publishes(t.Context(), agent)
	must(t, err)
	calm := s.memory()
	for _, f := range silentFloods() {
		t.Run(f.name, func(t *testing.T) {
			if peak := s.flood(t, f, agent); peak-calm > floodGrowth && !testenv.Race {
				t.Errorf("the server has grown by %d MB", peak-calm)
			}
		})
	}
}

// flood runs an attack while an agent publishes and another one connects. It returns the server's memory at most.
func (s *floodedServer) flood(t *testing.T, f silentFlood, agent *busagent.Conn) (peak int) {
	ctx, cancel := context.WithCancel(t.Context())
	calm := s.memory()
	opened, wait := f.run(ctx, s.address())
	defer wait()
	defer cancel()
	pause(ctx, floodTime/4)
	began, slowest := time.Now(), time.Duration(0)
	if _, err := publishes(ctx, s.agent(fmt.Sprintf("127.0.1.%d", s.agents))); err != nil { // an unknown address
		t.Errorf("an agent that connects under the flood cannot publish: %v", err)
	}
	connected := time.Since(began)
	for peak = calm; time.Since(began) < connected+floodTime*3/4; pause(ctx, 50*time.Millisecond) {
		took, err := publishes(t.Context(), agent)
		if err != nil {
			t.Errorf("an agent cannot publish: %v", err)
		}
		slowest, peak = max(slowest, took), max(peak, s.memory())
	}
	if since, ok := agent.Connected(); !ok || since.After(began) {
		t.Error("the agent was disconnected")
	}
	t.Logf("%d connections; memory %d MB before, %d at most; a new agent publishes after %s, the slowest batch takes %s",
		opened.Load(), calm, peak, connected.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if connected > floodedWait || slowest > floodedWait {
		t.Error("agents are starved")
	}
	return peak
}
