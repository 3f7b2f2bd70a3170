package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// serveLines runs a TCP server that greets and answers each line, until the test ends.
func serveLines(t *testing.T, greeting string, answer func(line string) string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, greeting)
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprint(c, answer(lines.Text()))
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// serveDatagrams answers each datagram, until the test ends.
func serveDatagrams(t *testing.T, answer func(query []byte) []byte) (address string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(answer(buffer[:n]), from)
		}
	}()
	return c.LocalAddr().String()
}

// Every kind can be probed by hand, and with a key of its own that the server does not satisfy it fails.
func TestProbeOfEveryKind(t *testing.T) {
	mail := serveLines(t, "220 mail ESMTP\r\n", func(line string) string {
		return map[bool]string{true: "250 mail\r\n", false: "221 bye\r\n"}[strings.HasPrefix(line, "EHLO")]
	})
	imap := serveLines(t, "* OK [CAPABILITY IMAP4rev1] ready\r\n", func(line string) string {
		tag, _, _ := strings.Cut(line, " ")
		return "* CAPABILITY IMAP4rev1\r\n" + tag + " OK done\r\n"
	})
	pop3 := serveLines(t, "+OK ready\r\n", func(line string) string {
		return map[bool]string{true: "+OK\r\nUIDL\r\n.\r\n", false: "+OK bye\r\n"}[line == "CAPA"]
	})
	web := serveLines(t, "", func(line string) string {
		return map[bool]string{true: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}[line == ""]
	})
	zone := serveDatagrams(t, func(query []byte) []byte {
		var q, a dns.Msg
		_ = q.Unpack(query)
		a.SetReply(&q)
		record, _ := dns.NewRR("www.example.net. 60 IN A 192.0.2.41")
		a.Answer = []dns.RR{record}
		out, _ := a.Pack()
		return out
	})
	phones := serveDatagrams(t, func(query []byte) []byte {
		head, rest, _ := strings.Cut(string(query), "\r\n")
		return []byte(map[bool]string{true: "SIP/2.0 200 OK\r\n" + rest}[strings.HasPrefix(head, "OPTIONS ")])
	})
	tested := map[string]bool{}
	for _, probes := range []struct {
		args []string
		good string
		fail []string // more arguments, with which it fails
		bad  string
	}{
		{[]string{"tcp", mail, "banner=^220 "}, "reachable", []string{"banner=^554 "}, "does not match"},
		{[]string{"smtp", mail}, "reachable", []string{"starttls=true"}, "STARTTLS is not offered"},
		{[]string{"imap", imap}, "reachable", []string{"starttls=true"}, "STARTTLS is not offered"},
		{[]string{"pop3", pop3}, "reachable", []string{"starttls=true"}, "STARTTLS is not offered"},
		{[]string{"dns", zone, "query=www.example.net"}, "reachable", []string{"expect=192.0.2.9"}, "192.0.2.9"},
		{[]string{"sip", phones}, "reachable", []string{"codes=401"}, `wanted 401`},
		{[]string{"http", "http://" + web + "/"}, "reachable", []string{"body=Webmail"}, `body lacks "Webmail"`},
		{
			[]string{"tls", mail, "--timeout", "20s"}, "does not speak TLS",
			[]string{"server_name=a.example"}, "does not speak TLS",
		},
		{[]string{"ping", "127.0.0.1"}, "ping 127.0.0.1: ", nil, ""},
	} {
		tested[probes.args[0]] = true
		if out := runProbe(probes.args...); !strings.Contains(out, probes.good) {
			t.Errorf("%q: %s", probes.args, out)
		}
		if probes.fail == nil {
			continue
		}
		out := runProbe(append(probes.args, probes.fail...)...)
		if !strings.Contains(out, probes.bad) || !strings.Contains(out, "unreachable") {
			t.Errorf("%q %q: %s", probes.args, probes.fail, out)
		}
	}
	for _, kind := range catalog.Kinds() {
		if !tested[kind] {
			t.Errorf("the kind %s was not tested", kind)
		}
		if !strings.Contains(newProbeCommand().Long, kind) {
			t.Errorf("the help does not name the kind %s", kind)
		}
	}
}

// runProbe runs `agent probe` and returns what it prints.
func runProbe(args ...string) string {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"probe", "--timeout", "20s"}, args...)) // on a busy machine
	root.SetOut(&out)
	root.SetErr(&out)
	_ = root.Execute()
	return out.String()
}
