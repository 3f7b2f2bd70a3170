package server

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
)

// BenchmarkProxy compares messages that a client sends through the proxy with those it sends to a server that listens
// itself. "ratio" is the throughput of the proxy divided by that of the server.
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{256, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			direct, proxied := listeningServer(b), startProxied(b, "127.0.0.1:0")
			var took [2]time.Duration
			for range b.N {
				for i, s := range []*Server{direct, proxied} {
					took[i] += sendAll(b, s, size, max(64<<20/size/8, 2000))
				}
			}
			b.ReportMetric(float64(took[0])/float64(took[1]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// listeningServer is a server as it was before the proxy: it accepts connections itself.
func listeningServer(b *testing.B) *Server {
	b.Helper()
	dir := b.TempDir()
	s := &Server{log: zerolog.Nop(), store: filepath.Join(dir, "streams")}
	var err error
	if s.ca, err = openAuthority(filepath.Join(dir, "ca")); err != nil {
		b.Fatal(err)
	}
	if s.trust, err = openTrust(filepath.Join(dir, "trust")); err != nil {
		b.Fatal(err)
	}
	if err := s.trust.openResolver(); err != nil {
		b.Fatal(err)
	}
	s.certificates = &certificates{ca: s.ca, life: Life}
	opts := s.options()
	opts.DontListen, opts.ProxyProtocol, opts.Host, opts.Port = false, false, "127.0.0.1", natsd.RANDOM_PORT
	if s.server, err = natsd.NewServer(opts); err != nil {
		b.Fatal(err)
	}
	s.server.Start()
	if !s.server.ReadyForConnections(readyWait) {
		b.Fatal("not ready")
	}
	b.Cleanup(func() { s.server.Shutdown(); s.server.WaitForShutdown() })
	s.servers = []string{"tls://" + s.server.Addr().(*net.TCPAddr).String()}
	return s
}

// sendAll sends n messages over TLS to a subscriber in the server's process, and returns how long that takes.
func sendAll(b *testing.B, s *Server, size, n int) time.Duration {
	b.Helper()
	token, seed, err := s.trust.user("mesh")
	if err != nil {
		b.Fatal(err)
	}
	trusted, err := bus.NewTrustStore(s.ca.pem)
	if err != nil {
		b.Fatal(err)
	}
	from, err := nats.Connect(s.servers[0], nats.UserJWTAndSeed(token, seed), nats.Secure(trusted.TLSConfig()))
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	to, err := s.connect("mesh", "subscriber")
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	done, received := make(chan struct{}), 0
	sub, err := to.Subscribe("bench", func(*nats.Msg) {
		if received++; received == n {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		b.Fatal(err)
	}
	message, began := make([]byte, size), time.Now()
	for range n {
		if err := from.Publish("bench", message); err != nil {
			b.Fatal(err)
		}
	}
	if err := from.Flush(); err != nil {
		b.Fatal(err)
	}
	<-done
	return time.Since(began)
}
