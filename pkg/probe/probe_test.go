package probe_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// server calls say for each connection, until the test ends.
func server(t testing.TB, address string, say func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			say(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

// patience is the timeout of probes that are answered, on a busy machine too.
const patience = 20 * time.Second

// inTime gives the check the timeout of one that is answered, or a short one if it must fail for lack of an answer.
// Over UDP a malformed answer is none: another may follow.
func inTime(check catalog.Check, reason string) catalog.Check {
	check.Timeout = patience
	dns, _ := check.Options.(catalog.DNS)
	sip, _ := check.Options.(catalog.SIP)
	overUDP := (check.Kind == catalog.KindDNS || check.Kind == catalog.KindSIP) && dns.Transport+sip.Transport == ""
	if strings.HasPrefix(reason, "hung") || strings.HasPrefix(reason, "timeout") ||
		overUDP && strings.HasPrefix(reason, "malformed answer") {
		check.Timeout = time.Second
	}
	return check
}

// once makes one attempt. Without a timeout, the check has patience.
func once(t *testing.T, network probe.Network, check catalog.Check, address string) probe.Result {
	t.Helper()
	if check.Timeout == 0 {
		check.Timeout = patience
	}
	family := mesh.IPv6
	if ip, err := netip.ParseAddr(address); err != nil {
		family = mesh.AnyFamily
	} else if ip.Is4() {
		family = mesh.IPv4
	}
	ctx, cancel := context.WithTimeout(t.Context(), max(check.Timeout, 2*time.Second))
	defer cancel()
	return probe.Once(ctx, network, probe.Target{Check: check, Address: address, Family: family, Agent: "test"},
		func() {})
}

func want(t *testing.T, got probe.Result, outcome mesh.Outcome, reason string) {
	t.Helper()
	if got.Outcome != outcome || !strings.Contains(got.Reason, reason) || reason == "" && got.Reason != "" {
		t.Errorf("found %v %q, wanted %v %q", got.Outcome, got.Reason, outcome, reason)
	}
}

func TestTCP(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	for _, test := range []struct {
		name, banner string
		say          func(net.Conn)
		outcome      mesh.Outcome
		reason       string
	}{
		{"connects", "", func(net.Conn) {}, mesh.Reachable, ""},
		{"greets", "^220 ", func(c net.Conn) { io.WriteString(c, "220 mail ESMTP\r\n") }, mesh.Reachable, ""},
		{"greets otherwise", "^220 ", func(c net.Conn) { io.WriteString(c, "554 go away\r\n") }, mesh.Unreachable,
			`banner "554 go away" does not match`},
		{"says nothing", "^220 ", func(c net.Conn) { io.Copy(io.Discard, c) }, mesh.Unreachable,
			"hung: accepted and said nothing for 1 s"},
		{"closes", "^220 ", func(net.Conn) {}, mesh.Unreachable, "closed without a banner"},
	} {
		for _, address := range []string{"127.0.0.1", "::1"} {
			t.Run(test.name+" "+address, func(t *testing.T) {
				check := catalog.Check{Kind: catalog.KindTCP,
					Options: catalog.TCP{Port: server(t, address, test.say), Banner: test.banner}}
				want(t, once(t, probe.Kernel{}, inTime(check, test.reason), address), test.outcome, test.reason)
			})
		}
	}
}

// TestMailServersAreLeftPolitely expects QUIT after a complete SMTP greeting, and nothing to any other server.
func TestMailServersAreLeftPolitely(t *testing.T) {
	for _, test := range []struct{ greeting, banner, said string }{
		{"220 mail.example.net ESMTP", "^220 ", "QUIT\r\n"},
		{"220-mail.example.net", "^220", ""},
		{"2200 files", "^220", ""},
		{"554 go away", "^220 ", ""},
		{"* OK IMAP", `^\* OK`, ""},
	} {
		said := make(chan string, 1)
		port := server(t, "127.0.0.1", func(c net.Conn) {
			io.WriteString(c, test.greeting+"\r\n")
			all, _ := io.ReadAll(c)
			said <- string(all)
		})
		once(t, probe.Kernel{},
			catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: port, Banner: test.banner}}, "127.0.0.1")
		if got := <-said; got != test.said {
			t.Errorf("after %q it said %q, wanted %q", test.greeting, got, test.said)
		}
	}
}

