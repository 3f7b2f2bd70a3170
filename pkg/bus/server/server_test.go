package server_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

func start(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lead(t *testing.T, s *server.Server) *buscoordinator.Conn {
	t.Helper()
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := buscoordinator.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// identity is an agent's credentials.
type identity struct{ token, seed string }

func issue(t *testing.T, s *server.Server, name string) identity {
	t.Helper()
	public, seed, err := bus.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Issue(name, public)
	if err != nil {
		t.Fatal(err)
	}
	return identity{token, seed}
}

func dialAgent(t *testing.T, s *server.Server, name string) *busagent.Conn {
	t.Helper()
	id := issue(t, s, name)
	a, err := busagent.Dial(t.Context(), busagent.Config{
		Name: name, Endpoint: s.Endpoint(), JWT: id.token, Seed: id.seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func headers() map[string]string { return map[string]string{"Probemesh-Age": "7"} }

// readOBS returns the first n messages of OBS.
func readOBS(t *testing.T, c *buscoordinator.Conn, n int) []bus.Message {
	t.Helper()
	var got []bus.Message
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.Follow(ctx, bus.Start{}, func(m bus.Message) error {
		if got = append(got, m); len(got) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("followed %d of %d: %v", len(got), n, err)
	}
	return got
}

func TestABatchIsStoredOnceUnderItsAgent(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c, a := lead(t, s), dialAgent(t, s, "nc036")
	for range 2 {
		if err := a.Publish(t.Context(), "id-1", headers, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Mark(t.Context(), bus.Tick, "tick-1", nil); err != nil {
		t.Fatal(err)
	}
	got := readOBS(t, c, 2)
	if m := got[0]; m.Kind != bus.Batch || m.Agent != "nc036" || m.Header("Probemesh-Age") != "7" ||
		string(m.Data) != "{}" || m.Time.IsZero() {
		t.Errorf("stored %+v", m)
	}
	if got[1].Kind != bus.Tick {
		t.Errorf("a batch sent again was stored twice: %+v", got[1])
	}
}

func TestControlMessagesAndCatalogsReachAgents(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c, a := lead(t, s), dialAgent(t, s, "nc036")
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	ready := make(chan struct{})
	tasks.Go(func() {
		_ = c.AnswerCatalog(ctx, ready, func(agent string, key *bus.SealKey) []byte {
			return []byte("for " + agent + " " + key.String())
		})
	})
	<-ready
	key := bus.SealKey{7}
	if data, err := a.Catalog(ctx, key); err != nil || string(data) != "for nc036 "+key.String() {
		t.Fatal(string(data), err)
	}
	if err := c.Broadcast(ctx, []byte(`{"v":1}`)); err != nil {
		t.Fatal(err)
	}
	if data := <-a.Controls(); string(data) != `{"v":1}` {
		t.Errorf("received %q", data)
	}
}

// rawConn connects with an agent's credentials, or with none, without the limits of our client.
func rawConn(t *testing.T, s *server.Server, id *identity, name string) *nats.Conn {
	t.Helper()
	opts := []nats.Option{nats.Secure(), nats.RootCAs(writeCA(t, s)), nats.CustomInboxPrefix("_INBOX_" + name),
		nats.NoReconnect(), nats.Timeout(time.Minute)}
	tls := func(o *nats.Options) error { o.TLSConfig.ServerName = bus.ServerName; return nil }
	opts = append(opts, tls, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if id != nil {
		opts = append(opts, nats.UserJWTAndSeed(id.token, id.seed))
	}
	conn, err := nats.Connect(s.Servers()[0], opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestAnAgentIsRefusedEverythingElse(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c := lead(t, s)
	id := issue(t, s, "nc036")
	conn := rawConn(t, s, &id, "nc036")
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s is possible", what)
		}
	}
	ask := func(subject string) error {
		_, err := conn.Request(subject, []byte("{}"), 300*time.Millisecond)
		return err
	}
	refused("publishing as another", ask(bus.SubjectObservations+"nc041"))
	refused("a mark", ask(bus.SubjectMark+"tick"))
	refused("writing the ledger", ask(bus.SubjectLedger+"epoch"))
	refused("writing summaries", ask(bus.SubjectRollup+bus.RollupEpoch))
	refused("JetStream's API", ask("$JS.API.INFO"))
	refused("purging", ask("$JS.API.STREAM.PURGE.OBS"))
	refused("enrolment", ask(bus.SubjectEnrol))
	js, err := jetstream.New(conn)
	if err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = js.Stream(ctx, "LEDGER")
	}
	refused("reading the ledger", err)

	// An acknowledgement must not be written where the agent's reply points.
	m := &nats.Msg{Subject: bus.SubjectObservations + "nc036", Reply: bus.SubjectLedger + "epoch", Data: []byte("{}")}
	if err := conn.PublishMsg(m); err == nil {
		err = conn.Flush()
		if err != nil {
			t.Fatal(err)
		}
	}
	readOBS(t, c, 1)
	count := 0
	if err := c.ReadLedger(t.Context(), 0, func(bus.Record) error { count++; return nil }); err != nil || count != 1 {
		t.Errorf("the ledger has %d events, want only the epoch (%v)", count, err)
	}
}

// admitAll answers every join request until the test ends.
func admitAll(t *testing.T, c *buscoordinator.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	t.Cleanup(func() { cancel(); tasks.Wait() })
	ready := make(chan struct{})
	tasks.Go(func() {
		_ = c.AnswerJoinRequests(ctx, ready, func(context.Context, []byte) []byte { return []byte("welcome") })
	})
	<-ready
}

// requestJoin sends a join request and checks that it is answered.
func requestJoin(t *testing.T, s *server.Server) {
	t.Helper()
	pin, err := bus.Pin(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := busagent.RequestEnrolment(t.Context(), s.Servers(), pin, nil, []byte("request")); err != nil ||
		string(reply) != "welcome" {
		t.Error(string(reply), err)
	}
}

func TestWithoutCredentialsOnlyJoinRequestsAreAllowed(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c := lead(t, s)
	admitAll(t, c)
	requestJoin(t, s)
	if _, err := busagent.RequestEnrolment(t.Context(), s.Servers(), [32]byte{1}, nil, []byte("request")); !errors.Is(err,
		bus.ErrPin) {
		t.Errorf("a server with another CA was trusted: %v", err)
	}
	conn := rawConn(t, s, nil, "x")
	for _, subject := range []string{bus.SubjectObservations + "nc036", bus.SubjectAsk + "nc036", "$JS.API.INFO"} {
		if _, err := conn.Request(subject, nil, 200*time.Millisecond); err == nil {
			t.Errorf("%s is possible without credentials", subject)
		}
	}
}

func TestOnlyTheLeaderAppendsAndInOneTransaction(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	first := lead(t, s)
	entries := []bus.Entry{{Subject: "status.nc036", ID: "a", Data: []byte("1")},
		{Subject: "transition.nc036", ID: "b", Data: []byte("2")}}
	for _, want := range []uint64{3, 0} { // after the epoch; then a repeat, which is dropped
		if last, err := first.Append(t.Context(), entries); err != nil || last != want {
			t.Fatalf("appended up to %d, want %d (%v)", last, want, err)
		}
	}
	second := lead(t, s)
	if _, err := first.Append(t.Context(), []bus.Entry{{Subject: "status.nc036", ID: "c"}}); !errors.Is(err,
		bus.ErrFenced) {
		t.Errorf("a leader that was replaced could still write: %v", err)
	}
	if _, err := second.Append(t.Context(), []bus.Entry{{Subject: "status.nc036", ID: "d",
		Data: []byte("3")}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := second.ReadLedger(t.Context(), 0, func(r bus.Record) error {
		got = append(got,
			r.Subject+"="+string(r.Data))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"epoch=", "status.nc036=1", "transition.nc036=2", "epoch=", "status.nc036=3"}
	if len(got) != len(want) {
		t.Fatalf("the ledger has %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the ledger has %v, want %v", got, want)
		}
	}
}

func TestARestartKeepsKeysStreamsAndAgents(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := lead(t, s)
	if _, err := c.Mark(t.Context(), bus.Tick, "1", nil); err != nil {
		t.Fatal(err)
	}
	id, ca := issue(t, s, "nc036"), s.CA()
	c.Close()
	s.Close()
	s = start(t, dir)
	defer s.Close()
	if string(ca) != string(s.CA()) {
		t.Error("the CA changed")
	}
	c = lead(t, s)
	a, err := busagent.Dial(t.Context(), busagent.Config{Name: "nc036", Endpoint: s.Endpoint(), JWT: id.token,
		Seed: id.seed, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Publish(t.Context(), "2", headers, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := readOBS(t, c, 2); got[0].Kind != bus.Tick || got[1].Agent != "nc036" {
		t.Errorf("the stream has %+v", got)
	}
}

func writeCA(t *testing.T, s *server.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheServersCertificateIsRenewedWhileItRuns(t *testing.T) {
	const life = 6 * time.Second // a third of it is more than a handshake takes on a busy machine
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0",
		CertificateLife: life, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := issue(t, s, "nc036")
	rawConn(t, s, &id, "nc036").Close() // with the first certificate, which ends within its life from now
	time.Sleep(life + time.Second)
	rawConn(t, s, &id, "nc036").Close()
}

func TestSecretsThatOthersCanReadAreRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	for _, secret := range []string{"trust/keys.json", "ca/ca.key"} {
		path := filepath.Join(dir, secret)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(secret, info, err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err = server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%s: %v", secret, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAgentWhoseClockIsOffCanConnect(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	id := issue(t, s, "nc036")
	for _, off := range []time.Duration{-93 * time.Second, 93 * time.Second, -23 * time.Hour} {
		clock := func(o *nats.Options) error {
			o.TLSConfig.ServerName, o.TLSConfig.Time = bus.ServerName, func() time.Time { return time.Now().Add(off) }
			return nil
		}
		conn, err := nats.Connect(s.Servers()[0], nats.Secure(), nats.RootCAs(writeCA(t, s)), clock,
			nats.UserJWTAndSeed(id.token, id.seed), nats.Timeout(time.Minute))
		if err != nil {
			t.Errorf("off by %s: %v", off, err)
			continue
		}
		conn.Close()
	}
}
