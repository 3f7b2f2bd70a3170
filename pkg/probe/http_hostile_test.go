package probe_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// afterRequest reads a request's headers, and then says something.
func afterRequest(say func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		lines := bufio.NewReaderSize(c, 512)
		for {
			line, err := lines.ReadSlice('\n')
			if err != nil || len(bytes.TrimSpace(line)) == 0 {
				break
			}
		}
		say(c)
	}
}

// says sends a text, and leaves the connection open.
func says(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text); hear(c) }
}

// saysThen sends a text, and goes on otherwise.
func saysThen(text string, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text); then(c) }
}

// Every option that reads something of the answer is tried against servers that send it slowly, without an end, or in
// disorder: bounded memory and time, no goroutine left, a reason that the public can read too.
func TestHostileHTTPServers(t *testing.T) {
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("A", 1<<16)
	json := catalog.HTTP{BodyJSON: map[string]string{"a.0.b": "x"}}
	text, match := catalog.HTTP{Body: "Webmail"}, catalog.HTTP{BodyMatch: "Web(m|M)ail$"}
	moved := catalog.HTTP{Redirects: []string{"127.0.0.1"}}
	phases := catalog.HTTP{Phases: map[string]string{"first_byte": "1ms", "body": "1ms"}}
	for name, test := range map[string]struct {
		options catalog.HTTP
		say     func(net.Conn)
		reason  string
	}{
		"silence":     {phases, hear, "hung: accepted and said nothing for 1 s"},
		"early close": {phases, func(net.Conn) {}, "closed without an answer"},
		"drip of headers": {
			catalog.HTTP{},
			saysThen(ok, repeat("A", 20*time.Millisecond)),
			"hung: answer not finished",
		},
		"endless header": {
			catalog.HTTP{},
			saysThen(ok+"X: ", repeat(long, 0)),
			"malformed answer: server response headers exceeded",
		},
		"flood of headers": {catalog.HTTP{}, saysThen(ok, repeat("X: y\r\n", 0)), "malformed answer: "},
		"endless provisional": {
			catalog.HTTP{},
			repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 0),
			"malformed answer: ",
		},
		"garbage":               {catalog.HTTP{}, says("\x00\xff\x1b[2J\r\n\r\n"), "malformed answer: "},
		"a mail server":         {catalog.HTTP{}, says("220 mail ESMTP\r\n"), "malformed answer: "},
		"TLS on a plain port":   {catalog.HTTP{}, says("\x15\x03\x01\x00\x02\x02\x46"), "hung: answer not finished"},
		"drip of a body":        {text, saysThen(ok+"\r\n", repeat("A", 20*time.Millisecond)), "hung: body not finished"},
		"endless body":          {text, saysThen(ok+"\r\n", repeat(long, 0)), "not in the first MiB"},
		"endless body, pattern": {match, saysThen(ok+"\r\n", repeat(long, 0)), "not in the first MiB"},
		"body cut short": {
			text,
			func(c net.Conn) { io.WriteString(c, ok+"Content-Length: 9\r\n\r\nWeb") },
			"body cut short",
		},
		"chunks of garbage": {
			text,
			says(ok + chunked + "xyz\r\nWebmail"),
			"malformed answer: invalid byte in chunk length",
		},
		"an endless chunk size": {text, saysThen(ok+chunked, repeat("0", 0)), "malformed answer: "},
		"a bomb":                {match, afterHeaders("Content-Encoding: gzip\r\n", bomb(t)), "not in the first MiB"},
		"a bomb of JSON":        {json, afterHeaders("Content-Encoding: gzip\r\n", bomb(t)), `body lacks "a.0.b"`},
		"unknown charset": {
			text,
			says(ok + "Content-Type: text/html; charset=\x1b[2J\r\nContent-Length: 2\r\n\r\nhi"),
			"malformed answer: malformed MIME header line",
		},
		"endless JSON": {json, saysThen(ok+"\r\n", repeat(`{"a":[[{"b":`, 0)), `body lacks "a.0.b"`},
		"deep JSON": {
			json,
			says(ok + "Content-Length: 60000\r\n\r\n" + strings.Repeat("[", 60000)),
			`body lacks "a.0.b"`,
		},
		"drip of JSON": {json, saysThen(ok+"\r\n{", repeat(" ", 20*time.Millisecond)), "hung: body not finished"},
		"a redirect in a circle": {
			moved,
			says("HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
			"after 5 redirects",
		},
		"a huge redirect": {
			moved,
			says("HTTP/1.1 302 Found\r\nLocation: /" + long + "\r\n\r\n"),
			"malformed answer: server response headers exceeded",
		},
		"a redirect to garbage": {
			moved,
			says("HTTP/1.1 302 Found\r\nLocation: \x1b[2J://%zz\r\nContent-Length: 0\r\n\r\n"),
			"malformed answer: malformed MIME header line",
		},
		"a redirect to a file": {
			moved,
			says("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
			"redirects to ",
		},
		"a redirect with a body": {
			moved,
			saysThen("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", repeat(long, 0)),
			"after 5 redirects",
		},
	} {
		t.Run(name, func(t *testing.T) {
			port := server(t, "127.0.0.1", afterRequest(test.say))
			test.options.URL = fmt.Sprintf("http://127.0.0.1:%d/", port)
			boundedIn(t, httpCheck(test.options), test.reason, 3<<19)
		})
	}
}

// A server that answers in plain text to a handshake, or holds it up, is described too with a client certificate.
func TestHostileServersOfClientCertificates(t *testing.T) {
	certificate, key := certificateFiles(t, t.TempDir(), "probe.example.net")
	for name, test := range map[string]struct {
		say    func(net.Conn)
		reason string
	}{
		"silence":     {hear, "hung: accepted and said nothing for 1 s"},
		"early close": {func(c net.Conn) { c.Read(make([]byte, 4096)) }, "closed without an answer"},
		"plain HTTP":  {says("HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak TLS"},
		"flood":       {repeat("\x16\x03\x03\x40\x00"+strings.Repeat("\x00", 1<<14), 0), "TLS failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			port := server(t, "127.0.0.1", test.say)
			boundedCheck(t, catalog.Check{Kind: catalog.KindTLS, Options: catalog.TLS{Port: port,
				Verification: catalog.Verification{
					ServerName: "mail.example.net", ClientCertificate: certificate, ClientKey: key,
				}}}, test.reason)
		})
	}
}

// Files of a client certificate that are none, or never end, are this agent's fault and show nothing of a server.
func TestHostileFilesOfClientCertificates(t *testing.T) {
	dir := t.TempDir()
	certificate, key := certificateFiles(t, dir, "probe.example.net")
	pipe := dir + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := writeFile(t, dir, "huge", strings.Repeat("A", 1<<20))
	port := server(t, "127.0.0.1", hear)
	for _, files := range [][2]string{
		{pipe, key}, {certificate, pipe}, {huge, key}, {"/dev/zero", key}, {key, certificate}, {dir, key},
		{certificate, os.DevNull},
	} {
		check := catalog.Check{Kind: catalog.KindTLS, Timeout: time.Second, Options: catalog.TLS{Port: port,
			Verification: catalog.Verification{
				ServerName: "mail.example.net", ClientCertificate: files[0], ClientKey: files[1],
			}}}
		began := time.Now()
		got := once(t, probe.Kernel{}, check, "127.0.0.1")
		want(t, got, mesh.Inconclusive, "not permitted: this agent cannot use its client certificate")
		if took := time.Since(began); took > 10*time.Second || strings.Contains(got.Reason, "PRIVATE KEY") {
			t.Errorf("%q: %v, %s", files, took, got.Reason)
		}
	}
}

// afterHeaders answers with a header, and with a body that is ready before the measurement begins.
func afterHeaders(header string, body []byte) func(net.Conn) {
	return func(c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n%sContent-Length: %d\r\n\r\n",
			header, len(body))
		c.Write(body)
		hear(c)
	}
}

