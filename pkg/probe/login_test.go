package probe_test

import (
	"encoding/base64"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

var encoded = base64.StdEncoding.EncodeToString

// Each way to log in, as servers offer it. The lines after the capabilities are exactly these, and the last one takes
// leave, whatever the server answered.
func TestLoginMethods(t *testing.T) {
	smtp, imap, pop3 := scripts[catalog.KindSMTP], scripts[catalog.KindIMAP], scripts[catalog.KindPOP3]
	plain := encoded([]byte("\x00probe\x00pass word"))
	login := catalog.MailSession{User: "probe", Password: "pass word"}
	refused := "login refused: "
	for name, test := range map[string]struct {
		script  script
		options catalog.Options
		lines   []string
		outcome mesh.Outcome
		reason  string
	}{
		"smtp PLAIN": {
			smtp.with("", map[string]string{"EHLO": "250-mail\r\n250 auth plain LOGIN\r\n", "AUTH PLAIN": "235 ok\r\n"}),
			catalog.SMTP{MailSession: login}, []string{"AUTH PLAIN " + plain, "QUIT"}, mesh.Reachable, "",
		},
		"smtp LOGIN": {
			smtp.with("", map[string]string{
				"EHLO": "250-mail\r\n250 AUTH=LOGIN\r\n", "AUTH LOGIN": "334 VXNlcm5hbWU6\r\n",
				encoded([]byte("probe")): "334 UGFzc3dvcmQ6\r\n", encoded([]byte("pass word")): "235 ok\r\n",
			}),
			catalog.SMTP{MailSession: login},
			[]string{"AUTH LOGIN", encoded([]byte("probe")), encoded([]byte("pass word")), "QUIT"}, mesh.Reachable, "",
		},
		"smtp none": {
			smtp, catalog.SMTP{MailSession: login}, []string{"QUIT"}, mesh.Unreachable,
			refused + "PLAIN and LOGIN are not offered",
		},
		"smtp later": {
			smtp.with("", map[string]string{"EHLO": "250-mail\r\n250 AUTH PLAIN\r\n", "AUTH": "454 4.7.0 later\r\n"}),
			catalog.SMTP{MailSession: login}, []string{"AUTH PLAIN " + plain, "QUIT"}, mesh.Slow,
			`temporary failure: answered "454 4.7.0" to AUTH`,
		},
		"smtp recipient": {
			smtp.with("", map[string]string{"MAIL FROM": "250 ok\r\n", "RCPT TO": "451 greylisted\r\n"}),
			catalog.SMTP{RcptTo: "a@example.net"}, []string{"MAIL FROM:<>", "RCPT TO:<a@example.net>", "QUIT"}, mesh.Slow,
			`temporary failure: answered "451 greylisted" to RCPT TO`,
		},
		"smtp forwards": {
			smtp.with("", map[string]string{"MAIL FROM": "250 ok\r\n", "RCPT TO": "251 will forward\r\n"}),
			catalog.SMTP{RcptTo: "a@example.net"}, []string{"MAIL FROM:<>", "RCPT TO:<a@example.net>", "QUIT"},
			mesh.Reachable, "",
		},
		"imap PLAIN": {
			imap.with("", map[string]string{
				"c CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nc OK\r\n", "l AUTHENTICATE": "+ \r\n", plain: "l OK in\r\n",
				"e EXAMINE": "* 3 EXISTS\r\ne OK [READ-ONLY]\r\n",
			}),
			catalog.IMAP{MailSession: login, Mailbox: `a "b`},
			[]string{"l AUTHENTICATE PLAIN", plain, `e EXAMINE "a \"b"`, "q LOGOUT"}, mesh.Reachable, "",
		},
		"imap LOGIN": {
			imap.with("", map[string]string{"l LOGIN": "l NO [UNAVAILABLE] full\r\n"}), catalog.IMAP{MailSession: login},
			[]string{`l LOGIN "probe" "pass word"`, "q LOGOUT"}, mesh.Slow,
			`temporary failure: answered "l NO [UNAVAILABLE]" to LOGIN`,
		},
		"imap none": {
			imap.with("", map[string]string{"c CAPABILITY": "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nc OK\r\n"}),
			catalog.IMAP{MailSession: login}, []string{"q LOGOUT"}, mesh.Unreachable, refused + "PLAIN and LOGIN are not",
		},
		"imap asks twice": {
			imap.with("", map[string]string{"l LOGIN": "+ more\r\n"}), catalog.IMAP{MailSession: login},
			[]string{`l LOGIN "probe" "pass word"`, "q LOGOUT"}, mesh.Unreachable, "malformed answer: ",
		},
		"pop3 USER": {
			pop3.with("", map[string]string{"CAPA": "-ERR\r\n", "USER": "+OK\r\n", "PASS": "-ERR [AUTH] no\r\n"}),
			catalog.POP3{MailSession: login}, []string{"USER probe", "PASS pass word", "QUIT"}, mesh.Unreachable,
			refused + `answered "-ERR [AUTH]" to PASS`,
		},
		"pop3 locked": {
			pop3.with("", map[string]string{"CAPA": "-ERR\r\n", "USER": "+OK\r\n", "PASS": "-ERR [IN-USE] wait\r\n"}),
			catalog.POP3{MailSession: login}, []string{"USER probe", "PASS pass word", "QUIT"}, mesh.Slow,
			`temporary failure: answered "-ERR [IN-USE]" to PASS`,
		},
		"pop3 PLAIN": {
			pop3.with("", map[string]string{"CAPA": "+OK\r\nSASL PLAIN\r\n.\r\n", "AUTH": "+ \r\n", plain: "+OK in\r\n"}),
			catalog.POP3{MailSession: login}, []string{"AUTH PLAIN", plain, "QUIT"}, mesh.Reachable, "",
		},
		"pop3 none": {
			pop3.with("", map[string]string{"CAPA": "+OK\r\nSASL GSSAPI\r\n.\r\n"}), catalog.POP3{MailSession: login},
			[]string{"QUIT"}, mesh.Unreachable, refused + "PLAIN and LOGIN are not offered",
		},
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan []string, 1)
			port := server(t, "127.0.0.1", func(c net.Conn) { heard <- test.script.serve(c) })
			kind, _, _ := strings.Cut(name, " ")
			got := once(t, probe.Kernel{}, onPort(kind, port, test.options), "127.0.0.1")
			want(t, got, test.outcome, test.reason)
			if lines := (<-heard)[1:]; !slices.Equal(lines, test.lines) {
				t.Errorf("the server read %q", lines)
			}
			if f := mesh.ClassifyReason(got.Reason); test.outcome == mesh.Unreachable && f.Kind == mesh.OtherFailure {
				t.Errorf("the public reads of %q: %s", got.Reason, f)
			}
		})
	}
}

