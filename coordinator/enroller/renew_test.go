package enroller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/wire"
)

// running is an agent that renews its credentials as `agent run` does, without the probes.
type running struct {
	*agent.Renewer
	*busagent.Conn
	mu   sync.Mutex
	keys [][][]byte // every keyring that gossip received
}

func run(t *testing.T, dir string, every time.Duration) *running {
	t.Helper()
	id, err := agent.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{}
	r.Renewer = agent.NewRenewer(agent.RenewerConfig{Dir: dir, Identity: id, Every: every, Gossip: r.gossip,
		Logger: zerolog.Nop()})
	r.Conn, err = busagent.Dial(t.Context(), busagent.Config{
		Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, JWTFunc: r.JWT, Seed: id.Seed, Former: id.FormerEndpoint(),
		Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { r.Run(ctx, r.Conn) })
	tasks.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case data := <-r.Controls():
				if c, err := wire.DecodeControl(data); err == nil && c.Renew {
					r.Renew()
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); tasks.Wait(); r.Close() })
	return r
}

func (r *running) gossip(keys [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, keys)
}

func (r *running) keyrings() [][][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys)
}

func TestCredentialsAreRenewedWithoutARestart(t *testing.T) {
	d := openAt(t, t.TempDir(), &members{life: 10 * time.Second}, nil) // several times as long as a busy machine needs
	dir := t.TempDir()
	first := d.join(t, dir)
	r := run(t, dir, time.Second)
	jwts := map[string]bool{}
	await(t, "the JWT is renewed twice", func() bool { jwts[r.JWT()] = true; return len(jwts) == 3 })
	token, err := bus.ReadJWT(first.JWT)
	if err != nil || token.Expires.IsZero() {
		t.Fatal(token, err)
	}
	await(t, "the first JWT has expired", func() bool { return time.Now().After(token.Expires.Add(time.Second)) })
	if !publishes(t, r.Conn, time.Minute) {
		t.Error("the agent was disconnected with its first JWT")
	}
	if publishes(t, dial(t, first), time.Second) {
		t.Error("an expired JWT is accepted")
	}
	if stored, err := agent.Load(dir); err != nil || stored.JWT == first.JWT || stored.Seed != first.Seed {
		t.Errorf("the stored identity was not renewed: %v", err)
	}
}

func TestARevokedAgentGetsNoCredentials(t *testing.T) {
	d := open(t)
	dir := t.TempDir()
	d.join(t, dir)
	r := run(t, dir, time.Hour)
	ask := func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return r.Ask(ctx, wire.EncodeGrantRequest(wire.GrantRequest{Rename: true}))
	}
	var answer []byte
	await(t, "an answer", func() (ok bool) { var err error; answer, err = ask(); return err == nil })
	if !strings.Contains(string(answer), `"jwt"`) {
		t.Errorf("answered %s", answer)
	}
	_ = d.members.Revoked(t.Context(), "nc036", d.members.enrolled[0]) // in the ledger only
	if answer, err := ask(); err == nil {
		t.Errorf("a revoked agent gets %s", answer)
	}
}

// After a restore the ledger may not know an agent, or know only a former key of its host. Operators are warned until
// the agent has joined again.
func TestAnUnknownAgentIsReported(t *testing.T) {
	before, _, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for what, known := range map[string][]string{"nobody": nil, "an earlier key": {before}} {
		m := &members{}
		warnings := make(chan string, 100)
		d := openAt(t, t.TempDir(), m, func(c *enroller.Config) { c.Warn = func(_, text string) { warnings <- text } })
		dir := t.TempDir()
		d.join(t, dir)
		m.forget(known)
		reported := func(want bool) func() bool {
			return func() bool { return strings.Contains(<-warnings, "a restore: NC036;") == want }
		}
		lost := run(t, dir, time.Hour)
		await(t, "with "+what+" in the ledger it is reported", reported(true))
		lost.Close()
		again := t.TempDir()
		d.join(t, again)
		run(t, again, time.Hour)
		await(t, "the warning ends when it has joined again", reported(false))
		m.close()
	}
}

const settle = 100 * time.Millisecond

// stepClock is a clock that stands still until the test lets a step of a rotation pass: on a busy machine an agent
// may need any time to reconnect, and it must not miss a step.
type stepClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *stepClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *stepClock) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(settle)
}

func TestTheGossipKeyIsRotatedInThreeSteps(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	steps := &stepClock{at: time.Now()}
	quick := func(c *enroller.Config) { c.Settle, c.Now = settle, steps.now }
	m := &members{}
	d := openAt(t, at, m, quick)
	old := d.join(t, dir).Gossip[0]
	r := run(t, dir, time.Hour)
	await(t, "the agent is connected", func() bool { return !disconnected(r.Conn) })
	if _, err := d.RotateGossipKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := d.RotateGossipKey(t.Context())
	if err == nil || !strings.Contains(err.Error(), "rotated already") || errkind.Of(err) != errkind.Conflict {
		t.Error(err)
	}
	await(t, "the first step", func() bool { return len(r.keyrings()) == 1 })
	m.close() // a restart continues the rotation
	openAt(t, at, m, quick)
	if !publishes(t, r.Conn, time.Minute) {
		t.Fatal("the agent does not connect again")
	}
	for i := 2; i <= 3; i++ {
		steps.pass()
		await(t, fmt.Sprint("step ", i), func() bool { return len(r.keyrings()) >= i })
	}
	rings := append([][][]byte{{old}}, r.keyrings()...)
	if len(rings) != 4 || len(rings[1]) != 2 || len(rings[2]) != 2 || len(rings[3]) != 1 ||
		string(rings[3][0]) == string(old) {
		t.Fatalf("keyrings %x", rings)
	}
	accepts := func(ring [][]byte, key []byte) bool {
		return slices.ContainsFunc(ring, func(k []byte) bool { return string(k) == string(key) })
	}
	for i := range len(rings) - 1 { // agents of two successive steps can gossip
		if !accepts(rings[i], rings[i+1][0]) || !accepts(rings[i+1], rings[i][0]) {
			t.Errorf("agents of steps %d and %d cannot gossip: %x", i, i+1, rings)
		}
	}
	if stored, err := agent.Load(dir); err != nil || len(stored.Gossip) != 1 ||
		string(stored.Gossip[0]) != string(rings[3][0]) {
		t.Errorf("stored %x: %v", stored.Gossip, err)
	}
}
