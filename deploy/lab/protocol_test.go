package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

const (
	kamailio = "/usr/sbin/kamailio"
	day      = 24 * time.Hour
)

// TestProtocols breaks servers of every kind at once, each in its own way, and reads what the mesh makes of it. The
// servers stand side by side on one mesh, and the interval of mail servers is that of all its nine vantages together.
func TestProtocols(t *testing.T) {
	t.Parallel()
	testenv.RequirePrograms(t, map[string]string{kamailio: "kamailio"})
	files := openDirectory(t)
	makeCertificates(t, files)
	m := startMeshOf(t, 10*time.Second, protocolRoles(files))
	watched := m.watch([]line{
		Never(bad, "NC036 ping", "NC036 Reading mail", "NC034", "NC034 ping", "NC034 Phones"),
		Never(bad, "NC041", "NC042", "NC023 ping", "NC028 ping", "NC031 ping", "NC040 ping", "NC035 ping"),
	})
	began := time.Now()
	m.breakProtocols()
	for _, test := range []struct {
		name, host, check string
		verdict, status   string
		reason            string // of a failing vantage, or an advisory
		// A mail server has one turn in ten seconds, and a vantage that has not reached it since the start, when it was not
		// there yet, has no news of its failure.
		within time.Duration
	}{
		{"SMTP is stopped while IMAP answers", "NC036", "Sending mail", "down", "partial_outage", "connection refused",
			45 * time.Second},
		{"STARTTLS is withdrawn", "NC023", "Relaying mail", "down", "partial_outage", "STARTTLS is not offered",
			45 * time.Second},
		{"nginx answers 200 with an error page", "NC040", "Web sites", "down", "partial_outage",
			`body lacks "it works"`, 30 * time.Second},
		{"the login queue of Dovecot is full", "NC031", "Mailboxes", "down", "partial_outage",
			"hung: accepted and said nothing|timeout", 40 * time.Second}, // by then the kernel's queue may be full as well
		{"a secondary has a stale serial", "NC035", "Zone in step", "down", "partial_outage",
			"zone not in step: serial 1", time.Minute},
		{"Postfix greylists", "NC028", "Receiving mail", "degraded", "degraded_performance",
			`temporary failure: answered "450 4.2.0`, 90 * time.Second},
		{"a certificate ends in 5 days", "NC041", "Web sites", "up", "operational", "certificate ends in 5 days",
			2 * time.Minute},
		{"an intermediate certificate ends first", "NC042", "Web sites", "up", "operational",
			`certificate of the issuer "Lab Intermediate" ends in 5 days`, 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() { m.t = t }()
			m.t = t
			m.want(Want(test.within, test.verdict, test.host+" "+test.check), began, began)
			m.want(Want(test.within, test.status, test.host), began, began)
			// A service that starts again slowly refuses connections before it fails as it should.
			eventually(t, time.Minute, "the evidence is as it should be", func() error {
				text := m.evidence(test.host, test.check)
				has := func(reason string) bool { return strings.Contains(text, reason) }
				if !slices.ContainsFunc(strings.Split(test.reason, "|"), has) {
					return fmt.Errorf("the evidence lacks %q:\n%s", test.reason, text)
				}
				return nil
			})
		})
	}
	t.Run("a fifth of all packets to a SIP server is lost over UDP", func(t *testing.T) {
		time.Sleep(time.Until(began.Add(30 * time.Second)))
		m.t = t
		m.want(Want(time.Minute, "up", "NC034 Phones"), time.Now(), began)
	})
	m.t = t
	for _, violation := range watched() {
		t.Error(violation)
	}
}

// breakProtocols breaks everything at once.
func (m *mesh) breakProtocols() {
	m.t.Helper()
	m.wan.change(in("lusaka"), anywhere, func(p *path) { p.Loss = 0.1 })
	m.wan.change(anywhere, in("lusaka"), func(p *path) { p.Loss = 0.1 })
	m.services["NC036 smtp"].kill()
	m.replace("NC023", "starttls", "no starttls")
	m.replace("NC028", "receiving", "greylisting")
	m.replace("NC040", "page", "error page")
	m.replace("NC033", "zone", "newer zone")
	m.coordinator.flood(m.t, m.hosts["NC031"].address+":143")
}