func TestProbesNameThemselves(t *testing.T) {
	for page, want := range map[string]string{
		"":                                     "probemesh/1.2 (agent nc036)",
		"https://status.example.net/":          "probemesh/1.2 (agent nc036; +https://status.example.net/)",
		"https://status.example.net/a b\u00e9": "probemesh/1.2 (agent nc036; +https://status.example.net/a%20b%C3%A9)",
		"https://x\r\nX-Evil: 1/":              "probemesh/1.2 (agent nc036)",
	} {
		var named string
		site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter,
			r *http.Request) {
			named = r.UserAgent()
		}))
		target := probe.Target{
			Check:   catalog.Check{Kind: catalog.KindHTTP, Timeout: patience, Options: catalog.HTTP{URL: site.URL}},
			Address: "127.0.0.1", Family: mesh.IPv4,
			Agent: "nc036", Version: "1.2", Page: page,
		}
		got := probe.Once(t.Context(), probe.Kernel{}, target, func() {})
		site.Close()
		if got.Outcome != mesh.Reachable || named != want {
			t.Errorf("with %q: %v %q, named %q, wanted %q", page, got.Outcome, got.Reason, named, want)
		}
	}
}

func TestRefused(t *testing.T) {
	check := catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: testenv.FreePort(t)}}
	got := once(t, probe.Kernel{}, check, "127.0.0.1")
	want(t, got, mesh.Unreachable, "connection refused")
	if !got.Definite {
		t.Error("a refusal is an answer, which retries would not change")
	}
}

func TestHTTP(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "https://user:SECRET@elsewhere.example/sign-in?key=SECRET#SECRET", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/slow":
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, "Sign in to %s", r.Host)
		}
	}))
	defer site.Close()
	port := site.Listener.Addr().(*net.TCPAddr).Port
	url := func(path string) string { return fmt.Sprintf("http://mail.example.net:%d%s", port, path) }
	for _, test := range []struct {
		name    string
		check   catalog.Check
		outcome mesh.Outcome
		reason  string
	}{
		{"answers", catalog.Check{Options: catalog.HTTP{URL: url("/"), Body: "Sign in to mail.example.net"}},
			mesh.Reachable, ""},
		{"lacks the body", catalog.Check{Options: catalog.HTTP{URL: url("/"), Body: "Webmail"}}, mesh.Unreachable,
			`body lacks "Webmail"`},
		{"wrong status", catalog.Check{Options: catalog.HTTP{URL: url("/broken")}}, mesh.Unreachable, "status 503"},
		{"wanted status", catalog.Check{Options: catalog.HTTP{URL: url("/broken"), Status: 503}}, mesh.Reachable, ""},
		{"redirects", catalog.Check{Options: catalog.HTTP{URL: url("/moved")}}, mesh.Unreachable,
			"redirects to https://elsewhere.example/sign-in (status 302), wanted 200"},
		{"a port that no connection can have",
			catalog.Check{Options: catalog.HTTP{URL: fmt.Sprintf("http://mail.example.net:%d/", port+65536)}},
			mesh.Inconclusive, "is not a port"},
		{"hangs", catalog.Check{Options: catalog.HTTP{URL: url("/slow")}}, mesh.Unreachable, "hung"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.check.Kind = catalog.KindHTTP
			want(t, once(t, probe.Kernel{}, inTime(test.check, test.reason), "127.0.0.1"), test.outcome, test.reason)
		})
	}
}

func TestCertificates(t *testing.T) {
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, "mail.example.net", -48*time.Hour)}}
	site.Config.ErrorLog = nil
	site.StartTLS()
	defer site.Close()
	port := site.Listener.Addr().(*net.TCPAddr).Port
	check := catalog.Check{Kind: catalog.KindHTTP, Timeout: patience,
		Options: catalog.HTTP{URL: fmt.Sprintf("https://mail.example.net:%d/", port)}}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "certificate expired 2 days ago")
	check.Options = catalog.HTTP{URL: fmt.Sprintf("https://www.example.net:%d/", port)}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "certificate")
	check.Options = catalog.HTTP{URL: fmt.Sprintf("http://mail.example.net:%d/", port)}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "status 400")
}

// resolved is the machine's network with a resolver that leads every name to these addresses.
type resolved struct {
	probe.Kernel
	addresses []netip.Addr
}

func (r resolved) Resolve(context.Context, mesh.Family, string) ([]netip.Addr, error) {
	return r.addresses, nil
}

