package probe_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// tlsServer completes handshakes, and then calls say.
func tlsServer(t *testing.T, config *tls.Config, say func(net.Conn)) int {
	return server(t, "127.0.0.1", func(c net.Conn) {
		secured := tls.Server(c, config)
		if secured.Handshake() == nil {
			say(secured)
		}
		secured.Close()
	})
}

func hear(c net.Conn) { io.Copy(io.Discard, c) }

// tlsChecks are checks of each kind that begins with a handshake.
func tlsChecks(port int, v catalog.Verification) []catalog.Check {
	return []catalog.Check{
		{Kind: catalog.KindTLS, Timeout: patience, Options: catalog.TLS{Port: port, Verification: v}},
		{Kind: catalog.KindTCP, Timeout: patience, Options: catalog.TCP{Port: port, TLS: true, Verification: v}},
	}
}

var mail = catalog.Verification{ServerName: "mail.example.net", CertificateDays: 14}

func TestTLSHandshakes(t *testing.T) {
	good := issue(t, "mail.example.net")
	for _, test := range []struct {
		name   string
		config *tls.Config
		v      catalog.Verification
		reason string // empty: reachable
	}{
		{"verified", &tls.Config{Certificates: []tls.Certificate{good}}, mail, ""},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, mail, ""},
		{"expired", &tls.Config{Certificates: []tls.Certificate{issueFor(t, "mail.example.net", -2*time.Hour)}}, mail,
			"certificate expired 2 hours ago"},
		{"another name", &tls.Config{Certificates: []tls.Certificate{issue(t, "www.example.org")}}, mail,
			"certificate is for www.example.org, not mail.example.net"},
		{"no server_name", &tls.Config{Certificates: []tls.Certificate{good}}, catalog.Verification{},
			"certificate is for mail.example.net, not 127.0.0.1"},
		{"self-signed", &tls.Config{Certificates: []tls.Certificate{certificate(t, "mail.example.net", time.Hour)}}, mail,
			"certificate not trusted: "},
		{"a client certificate, TLS 1.3", &tls.Config{
			Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert,
		}, mail, "TLS refused: certificate required: it wants a client certificate"},
		{"a client certificate, TLS 1.2", &tls.Config{
			Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12,
		}, mail, "TLS refused: "},
		{"a client certificate that is optional", &tls.Config{
			Certificates: []tls.Certificate{good}, ClientAuth: tls.RequestClientCert,
		}, mail, ""},
		{"an old protocol", &tls.Config{
			Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		}, mail, "TLS refused: protocol version not supported: it speaks none of TLS 1.2 and 1.3"},
		{"no certificate for the name", &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, io.EOF },
		}, mail, "TLS refused: internal error"},
	} {
		for _, check := range tlsChecks(tlsServer(t, test.config, hear), test.v) {
			t.Run(test.name+" "+check.Kind, func(t *testing.T) {
				got := once(t, probe.Kernel{}, check, "127.0.0.1")
				if test.reason == "" {
					want(t, got, mesh.Reachable, "")
					if got.Expiry == nil || got.RTT < got.Connect || got.Connect <= 0 {
						t.Errorf("%+v", got)
					}
					return
				}
				want(t, got, mesh.Unreachable, test.reason)
				if f := mesh.ClassifyReason(got.Reason); f.Kind == mesh.OtherFailure {
					t.Errorf("the public reads of %q: %s", got.Reason, f)
				}
			})
		}
	}
}

// Servers see the name that the check gives, or the host's.
func TestTheServerNameIsAskedFor(t *testing.T) {
	asked := make(chan string, 2)
	port := tlsServer(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked <- h.ServerName
		c := issue(t, h.ServerName)
		return &c, nil
	}}, hear)
	checks := tlsChecks(port, mail)
	checks = append(checks, tlsChecks(port, catalog.Verification{})[0])
	for i, name := range []string{"mail.example.net", "mail.example.net", "localhost"} {
		want(t, once(t, probe.Kernel{}, checks[i], "localhost"), mesh.Reachable, "")
		if got := <-asked; got != name {
			t.Errorf("it asked for %q, want %q", got, name)
		}
	}
}

// With ca: a certificate of that authority is good, and one of the system's authorities is not.
func TestAuthoritiesOfAFile(t *testing.T) {
	own := certificate(t, "mail.example.net", time.Hour)
	dir := t.TempDir()
	file := filepath.Join(dir, "own.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})
	empty := filepath.Join(dir, "empty.pem")
	for name, content := range map[string][]byte{file: text, empty: []byte("nothing")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	probeWith := func(served tls.Certificate, ca string) probe.Result {
		port := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{served}}, hear)
		v := catalog.Verification{ServerName: "mail.example.net", CA: ca}
		return once(t, probe.Kernel{}, tlsChecks(port, v)[0], "127.0.0.1")
	}
	want(t, probeWith(own, file), mesh.Reachable, "")
	want(t, probeWith(issue(t, "mail.example.net"), file), mesh.Unreachable, "certificate not trusted: ")
	for ca, reason := range map[string]string{
		filepath.Join(dir, "missing.pem"): "no such file", empty: "has no certificates", dir: "is not a regular file",
	} {
		got := probeWith(own, ca)
		want(t, got, mesh.Inconclusive, reason)
		if !mesh.CannotAsk(got.Reason) {
			t.Errorf("%q is not the machine's own fault", got.Reason)
		}
	}
}

