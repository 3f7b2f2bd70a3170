package probe_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// script is a mail server: a greeting, and answers by the beginning of the client's line.
type script struct {
	greeting string
	answers  map[string]string
	config   *tls.Config // for the handshake after an answer to STARTTLS or STLS
}

var scripts = map[string]script{
	catalog.KindSMTP: {"220-mail\r\n220 mail ESMTP\r\n", map[string]string{
		"EHLO": "250-mail\r\n250-SIZE 10240000\r\n250 starttls\r\n", "STARTTLS": "220 go\r\n", "QUIT": "221 bye\r\n",
	}, nil},
	catalog.KindIMAP: {"* OK [CAPABILITY IMAP4rev1] ready\r\n", map[string]string{
		"c CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\nc OK done\r\n", "s STARTTLS": "s OK go\r\n",
		"q LOGOUT": "* BYE bye\r\nq OK done\r\n",
	}, nil},
	catalog.KindPOP3: {"+OK ready\r\n", map[string]string{
		"CAPA": "+OK\r\nUIDL\r\nSTLS\r\n.\r\n", "STLS": "+OK go\r\n", "QUIT": "+OK bye\r\n",
	}, nil},
}

// serve plays the script, and returns the lines that the client sent.
func (s script) serve(c net.Conn) (heard []string) {
	io.WriteString(c, s.greeting)
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		heard = append(heard, lines.Text())
		for command, answer := range s.answers {
			if !strings.HasPrefix(lines.Text(), command) {
				continue
			}
			io.WriteString(c, answer)
			if strings.Contains(command, "STARTTLS") || command == "STLS" {
				if s.config == nil {
					break
				}
				secured := tls.Server(c, s.config)
				if secured.Handshake() != nil {
					return heard
				}
				s.greeting = ""
				return append(heard, s.serve(secured)...)
			}
		}
	}
	return heard
}

// with returns the script with other answers.
func (s script) with(greeting string, answers map[string]string) script {
	out := script{s.greeting, map[string]string{}, s.config}
	for command, answer := range s.answers {
		out.answers[command] = answer
	}
	for command, answer := range answers {
		out.answers[command] = answer
	}
	if greeting != "" {
		out.greeting = greeting
	}
	return out
}

func mailCheck(kind string, port int, o catalog.MailSession) catalog.Check {
	o.Port = port
	return catalog.Check{Kind: kind, Timeout: patience, Options: catalog.NewMailOptions(kind, o)}
}

// Every session is complete: greeting, capabilities, and leave in the end; with TLS at once or after STARTTLS.
func TestMailSessions(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{issue(t, "mail.example.net")}}
	last := map[string]string{catalog.KindSMTP: "QUIT", catalog.KindIMAP: "q LOGOUT", catalog.KindPOP3: "QUIT"}
	for kind, s := range scripts {
		s.config = config
		for _, o := range []catalog.MailSession{{}, {TLS: true, Verification: mail}, {StartTLS: true, Verification: mail}} {
			heard := make(chan []string, 1)
			port := server(t, "127.0.0.1", func(c net.Conn) {
				if o.TLS {
					c = tls.Server(c, config)
				}
				heard <- s.serve(c)
			})
			got := once(t, probe.Kernel{}, mailCheck(kind, port, o), "127.0.0.1")
			want(t, got, mesh.Reachable, "")
			if secured := o.TLS || o.StartTLS; secured != (got.Expiry != nil) || got.RTT < got.Connect {
				t.Errorf("%s %+v: %+v", kind, o, got)
			}
			if lines := <-heard; lines[len(lines)-1] != last[kind] {
				t.Errorf("%s %+v: the server read %q", kind, o, lines)
			}
		}
	}
}

