package web_test

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
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const patience = 60 * time.Second // far more than anything here needs

// keepChanging changes the text of every check, ten times a second until the test ends.
func keepChanging(t *testing.T, s *webtest.Source) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			_, current := s.Current()
			next := *current
			next.At = time.Now()
			next.Hosts = append([]mesh.HostState{}, next.Hosts...)
			for k := range next.Hosts {
				h := &next.Hosts[k]
				h.Checks = append([]mesh.CheckState{}, h.Checks...)
				for n := range h.Checks {
					h.Checks[n].Sentence = fmt.Sprintf("Unknown: %d.", i)
				}
			}
			s.Show(&next)
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
}

// serve serves a site that keeps changing, on a real listener with the connection limits of a coordinator.
func serve(t *testing.T, c web.StreamsConfig) (address string) {
	t.Helper()
	s := webtest.NewSource(t, mesh.Unknown, mesh.StatusUnknown)
	server := httptest.NewUnstartedServer(web.NewHandler(zerolog.Nop(), web.Public, routes(s, web.Public, c)...))
	limited := connlimit.New(server.Listener, connlimit.Config{})
	limited.Configure(server.Config)
	server.Listener = limited
	server.Start()
	t.Cleanup(server.Close)
	keepChanging(t, s)
	return server.Listener.Addr().String()
}

// stream is the client's side of an event stream.
type stream struct {
	*net.TCPConn
	in *bufio.Reader
}

// openStream asks for events from an address of this machine, each of which counts as a client, and reads nothing yet.
func openStream(t *testing.T, from, to string) stream {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	conn := c.(*net.TCPConn)
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadBuffer(4 << 10) // so that the server's writes soon block
	if _, err := io.WriteString(conn, "GET /api/v1/events?page=/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return stream{conn, bufio.NewReader(conn)}
}

// response reads the header of the answer.
func (s stream) response(t *testing.T) *http.Response {
	t.Helper()
	_ = s.SetDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// ends reads what the server has sent, and reports whether it then closed the stream.
func (s stream) ends(res *http.Response) bool {
	_ = s.SetDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, res.Body)
	var network net.Error
	return !errors.As(err, &network) || !network.Timeout()
}

// readFrontPage fails the test if the front page is not answered.
func readFrontPage(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), "NC036") {
		t.Errorf("the front page: status %d (%v)", res.StatusCode, err)
	}
}

func TestAThousandStalledStreamsDoNotKeepOthersFromThePage(t *testing.T) {
	address := serve(t, web.StreamsConfig{Max: 1000, Wait: time.Second})
	var stalled []stream
	for range 1000 {
		stalled = append(stalled, openStream(t, "127.0.0.2", address))
	}
	for range 5 {
		readFrontPage(t, address)
	}
	if res := openStream(t, "127.0.0.3", address).response(t); res.StatusCode != http.StatusOK {
		t.Errorf("another client gets no event stream: status %d", res.StatusCode)
	}
	// The places of stalled streams become free, for the same client too, which had none left.
	for range 100 {
		eventually(t, "a stalled stream is closed", func() bool {
			return openStream(t, "127.0.0.2", address).response(t).StatusCode == http.StatusOK
		})
	}
	if s := stalled[999]; !s.ends(s.response(t)) {
		t.Error("a stalled stream stays open")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func TestAClientWithAllStreamsLosesItsOldestToAnotherClient(t *testing.T) {
	address := serve(t, web.StreamsConfig{Max: 8, PerClient: 8})
	oldest := openStream(t, "127.0.0.2", address)
	res := oldest.response(t)
	for range 7 {
		if openStream(t, "127.0.0.2", address).response(t).StatusCode != http.StatusOK {
			t.Fatal("refused while there are places")
		}
	}
	if openStream(t, "127.0.0.2", address).response(t).StatusCode != http.StatusServiceUnavailable {
		t.Error("a ninth stream of one client was accepted")
	}
	if openStream(t, "127.0.0.3", address).response(t).StatusCode != http.StatusOK {
		t.Error("another client was refused")
	}
	if !oldest.ends(res) {
		t.Error("the oldest stream of the first client stays open")
	}
}

// An office of a thousand people behind one address opens the page when something fails, and keeps it open.
func TestAnOfficeBehindOneAddressIsNotRefused(t *testing.T) {
	server := httptest.NewServer(public(webtest.NewSource(t, mesh.Down, mesh.MajorOutage)))
	defer server.Close()
	var tasks sync.WaitGroup
	refused := make(chan int, 2000)
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
						defer res.Body.Close() // the streams of fifty people stay open together
					}
				}
			}
		})
	}
	tasks.Wait()
	if n := len(refused); n > 0 {
		t.Errorf("%d requests were refused, the first with status %d", n, <-refused)
	}
}

// A flood from ever new addresses costs no client its first requests, and one that keeps asking stays limited.
func TestManyClientsDoNotLiftTheLimits(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	from := func(client string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/api/v2/status.json", nil)
		r.RemoteAddr = client + ":1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	refused := 0
	for i := range 30_000 {
		newcomer := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		if w := from(newcomer); w.Code != http.StatusOK {
			t.Fatalf("client %d: status %d", i, w.Code)
		}
		if from("192.0.2.1").Code != http.StatusOK {
			refused++
		}
	}
	if refused < 20_000 {
		t.Errorf("a client got %d of 30,000 requests", 30_000-refused)
	}
}

func TestAProxyOnThisMachineNamesItsClients(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	ask := func(peer, forwarded string) int {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	exhausted := false
	for range 20_000 {
		exhausted = exhausted || ask("127.0.0.1:1", "192.0.2.66, 2001:db8::1") == http.StatusTooManyRequests
	}
	// One more request becomes free every 20 ms, while this test may wait for a processor.
	limited := func(peer, forwarded string) bool {
		for range 100 {
			if ask(peer, forwarded) == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	}
	if !exhausted || !limited("127.0.0.1:1", "2001:db8::2") {
		t.Error("a /64 behind a proxy has no limit")
	}
	if got := ask("127.0.0.1:1", "2001:db8:0:1::1"); got != http.StatusOK {
		t.Errorf("another client behind the proxy: status %d", got)
	}
	// From elsewhere the header counts for nothing: this is the client that has used up its rate.
	if !limited("[2001:db8::3]:1", "192.0.2.77") {
		t.Error("a client that claims to be another has a rate of its own")
	}
}
