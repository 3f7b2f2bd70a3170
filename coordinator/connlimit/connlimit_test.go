package connlimit_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/connlimit"
)

// patience bounds what should happen at once. No test that passes waits for it.
const patience = 20 * time.Second

// open serves a limited listener. The answer of /large does not fit in any kernel's buffer; written receives the result
// of writing it.
func open(t *testing.T, c connlimit.Config) (address string, written chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := connlimit.New(l, c)
	written = make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		written <- err
	})
	s := &http.Server{Handler: mux}
	limited.Configure(s)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(limited) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return l.Addr().String(), written
}

// dialFrom connects from one of this machine's loopback addresses, each of which counts as a client.
func dialFrom(t *testing.T, from, to string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// get requests the page and reads the answer. The connection stays open.
func get(c net.Conn) (status int, err error) {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// closed reports whether the server closes the connection.
func closed(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	var waited net.Error
	return !errors.As(err, &waited) || !waited.Timeout()
}

func TestASlowClientIsDisconnected(t *testing.T) {
	address, _ := open(t, connlimit.Config{HeaderWait: 200 * time.Millisecond, ReadWait: 400 * time.Millisecond})
	for what, request := range map[string]string{
		"sends nothing":        "",
		"begins a header":      "GET / HTTP/1.1\r\nHost: ",
		"ends no header":       "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n",
		"sends no body":        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
		"sends half of a body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 1000),
	} {
		t.Run(what, func(t *testing.T) {
			c := dialFrom(t, "127.0.0.2", address)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			if !closed(c) {
				t.Error("the server waits for it")
			}
		})
	}
}

func TestAClientThatDoesNotReadIsDisconnected(t *testing.T) {
	address, written := open(t, connlimit.Config{WriteWait: 300 * time.Millisecond})
	c := dialFrom(t, "127.0.0.2", address)
	if _, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("everything was written to a client that reads nothing")
		}
	case <-time.After(patience):
		t.Error("the server writes for ever")
	}
}

func TestTheHeaderIsBounded(t *testing.T) {
	address, _ := open(t, connlimit.Config{})
	c := dialFrom(t, "127.0.0.2", address)
	go func() {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 2*connlimit.HeaderMax)+"\r\n\r\n")
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", res, err)
	}
}

func TestOneClientDoesNotStarveOthers(t *testing.T) {
	const most = 16
	address, _ := open(t, connlimit.Config{MaxConns: most})
	var conns []net.Conn
	for range most { // each is idle
		c := dialFrom(t, "127.0.0.2", address)
		if status, err := get(c); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		conns = append(conns, c)
	}
	for i := range most / 2 {
		if status, err := get(dialFrom(t, "127.0.0.3", address)); err != nil || status != http.StatusOK {
			t.Fatalf("reader %d is refused: %d %v", i, status, err)
		}
	}
	if !closed(conns[0]) {
		t.Error("the oldest connection of the client with the most is still open")
	}
	if status, err := get(conns[most-1]); err != nil || status != http.StatusOK {
		t.Errorf("its newest connection is closed too: %d %v", status, err)
	}
}

func TestAClientWithoutIdleConnectionsGetsNoMore(t *testing.T) {
	const most = 4
	address, _ := open(t, connlimit.Config{MaxConns: most})
	var conns []net.Conn
	for range most { // each has begun a request
		c := dialFrom(t, "127.0.0.2", address)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n")
		conns = append(conns, c)
	}
	if !closed(dialFrom(t, "127.0.0.2", address)) {
		t.Error("one more connection is accepted")
	}
	if status, err := get(dialFrom(t, "127.0.0.3", address)); err != nil || status != http.StatusOK {
		t.Errorf("another client is refused: %d %v", status, err)
	}
	_ = conns[most-1].Close()
	for {
		if status, err := get(dialFrom(t, "127.0.0.2", address)); err == nil && status == http.StatusOK {
			break // as soon as the server has seen the close
		}
	}
}
