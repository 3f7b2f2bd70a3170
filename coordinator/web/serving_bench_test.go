//go:build unix

package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/connlimit"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// BenchmarkServing measures requests a second over TCP: of the front page and of summary.json with all limits on, and
// of a bare handler that writes as many constant bytes. Clients are many, behind a proxy on this machine: each one's
// rate is limited.
func BenchmarkServing(b *testing.B) {
	t := &testing.T{}
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	site := web.NewHandler(zerolog.Nop(), web.Public, routes(s, web.Public, web.StreamsConfig{})...)
	for _, path := range []string{"/", "/api/v2/summary.json"} {
		for _, encoding := range []string{"identity", "br"} {
			size := ask(site, http.MethodGet, path, "Accept-Encoding", encoding).Body.Len()
			constant := make([]byte, size)
			bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(constant)
			}))
			defer bare.Close()
			limited := httptest.NewUnstartedServer(site)
			l := connlimit.New(limited.Listener, connlimit.Config{})
			l.Configure(limited.Config)
			limited.Listener = l
			limited.Start()
			defer limited.Close()
			name := fmt.Sprintf("%s %s %d bytes", path, encoding, size)
			b.Run(name+" bare", func(b *testing.B) { request(b, bare, path, encoding) })
			b.Run(name+" ready", func(b *testing.B) { request(b, limited, path, encoding) })
			b.Run(name+" compared", func(b *testing.B) { compare(b, bare, limited, path, encoding) })
		}
	}
}

// compare has both servers answer in turns, and reports how many requests the second answers for each one of the first
// in the same processor time, which other programs on the machine do not change. The client's part is in both.
func compare(b *testing.B, bare, ready *httptest.Server, path, encoding string) {
	const batch = 100
	var spent [2]time.Duration
	for range b.N {
		for i, server := range []*httptest.Server{bare, ready} {
			before := processorTime(b)
			converse(b, server, path, encoding, batch)
			spent[i] += processorTime(b) - before
		}
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "of-bare")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var nextClient atomic.Uint32

// request sends requests over one connection for each processor.
func request(b *testing.B, server *httptest.Server, path, encoding string) {
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		c := dial(b, server)
		defer c.Close()
		for p.Next() {
			c.request(b, path, encoding)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// converse sends n requests over one connection.
func converse(b *testing.B, server *httptest.Server, path, encoding string, n int) {
	c := dial(b, server)
	defer c.Close()
	for range n {
		c.request(b, path, encoding)
	}
}

// connection is the client's side.
type connection struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dial(b *testing.B, server *httptest.Server) *connection {
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return &connection{c, bufio.NewReaderSize(c, 64<<10), nil}
}

func (c *connection) request(b *testing.B, path, encoding string) {
	n := nextClient.Add(1) % 8000
	c.out = fmt.Appendf(c.out[:0], "GET %s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n"+
		"X-Forwarded-For: 10.0.%d.%d\r\n\r\n", path, encoding, n>>8, n&255)
	if _, err := c.Write(c.out); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatal(res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
}
