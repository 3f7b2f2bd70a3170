package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agent": main, "probemesh-agent": main})
}

// TestScripts runs the commands as a person would type them: testdata/*.txtar. A mail server's banner comes from
// $OPEN, and nothing listens at $SHUT. $TOKEN lets NC036 join a real bus. The other tokens differ from it:
// $FOREIGN_TOKEN has another mesh's pin, $SHUT_TOKEN names a closed port, $OTHER_TOKEN a port with something else
// than a bus, $TWO_TOKEN a closed port and the bus, $NAMED_TOKEN the bus by name, and $LOST_TOKEN a name that does
// not exist.
func TestScripts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "220 mail.example.net ESMTP\r\n")
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	shut := testenv.FreePort(t)
	shutAddress := net.JoinHostPort("127.0.0.1", strconv.Itoa(shut))
	resolver := openResolver(t)
	setup := func(e *testscript.Env) error {
		e.Setenv("OPEN", l.Addr().String())
		e.Setenv("SHUT", shutAddress)
		e.Setenv("OPEN_PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		e.Setenv("SHUT_PORT", strconv.Itoa(shut))
		m := openMesh(t, l.Addr().String(), shutAddress)
		e.Values["mesh"] = m
		for name, token := range tokens(t, m, l.Addr().String(), shutAddress) {
			e.Setenv(name, token)
		}
		e.Setenv("PROBEMESH_RESOLVER", resolver)
		e.Setenv("PROBEMESH_GOSSIP_LISTEN", "127.0.0.1:0")
		return nil
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Condition: condition, Cmds: commands, Setup: setup})
}

// commands are those that scripts have beside testscript's own: `coordinator stop`, and `revoke STATE`, which revokes
// the identity in a state directory.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"coordinator": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value("mesh").(*testMesh).stop() },
	"revoke": func(ts *testscript.TestScript, _ bool, args []string) {
		id, err := identity.Load(ts.MkAbs(args[0]))
		ts.Check(err)
		token, err := bus.ReadJWT(id.JWT)
		ts.Check(err)
		ts.Check(ts.Value("mesh").(*testMesh).server.Revoke(context.Background(), token.Key))
	},
}

// condition reports whether the machine has what a script needs: [root], or [ping], the permission to ping. In CI a
// machine that lacks it is an error, so that nothing is skipped.
func condition(name string) (has bool, err error) {
	switch name {
	case "root":
		has = os.Getuid() == 0
	case "ping":
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := probe.Kernel{}.Ping(ctx, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		has = err == nil
	default:
		return false, fmt.Errorf("there is no condition %q", name)
	}
	if !has && testenv.CI() {
		return false, fmt.Errorf("in CI nothing is skipped, and this machine lacks %s", name)
	}
	return has, nil
}
