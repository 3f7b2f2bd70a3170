package penetration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// The two agents: the attacker has the credentials of own, and other is the target.
const (
	own   = "nc036"
	other = "nc041"
)

// members is a mesh that no agent has joined, with one host that can be invited.
type members struct{}

func (members) KnownHost(key string) bool  { return key == "nc050" }
func (members) HostName(key string) string { return key }

func (members) Key(string) string                              { return "" }
func (members) HostID(string) string                           { return "" }
func (members) Agents(context.Context) ([]ledger.Agent, error) { return nil, nil }
func (members) Agent(context.Context, string) (ledger.Agent, error) {
	return ledger.Agent{}, ledger.ErrNoAgent
}
func (members) AgentOf(context.Context, string) (ledger.Agent, error) {
	return ledger.Agent{}, ledger.ErrNoAgent
}
func (members) Renamed(context.Context, ledger.Agent) error { return nil }
func (members) NextName(context.Context, ledger.Agent, string, int64) error {
	return nil
}
func (members) EndedKeys(context.Context) ([]string, error)              { return nil, nil }
func (members) Enrolled(_ context.Context, host, publicKey string) error { return nil }
func (members) Revoked(_ context.Context, host, publicKey string) error  { return nil }

// identity is an agent's credentials.
type identity struct{ token, seed string }

// world is a coordinator's NATS server with two agents, and a connection that reads what is stored.
type world struct {
	t        *testing.T
	dir      string
	server   *server.Server
	bus      *buscoordinator.Conn
	enroller *enroller.Enroller
	ids      map[string]identity
	inside   *nats.Conn
	js       jetstream.JetStream
	victim   *rawConn   // the other agent, subscribed to everything that it may
	opened   []*rawConn // by the present attack
	table    []row
}

// row is one line of the report: what was tried, and how it was refused.
type row struct{ who, what, how string }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ids: map[string]identity{}}
	var err error
	w.server, err = server.Start(t.Context(), server.Config{Dir: w.dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(w.server.Close)
	config, err := w.server.CoordinatorConfig()
	must(t, err)
	c, err := buscoordinator.Dial(t.Context(), config)
	must(t, err)
	t.Cleanup(c.Close)
	must(t, c.Lead(t.Context()))
	w.bus = c
	w.inside, err = nats.Connect("", nats.InProcessServer(config.InProcess), nats.UserJWTAndSeed(config.JWT, config.Seed))
	must(t, err)
	t.Cleanup(w.inside.Close)
	w.js, err = jetstream.New(w.inside)
	must(t, err)
	w.serve(c)
	for _, name := range []string{own, other} {
		w.ids[name] = w.issue(name)
	}
	w.victim = w.agent(other)
	w.opened = nil
	t.Cleanup(func() { w.victim.Close() })
	for i, subject := range []string{bus.SubjectControlAll, bus.SubjectControl + other + ".>", "_INBOX_" + other + ".>"} {
		must(t, w.victim.send(fmt.Sprintf("SUB %s %d\r\n", subject, i+1)))
	}
	must(t, w.victim.send(hpub(bus.SubjectObservations+other, "_INBOX_"+other+".1", "Nats-Msg-Id: known\r\n", "{}")))
	if _, err := w.victim.answer(); err != nil {
		t.Fatal(err)
	}
	return w
}

// serve answers questions for the catalog and join requests.
func (w *world) serve(c *buscoordinator.Conn) {
	w.enroller = enroller.New(enroller.Config{Bus: c, Issuer: w.server, Members: members{}, Logger: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	asking, joining := make(chan struct{}), make(chan struct{})
	tasks.Go(func() {
		_ = c.AnswerCatalog(ctx, asking, func(string, *bus.SealKey) []byte { return []byte("the catalog") })
	})
	tasks.Go(func() { _ = w.enroller.Run(ctx, joining) })
	<-asking
	<-joining
	w.t.Cleanup(func() { cancel(); tasks.Wait() })
}

func (w *world) issue(name string) identity {
	w.t.Helper()
	public, seed, err := bus.NewKey()
	must(w.t, err)
	token, err := w.server.Issue(name, public)
	must(w.t, err)
	return identity{token, seed}
}

func (w *world) address() string { return strings.TrimPrefix(w.server.Servers()[0], "tls://") }

func (w *world) tls() *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.server.CA())
	return &tls.Config{RootCAs: pool, ServerName: bus.ServerName}
}

// agent opens a connection with an agent's credentials.
func (w *world) agent(name string) *rawConn {
	w.t.Helper()
	r, err := dialRaw(w.address(), w.tls())
	must(w.t, err)
	w.opened = append(w.opened, r)
	id := w.ids[name]
	must(w.t, r.authenticate(connect{JWT: id.token, Signature: r.sign(id.seed)}))
	return r
}

// anonymous opens a connection without credentials.
func (w *world) anonymous() *rawConn {
	w.t.Helper()
	r, err := dialRaw(w.address(), w.tls())
	must(w.t, err)
	w.opened = append(w.opened, r)
	must(w.t, r.authenticate(connect{}))
	return r
}

// seed reads one of the coordinator's signing keys, for attacks that need a stolen one.
func (w *world) seed(name string) nkeys.KeyPair {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "trust", "keys.json"))
	must(w.t, err)
	var seeds map[string]any
	must(w.t, json.Unmarshal(data, &seeds))
	pair, err := nkeys.FromSeed([]byte(seeds[name].(string)))
	must(w.t, err)
	return pair
}

