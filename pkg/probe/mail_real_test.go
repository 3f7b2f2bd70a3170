package probe_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// mailServer is Postfix and Dovecot on this machine, with one user and one password.
type mailServer struct{ smtp, imap, imaps, pop3, pop3s int }

const mailPassword = `pass"word\ of many signs`

// certificateFiles writes a certificate that the test's process trusts, and its key.
func certificateFiles(t *testing.T, dir, name string) (certificate, key string) {
	t.Helper()
	c := issue(t, name)
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	certificate = writeFile(t, dir, "tls/cert.pem",
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	key = writeFile(t, dir, "tls/key.pem",
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	return certificate, key
}

// startMail runs Postfix, which has Dovecot verify logins.
func startMail(t *testing.T) mailServer {
	t.Helper()
	testenv.RequireRoot(t)
	testenv.RequirePrograms(t, map[string]string{
		"/usr/lib/postfix/sbin/master": "postfix", "/usr/sbin/dovecot": "dovecot-imapd",
		"/usr/lib/dovecot/pop3": "dovecot-pop3d",
	})
	dir := openDirectory(t)
	certificate, key := certificateFiles(t, dir, "mail.example.net")
	port := func() int { return testenv.FreePort(t) }
	s := mailServer{port(), port(), port(), port(), port()}
	s.startDovecot(t, dir, certificate, key)
	s.startPostfix(t, dir, certificate, key)
	return s
}

func (s mailServer) startDovecot(t *testing.T, dir, certificate, key string) {
	t.Helper()
	if version := run(t, "", dir, "/usr/sbin/dovecot", "--version"); !strings.HasPrefix(version, "2.3.") {
		testenv.SkipOrFail(t, "Dovecot 2.3, whose configuration this is")
	}
	users := writeFile(t, dir, "users", "probe:{PLAIN}"+mailPassword+"::::::\n")
	config := writeFile(t, dir, "dovecot.conf", fmt.Sprintf(`protocols = imap pop3
base_dir = %[1]s/run
listen = 127.0.0.1
log_path = /dev/stderr
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/mail
passdb {
  driver = passwd-file
  args = %[4]s
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%[1]s/home
}
service imap-login {
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = %[6]d
  }
}
service pop3-login {
  inet_listener pop3 {
    port = %[7]d
  }
  inet_listener pop3s {
    port = %[8]d
  }
}
service auth {
  unix_listener %[1]s/auth {
    mode = 0666
  }
}
`, dir, certificate, key, users, s.imap, s.imaps, s.pop3, s.pop3s))
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "", dir, "chown", "65534:65534", home)
	startServer(t, s.imap, "/usr/sbin/dovecot", "-F", "-c", config)
}

func (s mailServer) startPostfix(t *testing.T, dir, certificate, key string) {
	t.Helper()
	standard, err := os.ReadFile("/etc/postfix/master.cf")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(string(standard), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "smtp" && fields[1] == "inet" {
			line = fmt.Sprintf("127.0.0.1:%d inet n - n - - smtpd", s.smtp)
		}
		lines = append(lines, line)
	}
	writeFile(t, dir, "conf/master.cf", strings.Join(lines, "\n"))
	writeFile(t, dir, "conf/main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mail.example.net
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination = example.net
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[1]s/auth
smtpd_recipient_restrictions =
  check_recipient_access inline:{ {later@example.net=450 4.2.0 greylisted} {never@example.net=550 5.1.1 unknown} },
  permit_auth_destination, reject
`, dir, certificate, key))
	for _, sub := range []string{"queue", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "", dir, "chown", "postfix", filepath.Join(dir, "data"))
	run(t, "", dir, "/usr/sbin/postfix", "-c", filepath.Join(dir, "conf"), "check")
	startServer(t, s.smtp, "/usr/lib/postfix/sbin/master", "-d", "-c", filepath.Join(dir, "conf"))
}

// session probes the server with options, and with a password that is a secret.
func session(t *testing.T, kind string, o catalog.Options, password string) probe.Result {
	t.Helper()
	check := catalog.Check{Kind: kind, Timeout: patience, Options: o}
	check.Secrets = []catalog.Reference{{Key: "password", Name: "${P}"}}
	target := probe.Target{
		Check: check, Address: "127.0.0.1", Family: mesh.IPv4,
		Secrets: map[string]secret.Text{"${P}": secret.New(password)},
	}
	r := probe.Once(t.Context(), probe.Kernel{}, target, func() {})
	if strings.Contains(r.Reason+probe.Describe(target, r), password) {
		t.Errorf("the password is shown: %s", r.Reason)
	}
	return r
}

func TestPostfixAndDovecotAnswerMailChecks(t *testing.T) {
	s := startMail(t)
	login := func(port int, o catalog.MailSession) catalog.MailSession {
		o.Port, o.User, o.Password = port, "probe", "${P}"
		if o.TLS || o.StartTLS {
			o.Verification = catalog.Verification{ServerName: "mail.example.net", CertificateDays: 14}
		}
		return o
	}
	starttls, implicit := catalog.MailSession{StartTLS: true}, catalog.MailSession{TLS: true}
	to := func(address string) catalog.SMTP {
		return catalog.SMTP{MailSession: login(s.smtp, starttls), MailFrom: "probe@example.net", RcptTo: address}
	}
	box := func(name string) catalog.IMAP {
		return catalog.IMAP{MailSession: login(s.imaps, implicit), Mailbox: name}
	}
	const good, bad = mesh.Reachable, mesh.Unreachable
	for name, test := range map[string]struct {
		kind     string
		options  catalog.Options
		password string
		outcome  mesh.Outcome
		reason   string
	}{
		"smtp login": {"smtp", catalog.SMTP{MailSession: login(s.smtp, starttls)}, mailPassword, good, ""},
		"smtp on lo": {"smtp", catalog.SMTP{MailSession: login(s.smtp, catalog.MailSession{})},
			mailPassword, good, ""},
		"smtp recipient": {"smtp", to("someone@example.net"), mailPassword, good, ""},
		"smtp greylisted": {"smtp", to("later@example.net"), mailPassword, mesh.Slow,
			`temporary failure: answered "450 4.2.0" to RCPT TO`},
		"smtp no recipient": {"smtp", to("never@example.net"), mailPassword, bad, `answered "550 5.1.1" to RCPT TO`},
		"smtp no relay": {"smtp", to("someone@example.org"), mailPassword, bad,
			`answered "554 5.7.1" to RCPT TO`},
		"smtp wrong": {"smtp", catalog.SMTP{MailSession: login(s.smtp, starttls)}, "other-password", bad,
			`login refused: answered "535 5.7.8" to AUTH`},
		"imap login":      {"imap", box(""), mailPassword, good, ""},
		"imap starttls":   {"imap", catalog.IMAP{MailSession: login(s.imap, starttls)}, mailPassword, good, ""},
		"imap mailbox":    {"imap", box("INBOX"), mailPassword, good, ""},
		"imap no mailbox": {"imap", box("Missing"), mailPassword, bad, `answered "e NO`},
		"imap wrong": {"imap", box("INBOX"), "other-password", bad,
			`login refused: answered "l NO [AUTHENTICATIONFAILED]" to AUTHENTICATE`},
		"pop3 login":    {"pop3", catalog.POP3{MailSession: login(s.pop3s, implicit)}, mailPassword, good, ""},
		"pop3 starttls": {"pop3", catalog.POP3{MailSession: login(s.pop3, starttls)}, mailPassword, good, ""},
		"pop3 wrong": {"pop3", catalog.POP3{MailSession: login(s.pop3s, implicit)}, "other-password", bad,
			`login refused: answered "-ERR [AUTH]" to PASS`},
	} {
		t.Run(name, func(t *testing.T) {
			got := session(t, test.kind, test.options, test.password)
			want(t, got, test.outcome, test.reason)
			if session, _ := catalog.MailSessionOf(test.options); session.CertificateDays > 0 && got.Outcome.Good() &&
				got.Expiry == nil {
				t.Error("the certificate ends tomorrow, and there is no advisory")
			}
		})
	}
}
