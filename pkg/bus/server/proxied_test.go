package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// The server takes plain text from within its process, and forwarded clients come from there.
func TestPlainTextIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	conn, lines := dialPlain(t, s.Servers()[0])
	if line, err := lines.ReadString('\n'); !strings.Contains(line, `"tls_required":true`) {
		t.Errorf("the server says %q, %v", line, err)
	}
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":true}\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(lines); len(rest) > 0 {
		t.Errorf("plain text is answered with %q", rest)
	}
}

// A client cannot say that it comes from another address.
func TestAForgedProxyHeaderIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	for _, header := range []string{
		"PROXY TCP4 203.0.113.1 127.0.0.1 1024 4222\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x01\x7f\x00\x00\x01\x04\x00\x10\x7e",
	} {
		conn, lines := dialPlain(t, s.Servers()[0])
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, header+"CONNECT {}\r\nPING\r\n"); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(lines); len(rest) > 0 {
			t.Errorf("%q is answered with %q", header, rest)
		}
	}
}

func TestASilentConnectionIsClosed(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	began := time.Now()
	_, lines := dialPlain(t, s.Servers()[0])
	_, _ = io.ReadAll(lines)
	if took := time.Since(began); took < 2*time.Second || took > 30*time.Second {
		t.Errorf("closed after %s, want 3 s", took)
	}
}

// One address has all slots, so that a further connection of it is told why it is closed.
func TestAFullPortSaysWhy(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	address := s.Servers()[0]
	busy := func(what string, attempt func() error) {
		t.Helper()
		var err error
		for range 10 { // on a busy machine the server may close the first connections before the attempt
			fillPort(t, address)
			if err = attempt(); errors.Is(err, busagent.ErrBusy) {
				return
			}
		}
		t.Errorf("%s says: %v", what, err)
	}
	busy("an agent that examines the port", func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "tls://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = busagent.Handshake(t.Context(), conn)
		return err
	})
	busy("an agent that joins", func() error {
		_, err := busagent.RequestEnrolment(t.Context(), s.Servers(), [32]byte{}, nil, nil)
		return err
	})
}

// fillPort opens connections until the server refuses one, and checks the reason that it gives. Each connection begins
// a TLS handshake, because the server closes a silent one sooner.
func fillPort(t *testing.T, address string) {
	t.Helper()
	for began, n := time.Now(), 0; ; n++ {
		conn, lines := dialPlain(t, address)
		line, err := lines.ReadString('\n')
		if err != nil || time.Since(began) > time.Minute {
			t.Fatalf("connection %d: %q, %v", n, line, err)
		}
		if strings.HasPrefix(line, "INFO ") {
			if _, err := conn.Write([]byte{22}); err != nil { // the first byte of a TLS record
				t.Fatal(err)
			}
			continue
		}
		if !strings.Contains(line, "too many connections have not authenticated") {
			t.Errorf("connection %d was refused with %q", n, line)
		}
		conn.Close()
		return
	}
}

// Close does not wait for clients that do not read.
func TestCloseIsQuick(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: testenv.FreeAddress(t), Logger: zerolog.Nop(), // nobody else gets the port
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		dialPlain(t, s.Servers()[0])
	}
	lead(t, s)
	if err := dialAgent(t, s, "nc036").Publish(t.Context(), "1", headers, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("closed after %s", took)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.Servers()[0], "tls://")); err == nil {
		t.Error("the port is open still")
	}
}

func dialPlain(t *testing.T, url string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(fmt.Errorf("set a deadline: %w", err))
	}
	return conn, bufio.NewReader(conn)
}