// stored describes everything that is stored except the attacker's own batches. No attack may change it.
func (w *world) stored() string {
	w.t.Helper()
	ctx := w.t.Context()
	var out []string
	streams := w.js.ListStreams(ctx, jetstream.WithStreamListSubject(">"))
	for s := range streams.Info() {
		handle, err := w.js.Stream(ctx, s.Config.Name)
		must(w.t, err)
		info, err := handle.Info(ctx, jetstream.WithSubjectFilter(">"))
		must(w.t, err)
		config, err := json.Marshal(info.Config)
		must(w.t, err)
		out = append(out, string(config))
		if info.State.Consumers != 0 {
			out = append(out, fmt.Sprintf("%d consumers", info.State.Consumers))
		}
		for subject, n := range info.State.Subjects {
			if subject != bus.SubjectObservations+own && !strings.HasPrefix(subject, "$KV.enrolment.") {
				out = append(out, fmt.Sprintf("%s %d", subject, n))
			}
		}
	}
	must(w.t, streams.Err())
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// attempt runs one attack: it must be refused, store nothing, and deliver nothing to the other agent.
func (w *world) attempt(who, what string, attack func() error) {
	w.t.Helper()
	before := w.stored()
	err := attack()
	for _, r := range w.opened {
		r.Close()
	}
	w.opened = nil
	if err == nil {
		err = errors.New("POSSIBLE")
		w.t.Errorf("%s: %s is possible", who, what)
	}
	// What the coordinator itself reads for a moment is a consumer, which the server deletes some seconds later.
	after := w.stored()
	for end := time.Now().Add(patience); after != before && time.Now().Before(end); after = w.stored() {
		time.Sleep(200 * time.Millisecond)
	}
	if after != before {
		w.t.Errorf("%s: %s: %v, but something was stored: it was\n%s\nand is\n%s", who, what, err, before, after)
	}
	if e := w.victim.send(""); e != nil {
		w.t.Errorf("%s: %s: the other agent was disconnected: %v", who, what, e)
	}
	how := strings.ReplaceAll(err.Error(), "\n", " ")
	for _, f := range w.victim.received {
		how += fmt.Sprintf("; the other agent is sent %q and drops it, since no control message begins so", f.data)
		if strings.HasPrefix(f.data, `{"v":`) {
			w.t.Errorf("%s: %s: the other agent receives %q on %s", who, what, f.data, f.subject)
		}
	}
	w.victim.received = nil
	w.table = append(w.table, row{who, what, how})
}

// report prints what was tried and how it was refused.
func (w *world) report() {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for i, r := range w.table {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", i+1, r.who, r.what, r.how)
	}
	table.Flush()
	w.t.Logf("%d attacks, and how each was refused:\n%s", len(w.table), out.String())
}

// sign signs a user's claims with a key.
func sign(claims *jwt.UserClaims, key nkeys.KeyPair) string {
	token, err := claims.Encode(key)
	if err != nil {
		return err.Error()
	}
	return token
}