func TestABannerOverTLS(t *testing.T) {
	greet := func(text string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, text); hear(c) } }
	config := &tls.Config{Certificates: []tls.Certificate{issue(t, "mail.example.net")}}
	for text, reason := range map[string]string{
		"* OK Dovecot ready.\r\n": "", "* BYE too many\r\n": `banner "* BYE too many" does not match`,
		"": "hung: accepted and said nothing for 1 s",
	} {
		check := catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{
			Port: tlsServer(t, config, greet(text)), TLS: true, Banner: `^\* OK`, Verification: mail,
		}}
		outcome := mesh.Unreachable
		if reason == "" {
			outcome = mesh.Reachable
		}
		want(t, once(t, probe.Kernel{}, inTime(check, reason), "127.0.0.1"), outcome, reason)
	}
	config = config.Clone()
	config.ClientAuth = tls.RequireAnyClientCert
	check := catalog.Check{Kind: catalog.KindTCP, Timeout: patience, Options: catalog.TCP{
		Port: tlsServer(t, config, greet("* OK\r\n")), TLS: true, Banner: `^\* OK`, Verification: mail,
	}}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "it wants a client certificate")
}

// repeat writes the text until the client is gone, with pauses.
func repeat(text string, pause time.Duration) func(net.Conn) {
	said := []byte(text) // once: what the test's server allocates is measured too
	return func(c net.Conn) {
		for {
			if _, err := c.Write(said); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}

// Hostile servers cost a bounded time and memory, leave no goroutine, and are described.
func TestHostileServersOfTLS(t *testing.T) {
	record := "\x16\x03\x03\x40\x00" + strings.Repeat("\x00", 1<<14) // a handshake's record as long as it may be
	for _, test := range []struct {
		name   string
		say    func(net.Conn)
		reason string
	}{
		{"silence", hear, "hung: accepted and said nothing for 1 s"},
		{"early close", func(net.Conn) {}, "closed without an answer"},
		{"drip", repeat("\x16", 20*time.Millisecond), "does not speak TLS"},
		{"a record that never ends", func(c net.Conn) { io.WriteString(c, record[:9]); hear(c) },
			"hung: answer not finished after 1 s"},
		{"cut short", func(c net.Conn) { io.CopyN(io.Discard, c, 5); io.WriteString(c, record[:9]) }, "answer cut short"},
		{"garbage", func(c net.Conn) { io.WriteString(c, "\x00\xff\x00\xff\x00\xff"); hear(c) }, "does not speak TLS"},
		{"a flood of text", repeat(strings.Repeat("A", 1<<16), 0), "does not speak TLS"},
		{"a flood of handshakes", repeat(record, 0), "TLS failed: "},
		{"a huge message", repeat("\x16\x03\x03\x00\x04\x02\xff\xff\xff"+record, 0), "TLS failed: "},
		{"a plain greeting", func(c net.Conn) { io.WriteString(c, "220 mail.example.net ESMTP\r\n"); hear(c) },
			"does not speak TLS"},
		{"HTTP", func(c net.Conn) { io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n"); hear(c) }, "does not speak TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			port := server(t, "127.0.0.1", func(c net.Conn) {
				if test.name != "cut short" {
					c.Read(make([]byte, 4096)) // a reset must not overtake what the server said
				}
				test.say(c)
			})
			before := goleak.IgnoreCurrent() // with the server's own
			for _, check := range tlsChecks(port, mail) {
				var start, end runtime.MemStats
				runtime.ReadMemStats(&start)
				began := time.Now()
				got := once(t, probe.Kernel{}, inTime(check, test.reason), "127.0.0.1")
				runtime.ReadMemStats(&end)
				if got.Outcome != mesh.Unreachable || !strings.Contains(got.Reason, test.reason) {
					t.Errorf("%s: %v %q, want %q", check.Kind, got.Outcome, got.Reason, test.reason)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("%s took %v", check.Kind, took)
				}
				if used := end.TotalAlloc - start.TotalAlloc; used > 1<<20 {
					t.Errorf("%s allocated %d bytes", check.Kind, used)
				}
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// A plain check of a port that speaks TLS describes what is missing.
func TestATLSPortWithoutTLS(t *testing.T) {
	port := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{issue(t, "mail.example.net")}}, hear)
	check := catalog.Check{Kind: catalog.KindTCP, Timeout: time.Second, Options: catalog.TCP{Port: port, Banner: "^220 "}}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "hung: accepted and said nothing")
}
