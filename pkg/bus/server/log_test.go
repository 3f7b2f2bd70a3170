package server_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// Anybody who connects can make a TLS handshake fail, and each join does: that is no error of the coordinator.
func TestFailedHandshakesAreNoErrors(t *testing.T) {
	log := &testenv.Log{}
	s, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.New(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	address := strings.TrimPrefix(s.Servers()[0], "tls://")
	// A client that does not know the mesh's authority greets, reads the certificate and refuses it.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n'); err != nil { // the server's INFO
		t.Fatal(err)
	}
	if err := tls.Client(conn, &tls.Config{ServerName: "localhost"}).HandshakeContext(t.Context()); err == nil {
		t.Fatal("a foreign certificate is trusted")
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "TLS handshake error"); {
		if time.Now().After(deadline) {
			t.Fatalf("the handshake did not fail: %s", log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "handshake") && !strings.Contains(line, `"level":"debug"`) {
			t.Error(line)
		}
	}
}
