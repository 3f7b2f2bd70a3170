package probe_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// BenchmarkKinds measures what one probe of each kind costs an agent in CPU time, with the test's own server, which
// runs in the same process: the agent's part is less than what it prints. Memory is allocated, not held.
func BenchmarkKinds(b *testing.B) {
	for name, check := range benchmarkedChecks(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			target := probe.Target{Check: check, Address: "127.0.0.1", Family: mesh.IPv4, Agent: "test"}
			failed := 0
			before := cpuTime(b)
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), check.Timeout)
				if got := probe.Once(ctx, probe.Kernel{}, target, func() {}); !got.Outcome.Good() {
					if failed++; failed == 1 {
						b.Logf("%v %s", got.Outcome, got.Reason)
					}
				}
				cancel()
			}
			used := cpuTime(b) - before
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "CPU-µs/op")
			if failed > 0 {
				b.Errorf("%d of %d probes failed", failed, b.N)
			}
		})
	}
}

// benchmarkedChecks returns a check of each kind, and of some with a handshake, with servers that answer them.
func benchmarkedChecks(b *testing.B) map[string]catalog.Check {
	config := &tls.Config{Certificates: []tls.Certificate{issueFor(b, "mail.example.net", time.Hour)}}
	site := httptest.NewServer(http.HandlerFunc(website))
	secure := httptest.NewUnstartedServer(http.HandlerFunc(website))
	secure.TLS = config
	secure.StartTLS()
	b.Cleanup(func() { site.Close(); secure.Close() })
	url := strings.NewReplacer("127.0.0.1", "mail.example.net")
	session := func(kind string, secured bool) catalog.Check {
		s := scripts[kind]
		s.config = config
		o := catalog.MailSession{StartTLS: secured}
		if secured {
			o.Verification = mail
		}
		return mailCheck(kind, server(b, "127.0.0.1", func(c net.Conn) { s.serve(c) }), o)
	}
	greeter := server(b, "127.0.0.1", func(c net.Conn) { io.WriteString(c, "220 mail\r\n"); hear(c) })
	handshake := server(b, "127.0.0.1", func(c net.Conn) { hear(tls.Server(c, config)) })
	query := catalog.DNS{Query: "web.example.net", Expect: []string{"192.0.2.41"}}
	checks := map[string]catalog.Check{
		"ping": {Kind: catalog.KindPing, Options: catalog.Ping{}},
		"tcp":  {Kind: catalog.KindTCP, Options: catalog.TCP{Port: greeter, Banner: "^220 "}},
		"tls":  {Kind: catalog.KindTLS, Options: catalog.TLS{Port: handshake, Verification: mail}},
		"http": {Kind: catalog.KindHTTP, Options: catalog.HTTP{
			URL: url.Replace(site.URL) + "/json", BodyJSON: map[string]string{"data.0.state": "ready"},
		}},
		"http over TLS": {Kind: catalog.KindHTTP, Options: catalog.HTTP{
			URL: url.Replace(secure.URL), Body: "Version", Verification: catalog.Verification{CertificateDays: 14},
		}},
		"smtp": session(catalog.KindSMTP, false), "smtp STARTTLS": session(catalog.KindSMTP, true),
		"imap": session(catalog.KindIMAP, false), "imap STARTTLS": session(catalog.KindIMAP, true),
		"pop3": session(catalog.KindPOP3, false), "pop3 STARTTLS": session(catalog.KindPOP3, true),
		"dns": dnsCheck(nameserver(b, func(_, a *dns.Msg) {
			a.Answer = records("web.example.net. 60 IN A 192.0.2.41")
		}), query),
		"sip": sipCheck(phones(b, same, "200 OK"), catalog.SIP{}),
	}
	for name, check := range checks {
		check.Timeout = 5 * time.Second
		checks[name] = check
	}
	return checks
}

// cpuTime returns how long this process has run on a CPU.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