// bomb is 64 MiB of zeroes, compressed.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.CopyN(w, zeroes{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// Whatever a web server sends, the probe ends, and its reason is one printable line.
func FuzzHTTPAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n\xf0\xcf"), "Webmail", "a.0", "")
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), "", "", "127.0.0.1")
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx"), "x", "", "")
	f.Fuzz(func(t *testing.T, said []byte, body, path, redirect string) {
		port := server(t, "127.0.0.1", afterRequest(func(c net.Conn) { c.Write(said) }))
		o := catalog.HTTP{URL: fmt.Sprintf("http://127.0.0.1:%d/", port), Body: body}
		if path != "" && catalog.ValidJSONPath(path) == nil {
			o.Body, o.BodyJSON = "", map[string]string{path: "x"}
		}
		if redirect != "" {
			o.Redirects = []string{"127.0.0.1"}
		}
		check := httpCheck(o)
		check.Timeout = 50 * time.Millisecond
		got := once(t, probe.Kernel{}, check, "127.0.0.1")
		if !got.Outcome.Good() && got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n\x1b") {
			t.Fatalf("%+v", got)
		}
	})
}

// Whatever a server greets with, the probe ends, and its reason is one printable line.
func FuzzBanners(f *testing.F) {
	f.Add([]byte("220 mail\r\n"))
	f.Add([]byte("\xff\xfd\x01\x1b[2J"))
	f.Fuzz(func(t *testing.T, said []byte) {
		port := server(t, "127.0.0.1", func(c net.Conn) { c.Write(said) })
		for _, o := range []catalog.Options{
			catalog.TCP{Port: port, Banner: "^220 "}, catalog.TCP{Port: port, TLS: true, Verification: mail},
			catalog.TLS{Port: port, Verification: mail},
		} {
			check := catalog.Check{Kind: catalog.KindTCP, Timeout: 50 * time.Millisecond, Options: o}
			if _, isTLS := o.(catalog.TLS); isTLS {
				check.Kind = catalog.KindTLS
			}
			got := once(t, probe.Kernel{}, check, "127.0.0.1")
			if !got.Outcome.Good() && got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n\x1b") {
				t.Fatalf("%+v", got)
			}
		}
	})
}
