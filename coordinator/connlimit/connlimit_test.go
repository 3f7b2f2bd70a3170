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

const patience = 20 * time.Second // for what is to happen at once; no test waits for it

// open serves behind a door on a real listener. An answer of /large is larger than what waits in any kernel; what became of
// writing it is told.
func open(t *testing.T, c connlimit.Config) (address string, written chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := connlimit.New(l, c)
	written = make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		written <- err
	})
	s := &http.Server{Handler: mux}
	d.Bound(s)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(d) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return l.Addr().String(), written
}

// come connects from one of this machine's loopback addresses, each of which is a client.
func come(t *testing.T, from, to string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask asks for the page over a connection and reads the answer; it stays open.
func ask(c net.Conn) (status int, err error) {
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

// hungUp reports whether the other side ends the connection.
func hungUp(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	var waited net.Error
	return !errors.As(err, &waited) || !waited.Timeout()
}

func TestWhoIsSlowIsHungUpOn(t *testing.T) {
	address, _ := open(t, connlimit.Config{HeaderWait: 200 * time.Millisecond, ReadWait: 400 * time.Millisecond})
	for what, said := range map[string]string{
		"says nothing":         "",
		"begins a header":      "GET / HTTP/1.1\r\nHost: ",
		"ends no header":       "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n",
		"sends no body":        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
		"sends half of a body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 1000),
	} {
		t.Run(what, func(t *testing.T) {
			c := come(t, "127.0.0.2", address)
			if _, err := io.WriteString(c, said); err != nil {
				t.Fatal(err)
			}
			if !hungUp(c) {
				t.Error("it is waited for")
			}
		})
	}
}

func TestWhoDoesNotReadIsHungUpOn(t *testing.T) {
	address, written := open(t, connlimit.Config{WriteWait: 300 * time.Millisecond})
	c := come(t, "127.0.0.2", address)
	if _, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("all was written to one who reads nothing")
		}
	case <-time.After(patience):
		t.Error("it is written to for ever")
	}
}

func TestAHeadIsBounded(t *testing.T) {
	address, _ := open(t, connlimit.Config{})
	c := come(t, "127.0.0.2", address)
	go func() {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 2*connlimit.HeaderMax)+"\r\n\r\n")
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", res, err)
	}
}

func TestOneClientDoesNotKeepOthersOut(t *testing.T) {
	const most = 16
	address, _ := open(t, connlimit.Config{Most: most})
	var held []net.Conn
	for range most { // each waits for its next request
		c := come(t, "127.0.0.2", address)
		if status, err := ask(c); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		held = append(held, c)
	}
	for i := range most / 2 {
		if status, err := ask(come(t, "127.0.0.3", address)); err != nil || status != http.StatusOK {
			t.Fatalf("reader %d is kept out: %d %v", i, status, err)
		}
	}
	if !hungUp(held[0]) {
		t.Error("the oldest of the client that holds the most is still there")
	}
	if status, err := ask(held[most-1]); err != nil || status != http.StatusOK {
		t.Errorf("its newest is gone too: %d %v", status, err)
	}
}

func TestWhoHoldsAllPlacesOfOneClientIsGivenNoMore(t *testing.T) {
	const most = 4
	address, _ := open(t, connlimit.Config{Most: most})
	var held []net.Conn
	for range most { // each has begun a request
		c := come(t, "127.0.0.2", address)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n")
		held = append(held, c)
	}
	if !hungUp(come(t, "127.0.0.2", address)) {
		t.Error("one more is let in")
	}
	if status, err := ask(come(t, "127.0.0.3", address)); err != nil || status != http.StatusOK {
		t.Errorf("another client is kept out: %d %v", status, err)
	}
	_ = held[most-1].Close()
	for {
		if status, err := ask(come(t, "127.0.0.2", address)); err == nil && status == http.StatusOK {
			break // as soon as the server has seen that one left
		}
	}
}