// onPort returns a check with the options and the port.
func onPort(kind string, port int, o catalog.Options) catalog.Check {
	switch x := o.(type) {
	case catalog.SMTP:
		x.Port = port
		o = x
	case catalog.IMAP:
		x.Port = port
		o = x
	case catalog.POP3:
		x.Port = port
		o = x
	}
	return catalog.Check{Kind: kind, Timeout: patience, Options: o}
}

// A server that repeats the password, wherever it can, puts it into no reason.
func TestServersThatRepeatThePassword(t *testing.T) {
	const password = "xyzzy1234"
	smtp, imap, pop3 := scripts[catalog.KindSMTP], scripts[catalog.KindIMAP], scripts[catalog.KindPOP3]
	auth := map[string]string{"EHLO": "250-mail\r\n250 AUTH PLAIN\r\n", "AUTH": "535 5.7.8 " + password + "\r\n"}
	for _, test := range []struct {
		kind   string
		script script
	}{
		{"smtp", smtp.with("554 "+password+"\r\n", nil)},
		{"smtp", smtp.with("", auth)},
		{"smtp", smtp.with(password+"\r\n", nil)},
		{"imap", imap.with("* BYE ["+password+"] x\r\n", nil)},
		{"imap", imap.with("", map[string]string{"l LOGIN": "l NO [" + password + "] x\r\n"})},
		{"imap", imap.with("", map[string]string{"l LOGIN": password + "\r\n"})},
		{"pop3", pop3.with("", map[string]string{"CAPA": "-ERR\r\n", "USER": "-ERR [" + password + "]\r\n"})},
		{"pop3", pop3.with(password+"\r\n", nil)},
	} {
		port := server(t, "127.0.0.1", func(c net.Conn) { test.script.serve(c) })
		o := catalog.MailSession{User: "probe", Password: password}
		got := once(t, probe.Kernel{}, mailCheck(test.kind, port, o), "127.0.0.1")
		if got.Outcome.Good() || got.Reason == "" || strings.Contains(got.Reason, password) {
			t.Errorf("%s: %+v", test.kind, got)
		}
	}
}

// A password leaves the machine through TLS alone, unless the check says otherwise.
func TestALoginNeedsTLS(t *testing.T) {
	for kind, s := range scripts {
		for _, allowed := range []bool{false, true} {
			heard := make(chan []string, 1)
			network := newNamed(answer{say: func(c net.Conn) { heard <- s.serve(c) }})
			o := catalog.MailSession{User: "probe", Password: "secret", PlainLogin: allowed}
			check := mailCheck(kind, 25, o)
			check.Timeout = time.Second // once logged in, a scripted server says nothing
			got := once(t, network, check, "192.0.2.1")
			if !allowed {
				want(t, got, mesh.Inconclusive, mesh.ReasonNotPermitted+"a login without TLS")
			}
			said := strings.Join(<-heard, "\n")
			if sent := strings.Contains(said, "secret") || strings.Contains(said, "USER"); !allowed && sent {
				t.Errorf("%s: the server read %q", kind, said)
			}
		}
	}
}
