package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

// testMesh is a real bus with a coordinator that enrols NC036 and serves a catalog, until the test ends or it is
// stopped.
type testMesh struct {
	*enroller.Enroller
	server *server.Server
	stop   func()
}

const catalogFile = `
regions: [{name: amsterdam}, {name: london}, {name: sydney}]
hosts:
  - {name: NC036, region: amsterdam, address: 127.0.0.1}
  - name: NC041
    region: london
    address: 127.0.0.1
    checks: [{kind: tcp, name: Sending mail, port: %s, banner: "^220 ", interval: 4s, timeout: 3s}]
  - {name: NC033, region: sydney, address: 127.0.0.1, checks: [{kind: tcp, port: %s, interval: 4s, timeout: 3s}]}
`

// noMembers is a mesh in which no agent has joined yet; NC036 is in the catalog.
type noMembers struct{}

func (noMembers) KnownHost(key string) bool                      { return key == "nc036" }
func (noMembers) HostName(key string) string                     { return key }
func (noMembers) Key(string) string                              { return "" }
func (noMembers) Agents(context.Context) ([]ledger.Agent, error) { return nil, nil }
func (noMembers) HostID(string) string                           { return "" }
func (noMembers) EndedKeys(context.Context) ([]string, error)    { return nil, nil }
func (noMembers) Enrolled(context.Context, string, string) error { return nil }
func (noMembers) Revoked(context.Context, string, string) error  { return nil }
func (noMembers) Renamed(context.Context, ledger.Agent) error    { return nil }
func (noMembers) NextName(context.Context, ledger.Agent, string, int64) error {
	return nil
}
func (noMembers) Agent(context.Context, string) (ledger.Agent, error) {
	return ledger.Agent{}, ledger.ErrNoAgent
}
func (noMembers) AgentOf(context.Context, string) (ledger.Agent, error) {
	return ledger.Agent{}, ledger.ErrNoAgent
}

func openMesh(t *testing.T, open, shut string) *testMesh {
	t.Helper()
	_, openPort, _ := net.SplitHostPort(open)
	_, shutPort, _ := net.SplitHostPort(shut)
	watched, err := catalogfile.Parse("test.yaml", fmt.Appendf(nil, catalogFile, openPort, shutPort), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := wire.EncodeCatalog(watched)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: testenv.FreeAddress(t), Logger: zerolog.Nop(), // scripts stop it
	})
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
	d := &testMesh{Enroller: enroller.New(enroller.Config{
		Bus: c, Issuer: s, Members: noMembers{}, Logger: zerolog.Nop(),
	}), server: s}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	ready, answers := make(chan struct{}), make(chan struct{})
	tasks.Go(func() { _ = d.Run(ctx, ready) })
	tasks.Go(func() { _ = c.AnswerCatalog(ctx, answers, func(string, *bus.SealKey) []byte { return packed }) })
	<-ready
	<-answers
	d.stop = sync.OnceFunc(func() { cancel(); tasks.Wait(); c.Close(); s.Close() })
	t.Cleanup(d.stop)
	return d
}

// tokens returns the tokens of TestScripts, by the name of their variable.
func tokens(t *testing.T, testMesh *testMesh, open, shut string) map[string]string {
	t.Helper()
	right, err := testMesh.Invite(t.Context(), "NC036")
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*wire.Token)) string {
		token, err := wire.ParseToken(right)
		if err != nil {
			t.Fatal(err)
		}
		change(&token)
		return token.String()
	}
	servers := func(addresses ...string) func(*wire.Token) {
		return func(t *wire.Token) { t.Servers = addresses }
	}
	good, err := wire.ParseToken(right)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"TOKEN":         right,
		"FOREIGN_TOKEN": changed(func(t *wire.Token) { t.Pin[0]++ }),
		"SHUT_TOKEN":    changed(servers("tls://" + shut)),
		"OTHER_TOKEN":   changed(servers("tls://" + open)),
		"LOST_TOKEN":    changed(servers("tls://coordinator.invalid:4222")),
		"NAMED_TOKEN":   changed(servers(strings.Replace(good.Servers[0], "127.0.0.1", "localhost", 1))),
		"TWO_TOKEN":     changed(servers("tls://"+shut, good.Servers[0])),
	}
}

// openResolver starts a resolver that answers every question with "no such name", until the test ends.
func openResolver(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			// RFC 1035, section 4.1.1: it is a response, recursion is available, and the code is 3.
			question[2], question[3] = question[2]|0x80, 0x83
			question[11] = 0 // drop the additional record of the question
			end := 12
			for end < n && question[end] != 0 { // past the name's labels
				end += 1 + int(question[end])
			}
			_, _ = conn.WriteTo(question[:min(n, end+5)], from) // and its end, type and class
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}
