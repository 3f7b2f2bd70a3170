package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

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
		}
	}
}

var nextClient atomic.Uint32

// request sends requests over one connection for each processor, with as little work on the client's side as it can.
func request(b *testing.B, server *httptest.Server, path, encoding string) {
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReaderSize(conn, 64<<10)
		var out []byte
		for p.Next() {
			n := nextClient.Add(1) % 8000
			out = fmt.Appendf(out[:0], "GET %s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n"+
				"X-Forwarded-For: 10.0.%d.%d\r\n\r\n", path, encoding, n>>8, n&255)
			if _, err := conn.Write(out); err != nil {
				b.Error(err)
				return
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != http.StatusOK {
				b.Error(res, err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