// TestTheNameIsInSNI whichever address answers: the URL's name, not the address nor the host's name.
func TestTheNameIsInSNI(t *testing.T) {
	names := make(chan string, 1)
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate(t, "www.example.net", 48*time.Hour)},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName
			return nil, nil
		},
	}
	site.StartTLS()
	defer site.Close()
	network := resolved{addresses: []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("127.0.0.1")}}
	port := site.Listener.Addr().(*net.TCPAddr).Port
	check := catalog.Check{Kind: catalog.KindHTTP, Timeout: patience,
		Options: catalog.HTTP{URL: fmt.Sprintf("https://www.example.net:%d/", port)}}
	got := once(t, network, check, "web.example.net")
	want(t, got, mesh.Unreachable, "connection refused or certificate not trusted")
	if name := <-names; name != "www.example.net" {
		t.Errorf("SNI %q", name)
	}
}

func certificate(t *testing.T, name string, left time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(left - 90*24*time.Hour), NotAfter: time.Now().Add(left),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestPing(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		got := once(t, probe.Kernel{}, catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}, address)
		if got.Outcome == mesh.Inconclusive && strings.HasPrefix(got.Reason, "not permitted: ") {
			testenv.SkipOrFail(t, "to be permitted to ping: "+got.Reason)
		}
		want(t, got, mesh.Reachable, "")
	}
}

// nowhere is a network whose resolver and kernel fail with a given error.
type nowhere struct{ err error }

func (n nowhere) Dial(context.Context, string, string) (net.Conn, error) { return nil, n.err }
func (n nowhere) Resolve(context.Context, mesh.Family, string) ([]netip.Addr, error) {
	return nil, n.err
}
func (n nowhere) Ping(context.Context, netip.Addr) (time.Duration, error) { return 0, n.err }

func TestWhoseFaultItIs(t *testing.T) {
	for _, test := range []struct {
		address string
		err     error
		outcome mesh.Outcome
		reason  string
	}{
		{"mail.example.net", &net.DNSError{IsNotFound: true}, mesh.Unreachable, "name not found"},
		{"mail.example.net", &net.DNSError{IsTimeout: true}, mesh.Inconclusive, "the resolver is silent"},
		{"192.0.2.1", probe.ErrNoRoute, mesh.Inconclusive, "no local route"},
		{"192.0.2.1", &probe.NotPermittedError{What: "run as root"}, mesh.Inconclusive, "not permitted: run as root"},
		{"192.0.2.1", context.DeadlineExceeded, mesh.Unreachable, "timeout"},
		{"192.0.2.1", &probe.UnreachableError{What: "host unreachable", Router: netip.MustParseAddr("192.0.2.254")},
			mesh.Unreachable, "host unreachable, says router 192.0.2.254"},
		{"192.0.2.1", io.ErrNoProgress, mesh.Inconclusive, ""},
	} {
		got := once(t, nowhere{test.err}, catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}, test.address)
		if got.Outcome != test.outcome || !strings.Contains(got.Reason, test.reason) {
			t.Errorf("%v: found %v %q, wanted %v %q", test.err, got.Outcome, got.Reason, test.outcome, test.reason)
		}
	}
	want(t, once(t, nowhere{}, catalog.Check{Kind: "telepathy"}, "192.0.2.1"), mesh.Inconclusive, "agent too old")
}

// TestADualStackNameWhoseIPv6Refuses expects a result for each family, whichever address the resolver returns first.
func TestADualStackNameWhoseIPv6Refuses(t *testing.T) {
	port := server(t, "127.0.0.1", func(net.Conn) {})
	network := resolved{addresses: []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}}
	check := catalog.Check{Kind: catalog.KindTCP, Timeout: patience, Options: catalog.TCP{Port: port}}
	target := probe.Target{Check: check, Address: "mail.example.net", Family: mesh.IPv4, Agent: "test"}
	want(t, probe.Once(t.Context(), network, target, func() {}), mesh.Reachable, "")
	target.Family = mesh.IPv6
	want(t, probe.Once(t.Context(), network, target, func() {}), mesh.Unreachable, "connection refused")
	target.Family = mesh.AnyFamily // an anchor tells of this machine: whatever answers will do
	want(t, probe.Once(t.Context(), network, target, func() {}), mesh.Reachable, "")
}