func TestMailServersThatAnswerOtherwise(t *testing.T) {
	starttls := catalog.MailSession{StartTLS: true, Verification: mail}
	wrong := &tls.Config{Certificates: []tls.Certificate{issue(t, "www.example.org")}}
	smtp, imap, pop3 := scripts[catalog.KindSMTP], scripts[catalog.KindIMAP], scripts[catalog.KindPOP3]
	smtp.config = wrong
	const bad, slow = mesh.Unreachable, mesh.Slow
	for _, test := range []struct {
		kind    string
		script  script
		session catalog.MailSession
		outcome mesh.Outcome
		reason  string
	}{
		{"smtp", smtp.with("554 go away\r\n", nil), catalog.MailSession{}, bad, `answered "554 go away" to the connection`},
		{"smtp", smtp.with("421 busy\r\n", nil), catalog.MailSession{}, slow,
			`temporary failure: answered "421 busy" to the connection`},
		{"smtp", smtp.with("", map[string]string{"EHLO": "501 what\r\n"}), catalog.MailSession{}, bad,
			`answered "501 what" to EHLO`},
		{"smtp", smtp.with("", map[string]string{"EHLO": "451 later\r\n"}), catalog.MailSession{}, slow,
			"temporary failure: "},
		{"smtp", smtp.with("", map[string]string{"EHLO": "250-a\r\n550 b\r\n"}), catalog.MailSession{}, bad,
			`malformed answer: "550 b"`},
		{"smtp", smtp.with("", map[string]string{"EHLO": "250 mail\r\n"}), starttls, bad, "STARTTLS is not offered"},
		{"smtp", smtp.with("", map[string]string{"STARTTLS": "454 no\r\n"}), starttls, slow, "temporary failure: "},
		{"smtp", smtp.with("", map[string]string{"STARTTLS": "220 go\r\n250 injected\r\n"}), starttls, bad,
			"malformed answer: text after the answer to STARTTLS"},
		{"smtp", smtp, starttls, bad, "certificate is for www.example.org, not mail.example.net"},
		{"smtp", imap, catalog.MailSession{}, bad, "malformed answer: "},
		{"imap", imap.with("* BYE full\r\n", nil), catalog.MailSession{}, bad, `answered "* BYE full" to the connection`},
		{"imap", imap.with("* BYE [UNAVAILABLE] full\r\n", nil), catalog.MailSession{}, slow, "temporary failure: "},
		{"imap", imap.with("", map[string]string{"c CAPABILITY": "* CAPABILITY IMAP2\r\nc OK\r\n"}), catalog.MailSession{},
			bad, "malformed answer: its capabilities have neither"},
		{"imap", imap.with("", map[string]string{"c CAPABILITY": "c BAD no\r\n"}), catalog.MailSession{}, bad,
			`answered "c BAD no" to CAPABILITY`},
		{"imap", imap.with("", map[string]string{"c CAPABILITY": "* CAPABILITY IMAP4rev1\r\nc OK\r\n"}), starttls, bad,
			"STARTTLS is not offered"},
		{"pop3", pop3.with("-ERR gone\r\n", nil), catalog.MailSession{}, bad, `answered "-ERR gone" to the connection`},
		{"pop3", pop3.with("-ERR [SYS/TEMP] x\r\n", nil), catalog.MailSession{}, slow, "temporary failure: "},
		{"pop3", pop3.with("", map[string]string{"CAPA": "-ERR what\r\n"}), catalog.MailSession{}, mesh.Reachable, ""},
		{"pop3", pop3.with("", map[string]string{"CAPA": "-ERR what\r\n"}), starttls, bad, "STARTTLS is not offered"},
		{"pop3", smtp, catalog.MailSession{}, bad, "malformed answer: "},
	} {
		port := server(t, "127.0.0.1", func(c net.Conn) { test.script.serve(c) })
		got := once(t, probe.Kernel{}, mailCheck(test.kind, port, test.session), "127.0.0.1")
		want(t, got, test.outcome, test.reason)
		if f := mesh.ClassifyReason(got.Reason); test.outcome == bad && f.Kind == mesh.OtherFailure {
			t.Errorf("the public reads of %q: %s", got.Reason, f)
		}
	}
}

func TestHostileMailServers(t *testing.T) {
	long := strings.Repeat("A", 1<<16)
	for _, test := range []struct {
		name   string
		say    func(net.Conn)
		reason string
	}{
		{"silence", hear, "hung: accepted and said nothing for 1 s"},
		{"early close", func(net.Conn) {}, "closed without an answer"},
		{"drip", repeat("2", 20*time.Millisecond), "hung: answer not finished after 1 s"},
		{"cut short", func(c net.Conn) { io.WriteString(c, "22") }, "answer cut short"},
		{"garbage", func(c net.Conn) { io.WriteString(c, "\x00\xff\x1b[2J\r\n"); hear(c) }, "malformed answer: "},
		{"one endless line", repeat(long, 0), "malformed answer: "},
		{"TLS", func(c net.Conn) { io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x46"); hear(c) },
			"hung: answer not finished"},
		{"HTTP", func(c net.Conn) { io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n"); hear(c) }, "malformed answer: "},
	} {
		for kind := range scripts {
			t.Run(test.name+" "+kind, func(t *testing.T) { wantBounded(t, kind, test.say, test.reason) })
		}
	}
	for kind, endless := range map[string]string{
		catalog.KindSMTP: "220-more\r\n", catalog.KindIMAP: "* OK more\r\n", catalog.KindPOP3: "+OK more\r\n",
	} {
		t.Run("endless lines "+kind, func(t *testing.T) {
			wantBounded(t, kind, repeat(strings.Repeat(endless, 1000), 0), "malformed answer: a reply of more than 100 lines")
		})
	}
}

// wantBounded wants a hostile server to fail for that reason, in bounded memory and time, leaving no goroutine.
func wantBounded(t *testing.T, kind string, say func(net.Conn), reason string) {
	port := server(t, "127.0.0.1", say)
	before := goleak.IgnoreCurrent()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	began := time.Now()
	got := once(t, probe.Kernel{}, inTime(mailCheck(kind, port, catalog.MailSession{}), reason), "127.0.0.1")
	runtime.ReadMemStats(&end)
	want(t, got, mesh.Unreachable, reason)
	if took, used := time.Since(began), end.TotalAlloc-start.TotalAlloc; took > 15*time.Second || used > 1<<19 {
		t.Errorf("it took %v and %d bytes", took, used)
	}
	if strings.ContainsAny(got.Reason, "\x00\x1b") {
		t.Errorf("%q", got.Reason)
	}
	goleak.VerifyNone(t, before)
}

// Whatever a server sends, the probe ends, and its reason is one printable line.
func FuzzMailReplies(f *testing.F) {
	for kind, s := range scripts {
		text := s.greeting
		for _, answer := range s.answers {
			text += answer
		}
		f.Add(kind, []byte(text))
	}
	f.Fuzz(func(t *testing.T, kind string, said []byte) {
		if catalog.NewMailOptions(kind, catalog.MailSession{}) == nil {
			return
		}
		port := server(t, "127.0.0.1", func(c net.Conn) { c.Write(said) })
		check := mailCheck(kind, port, catalog.MailSession{})
		check.Timeout = time.Second
		got := once(t, probe.Kernel{}, check, "127.0.0.1")
		if !got.Outcome.Good() && got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n\x1b") {
			t.Fatalf("%+v", got)
		}
	})
}
