package page_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/connlimit"
	"github.com/probemesh/probemesh/coordinator/page"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const patience = 60 * time.Second // no test waits for it

// moving is a source in which something changes all the time.
type moving struct {
	*source
	mu       sync.Mutex
	snapshot *mesh.Snapshot
	changed  chan struct{}
}

func (s *moving) Current() (*catalog.Catalog, *mesh.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalog, s.snapshot
}

func (s *moving) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// move changes what every page shows, until the test ends.
func (s *moving) move(t *testing.T) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			s.mu.Lock()
			next := *s.snapshot
			next.At = time.Now()
			next.Hosts = append([]mesh.HostState{}, next.Hosts...)
			for k := range next.Hosts {
				h := &next.Hosts[k]
				h.Checks = append([]mesh.CheckState{}, h.Checks...)
				for n := range h.Checks {
					h.Checks[n].Sentence = fmt.Sprintf("Unknown: %d.", i)
				}
			}
			s.snapshot = &next
			close(s.changed)
			s.changed = make(chan struct{})
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
}

// published serves a site that moves on a real listener, behind the door.
func published(t *testing.T, c page.StreamsConfig) (address string) {
	t.Helper()
	still := newSource(t, mesh.Unknown, mesh.StatusUnknown)
	s := &moving{source: still, snapshot: still.snapshot, changed: still.changed}
	server := httptest.NewUnstartedServer(page.New(page.Config{Source: s, Streams: c, Logger: zerolog.Nop()}))
	d := connlimit.New(server.Listener, connlimit.Config{})
	d.Bound(server.Config)
	server.Listener = d
	server.Start()
	t.Cleanup(server.Close)
	s.move(t)
	return server.Listener.Addr().String()
}

// stream is one reader of events.
type stream struct {
	*net.TCPConn
	in *bufio.Reader
}

// listen asks for events from one of this machine's loopback addresses, each of which is a client, and reads nothing yet.
func listen(t *testing.T, from, to string) stream {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	conn := c.(*net.TCPConn)
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, "GET /api/v1/events?page=/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return stream{conn, bufio.NewReader(conn)}
}

// answer is what a stream begins with.
func (s stream) answer(t *testing.T) *http.Response {
	t.Helper()
	_ = s.SetDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// letGo reports whether the server ends a stream: what waited for the reader is read, and then its end.
func (s stream) letGo(res *http.Response) bool {
	_ = s.SetDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, res.Body)
	var waited net.Error
	return !errors.As(err, &waited) || !waited.Timeout()
}

func read(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), "NC036") {
		t.Errorf("the page: %d %v", res.StatusCode, err)
	}
}

func TestAThousandWhoStoppedReadingKeepNobodyFromThePage(t *testing.T) {
	address := published(t, page.StreamsConfig{Most: 1000, Wait: time.Second})
	var stalled []stream
	for range 1000 {
		stalled = append(stalled, listen(t, "127.0.0.2", address))
	}
	for range 5 {
		read(t, address)
	}
	if res := listen(t, "127.0.0.3", address).answer(t); res.StatusCode != http.StatusOK {
		t.Error("another client is not kept told")
	}
	// Their places are given to others, of the same client too, which has none left before.
	for range 100 {
		await(t, "those who stopped reading are let go", func() bool {
			return listen(t, "127.0.0.2", address).answer(t).StatusCode == http.StatusOK
		})
	}
	if s := stalled[999]; !s.letGo(s.answer(t)) {
		t.Error("one that stopped reading is held on to")
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func TestOneClientsStreamsMakeWayForAnothers(t *testing.T) {
	address := published(t, page.StreamsConfig{Most: 8, Each: 8})
	first := listen(t, "127.0.0.2", address)
	begun := first.answer(t)
	for range 7 {
		if listen(t, "127.0.0.2", address).answer(t).StatusCode != http.StatusOK {
			t.Fatal("there is room and it is refused")
		}
	}
	if listen(t, "127.0.0.2", address).answer(t).StatusCode != http.StatusServiceUnavailable {
		t.Error("one client is given more than there is")
	}
	if listen(t, "127.0.0.3", address).answer(t).StatusCode != http.StatusOK {
		t.Error("one client keeps another out")
	}
	if !first.letGo(begun) {
		t.Error("the oldest stream of the client that holds the most did not make way")
	}
}

// An office of a thousand people behind one address opens the page when something fails, and keeps it open.
func TestAnOfficeBehindOneAddressIsNotRefused(t *testing.T) {
	s := newSource(t, mesh.Down, mesh.MajorOutage)
	server := httptest.NewServer(public(s))
	defer server.Close()
	var tasks sync.WaitGroup
	refused := make(chan int, 1000)
	for range 20 {
		tasks.Go(func() {
			for range 50 {
				for _, path := range []string{"/", "/api/v1/events?page=/"} {
					request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
					res, err := http.DefaultClient.Do(request)
					if err != nil {
						refused <- 0
						continue
					}
					if res.StatusCode != http.StatusOK {
						refused <- res.StatusCode
					}
					if path == "/" {
						_, _ = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					} else {
						defer res.Body.Close()
					}
				}
			}
		})
	}
	tasks.Wait()
	if n := len(refused); n > 0 {
		t.Errorf("%d requests are refused, the first with %d", n, <-refused)
	}
}

func TestAProxyOnThisMachineNamesWhoAsks(t *testing.T) {
	h := public(newSource(t, mesh.Up, mesh.Operational))
	ask := func(peer, behind string) int {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", behind)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	exhausted := false
	for range 20_000 {
		exhausted = exhausted || ask("127.0.0.1:1", "192.0.2.66, 2001:db8::1") == http.StatusTooManyRequests
	}
	if !exhausted || ask("127.0.0.1:1", "2001:db8::2") != http.StatusTooManyRequests {
		t.Error("a /64 behind a proxy may ask without end")
	}
	if got := ask("127.0.0.1:1", "2001:db8:0:1::1"); got != http.StatusOK {
		t.Errorf("another reader behind the proxy is answered %d", got)
	}
	if got := ask("[2001:db8::3]:1", "192.0.2.77"); got != http.StatusTooManyRequests {
		t.Errorf("one who names another from outside is believed: %d", got)
	}
}