// flood keeps connecting to an address, and leaves each connection open for a while, until the test ends.
func (s *server) flood(t testing.TB, address string) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for range 4 {
		go func() {
			runtime.LockOSThread() // for good: see dial
			if enter(s.namespace) != nil {
				return
			}
			var open []net.Conn
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{FallbackDelay: -1}).Dial("tcp", address)
				if err != nil {
					continue
				}
				if open = append(open, conn); len(open) > 20 {
					open[0].Close()
					open = open[1:]
				}
			}
			for _, conn := range open {
				conn.Close()
			}
		}()
	}
}

// replace stops a service and starts another in its place.
func (m *mesh) replace(host, name, by string) {
	m.t.Helper()
	m.services[host+" "+name].kill()
	program, args := m.roles.kinds[by].prepare(m.t, openDirectory(m.t))
	m.services[host+" "+name] = m.hosts[host].start(by, program, args...)
}

// evidence returns what operators read about a check: each vantage's reason, and the advisories.
func (m *mesh) evidence(host, check string) string {
	m.t.Helper()
	state, err := m.control.State(context.Background(), time.Time{})
	if err != nil {
		m.t.Fatal(err)
	}
	var out strings.Builder
	for _, h := range state.Snapshot.Hosts {
		for _, c := range h.Checks {
			if h.Name != host || c.Name != check {
				continue
			}
			fmt.Fprintln(&out, c.Sentence, strings.Join(c.Advisories, "; "))
			for _, v := range c.Votes {
				for _, e := range v.Edges {
					fmt.Fprintln(&out, v.Region, e.Vantage, e.Vote, e.Outcome, e.Reason)
				}
			}
		}
	}
	return out.String()
}

// protocolRoles are the servers of TestProtocols. Where a host has the name of a service that is not in its list, that
// one takes the place of another.
func protocolRoles(files string) roles {
	postfixWith := func(settings string) func(testing.TB, string) (string, []string) {
		return func(t testing.TB, dir string) (string, []string) {
			program, args := preparePostfix(t, dir)
			appendTo(t, filepath.Join(dir, "conf/main.cf"), settings)
			return program, args
		}
	}
	nginxWith := func(server string) func(testing.TB, string) (string, []string) {
		return func(t testing.TB, dir string) (string, []string) {
			program, args := prepareNginx(t, dir)
			edit(t, filepath.Join(dir, "nginx.conf"), `server { listen 80; location / { return 200 "it works"; } }`,
				server)
			return program, args
		}
	}
	secure := func(pair string) string {
		return fmt.Sprintf(`server { listen 443 ssl; ssl_certificate %[1]s/%[2]s.pem;
    ssl_certificate_key %[1]s/%[2]s.key; location / { return 200 "it works"; } }`, files, pair)
	}
	serving := func(serial int) func(testing.TB, string) (string, []string) {
		return func(t testing.TB, dir string) (string, []string) {
			program, args := prepareNamed(t, dir)
			edit(t, filepath.Join(dir, "zone"), "h.example.net. 1 ", fmt.Sprintf("h.example.net. %d ", serial))
			return program, args
		}
	}
	const tls = "server_name: www.example.net, ca: @files/ca.pem, certificate_days: 14}"
	accepting := "mydestination = example.net\nsmtpd_recipient_restrictions = "
	return roles{
		texts: map[string]string{"@files": files},
		services: map[string][]string{
			"NC036": {"smtp", "imap"}, "NC023": {"starttls"}, "NC028": {"receiving"}, "NC031": {"queue"},
			"NC033": {"zone"}, "NC034": {"phones"}, "NC035": {"secondary"}, "NC040": {"page"}, "NC041": {"short"},
			"NC042": {"chain"},
		},
		kinds: map[string]service{
			"smtp": {"", `{kind: smtp, name: Sending mail}`, preparePostfix},
			"imap": {"", `{kind: imap, name: Reading mail}`, prepareDovecot},
			"starttls": {"", `{kind: smtp, name: Relaying mail, starttls: true, ` + tls, postfixWith(fmt.Sprintf(
				"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = %[1]s/long.pem\nsmtpd_tls_key_file = %[1]s/long.key\n",
				files))},
			"no starttls": {"", "", preparePostfix},
			"receiving": {"", `{kind: smtp, name: Receiving mail, rcpt_to: someone@example.net, interval: 4s}`,
				postfixWith(accepting + "permit_auth_destination, reject\n")},
			"greylisting": {"", "", postfixWith(accepting +
				"check_recipient_access inline:{ {someone@example.net=450 4.2.0 greylisted} }, reject\n")},
			"queue": {"", `{kind: imap, name: Mailboxes}`, prepareShortDovecot},
			"zone":  {"", `{kind: dns, name: Name service, query: example.net, type: SOA}`, serving(1)},
			"secondary": {"", `{kind: dns, name: Zone in step, soa: example.net, servers: ["@NC033"], tolerance: 5s}`,
				serving(1)},
			"newer zone": {"", "", serving(2)},
			"phones":     {"", `{kind: sip, name: Phones, transport: udp, codes: [200, 401]}`, prepareKamailio},
			"page":       services["web"],
			"error page": {"", "", nginxWith(`server { listen 80; location / { return 200 "no database"; } }`)},
			"short": {"", `{kind: http, name: Web sites, url: "https://www.example.net/", body: it works, ` + tls,
				nginxWith(secure("short"))},
			"chain": {"", `{kind: tls, name: Web sites, ` + tls, nginxWith(secure("chain"))},
		},
	}
}

