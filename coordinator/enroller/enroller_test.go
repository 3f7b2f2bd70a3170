package enroller_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

// coordinator is a NATS server with an enroller, and members that stand for the engine's.
type coordinator struct {
	*enroller.Enroller
	*members
	server *server.Server
	bus    *buscoordinator.Conn
}

func open(t *testing.T) *coordinator { return openAt(t, t.TempDir(), &members{}, nil) }

// openAt opens a coordinator on a directory, which an earlier one may have used.
func openAt(t *testing.T, dir string, m *members, change func(*enroller.Config)) *coordinator {
	t.Helper()
	if m.address == "" {
		m.address = testenv.FreeAddress(t)
	}
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: m.address, CredentialLife: m.life,
		Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := buscoordinator.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	d := &coordinator{server: s, members: m, bus: c}
	with := enroller.Config{Bus: c, Issuer: s, Members: m, Logger: zerolog.Nop()}
	if change != nil {
		change(&with)
	}
	d.Enroller = enroller.New(with)
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	ready := make(chan struct{})
	tasks.Go(func() { _ = d.Run(ctx, ready) })
	<-ready
	m.close = sync.OnceFunc(func() { cancel(); tasks.Wait(); c.Close(); s.Close() })
	t.Cleanup(m.close)
	return d
}

// join invites nc036 and joins it with the state directory.
func (d *coordinator) join(t *testing.T, dir string) agent.Identity {
	t.Helper()
	token, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	id, err := agent.Join(t.Context(), token, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// members stands for the ledger and a catalog with the one host nc036.
type members struct {
	id      string // of the host, where another one has the name now
	address string // "": a free one. A coordinator that opens again listens where the former one did
	close   func()
	life    time.Duration // of credentials; zero: the server's default

	mu       sync.Mutex
	agent    ledger.Agent // its names
	enrolled []string     // keys, of nc036
	revoked  map[string]time.Time
}

// forget replaces the keys that the ledger knows, as a restore does.
func (m *members) forget(known []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enrolled = slices.Clone(known)
}

func (m *members) HostName(key string) string { return strings.ToUpper(key) }

func (m *members) KnownHost(key string) bool { return key == "nc036" }

// Key returns nc037 for the first host if another one has its name now.
func (m *members) Key(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch id {
	case cmp.Or(m.id, firstID):
		return "nc036"
	case firstID:
		return "nc037"
	}
	return ""
}

const firstID = "1d0000000001" // of nc036 when its agent joined

func (m *members) HostID(key string) string {
	if !m.KnownHost(key) {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.id, firstID)
}

// rename gives the host's name to another host.
func (m *members) rename() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id = "1d0000000002"
}

func (m *members) Agent(_ context.Context, name string) (a ledger.Agent, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a = m.agent; a.Name == "" {
		a.Name = "nc036"
	}
	if len(m.enrolled) == 0 || name != a.Name && name != a.Next {
		return ledger.Agent{}, ledger.ErrNoAgent
	}
	last := m.enrolled[len(m.enrolled)-1]
	a.HostID, a.PublicKey, a.Revoked = firstID, last, m.revoked[last]
	return a, nil
}

func (m *members) AgentOf(ctx context.Context, _ string) (ledger.Agent, error) {
	m.mu.Lock()
	name := cmp.Or(m.agent.Name, "nc036")
	m.mu.Unlock()
	return m.Agent(ctx, name)
}

func (m *members) Agents(ctx context.Context) ([]ledger.Agent, error) {
	if a, err := m.AgentOf(ctx, ""); err == nil && a.Revoked.IsZero() {
		return []ledger.Agent{a}, nil
	}
	return nil, nil
}

func (m *members) NextName(_ context.Context, a ledger.Agent, next string, since int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent = ledger.Agent{Name: a.Name, Next: next, Since: since}
	return nil
}

func (m *members) Renamed(_ context.Context, a ledger.Agent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent = ledger.Agent{Name: a.Next, Since: a.Since}
	return nil
}

func (m *members) EndedKeys(context.Context) (out []string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, key := range m.enrolled {
		if i < len(m.enrolled)-1 || !m.revoked[key].IsZero() {
			out = append(out, key)
		}
	}
	return out, nil
}

func (m *members) Enrolled(_ context.Context, _, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.enrolled, key) {
		m.enrolled = append(m.enrolled, key)
	}
	return nil
}

func (m *members) Revoked(_ context.Context, _, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revoked == nil {
		m.revoked = map[string]time.Time{}
	}
	m.revoked[key] = time.Now()
	return nil
}

func TestJoin(t *testing.T) {
	d := open(t)
	token, err := d.Invite(t.Context(), "NC036")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id, err := agent.Join(t.Context(), token, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := agent.Load(dir)
	if err != nil || loaded.Name != "nc036" || loaded.JWT != id.JWT || len(d.members.enrolled) != 1 {
		t.Fatalf("loaded %+v, enrolled %v: %v", loaded, d.members.enrolled, err)
	}
	if len(loaded.Gossip) != 1 || len(loaded.Gossip[0]) != wire.GossipKeySize {
		t.Errorf("gossip keys %v", loaded.Gossip)
	}
	conn, err := busagent.Dial(t.Context(), busagent.Config{Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT,
		Seed: id.Seed, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(t.Context(), "1", func() map[string]string { return nil }, []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestRefusedTokens(t *testing.T) {
	d := open(t)
	good, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := wire.ParseToken(good)
	forged.Secret = make([]byte, 16)
	other, _ := wire.ParseToken(good)
	other.Host = "nc041"
	foreign, _ := wire.ParseToken(good)
	foreign.Pin = make([]byte, 32)
	if _, err := agent.Join(t.Context(), good, t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{
		good:             "used",
		good[:40]:        "misspelt",
		forged.String():  "is forged",
		other.String():   "is forged",
		foreign.String(): "of another mesh",
	} {
		if _, err := agent.Join(t.Context(), token, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted %q, got %v", want, err)
		}
	}
	if _, err := d.Invite(t.Context(), "NC099"); errkind.Of(err) != errkind.NotFound {
		t.Error("a host that the catalog does not have was invited:", err)
	}
	if _, err := agent.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has not joined yet") {
		t.Error(err)
	}
}

func TestAllAgentsGetTheSameGossipKey(t *testing.T) {
	d := open(t)
	var keys []string
	for range 2 {
		keys = append(keys, string(d.join(t, t.TempDir()).Gossip[0]))
	}
	if keys[0] != keys[1] {
		t.Error("two agents got different keys")
	}
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) set(off time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

func TestATokenExpiresByTheCoordinatorsClock(t *testing.T) {
	c := &clock{}
	d := openAt(t, t.TempDir(), &members{}, func(with *enroller.Config) { with.Now = c.now })
	token, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	c.set(enroller.Lifetime + time.Second)
	if _, err := agent.Join(t.Context(), token, t.TempDir(), nil); err == nil ||
		!strings.Contains(err.Error(), "has lapsed") {
		t.Error(err)
	}
	c.set(enroller.Lifetime - time.Minute)
	if _, err := agent.Join(t.Context(), token, t.TempDir(), nil); err != nil {
		t.Error(err)
	}
}