// prepareShortDovecot configures Dovecot with as few login processes as it permits, each for one client.
func prepareShortDovecot(t testing.TB, dir string) (string, []string) {
	t.Helper()
	program, args := prepareDovecot(t, dir)
	appendTo(t, filepath.Join(dir, "dovecot.conf"), `
service imap-login {
  process_limit = 1
  service_count = 1
  client_limit = 1
}
`)
	return program, args
}

// prepareKamailio configures Kamailio to answer OPTIONS over UDP.
func prepareKamailio(t testing.TB, dir string) (string, []string) {
	t.Helper()
	file := filepath.Join(dir, "kamailio.cfg")
	write(t, file, `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:0.0.0.0:5060
loadmodule "sl.so"
request_route {
  sl_send_reply("401", "Unauthorized");
}
`)
	return kamailio, []string{"-DD", "-E", "-m", "16", "-M", "4", "-f", file, "-Y", dir}
}

func appendTo(t testing.TB, file, text string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(content)+text)
}

func edit(t testing.TB, file, old, by string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(content), old) {
		t.Fatalf("%s lacks %q: %v", file, old, err)
	}
	write(t, file, strings.Replace(string(content), old, by, 1))
}

// makeCertificates writes an authority, ca.pem, and pairs for www.example.net: long; short, which ends in 5 days; and
// chain, whose intermediate ends in 5 days.
func makeCertificates(t testing.TB, dir string) {
	t.Helper()
	root := issueFrom(t, nil, "Lab Root", 900*day, true)
	intermediate := issueFrom(t, root, "Lab Intermediate", 5*day+time.Hour, true)
	pems := func(list ...*issued) (out []byte) {
		for _, c := range list {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})...)
		}
		return out
	}
	write(t, filepath.Join(dir, "ca.pem"), string(pems(root)))
	for name, list := range map[string][]*issued{
		"long":  {issueFrom(t, root, "www.example.net", 60*day, false)},
		"short": {issueFrom(t, root, "www.example.net", 5*day+time.Hour, false)},
		"chain": {issueFrom(t, intermediate, "www.example.net", 60*day, false), intermediate},
	} {
		write(t, filepath.Join(dir, name+".pem"), string(pems(list...)))
		der, err := x509.MarshalECPrivateKey(list[0].key)
		if err != nil {
			t.Fatal(err)
		}
		key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
		write(t, filepath.Join(dir, name+".key"), string(key))
	}
}

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issueFrom makes a certificate; one without an issuer is signed by itself.
func issueFrom(t testing.TB, by *issued, name string, lasts time.Duration, authority bool) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts),
		IsCA: authority, BasicConstraintsValid: true,
	}
	if authority {
		template.KeyUsage = x509.KeyUsageCertSign
	} else {
		template.DNSNames = []string{name}
	}
	signer := &issued{template, key}
	if by != nil {
		signer = by
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.certificate, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{certificate, key}
}
