package probe_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// sipReply answers a request with a status, and with its headers as the edit changes them.
func sipReply(request, status string, edit func(headers string) string) string {
	var headers []string
	for _, line := range strings.Split(request, "\r\n")[1:] {
		for _, name := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
			if strings.HasPrefix(line, name) {
				headers = append(headers, line)
			}
		}
	}
	return "SIP/2.0 " + status + "\r\n" + edit(strings.Join(headers, "\r\n")) + "\r\nContent-Length: 0\r\n\r\n"
}

func same(headers string) string { return headers }

// phones answers each request over UDP with these statuses.
func phones(t testing.TB, edit func(string) string, statuses ...string) int {
	return datagrams(t, func(request []byte) (out [][]byte) {
		for _, status := range statuses {
			out = append(out, []byte(sipReply(string(request), status, edit)))
		}
		return out
	})
}

// phoneStream answers one request over a connection.
func phoneStream(edit func(string) string, statuses ...string) func(net.Conn) {
	return func(c net.Conn) {
		reader := textproto.NewReader(bufio.NewReader(c))
		var lines []string
		for line, err := reader.ReadLine(); err == nil && line != ""; line, err = reader.ReadLine() {
			lines = append(lines, line)
		}
		for _, status := range statuses {
			fmt.Fprint(c, sipReply(strings.Join(lines, "\r\n"), status, edit))
		}
		hear(c)
	}
}

func sipCheck(port int, o catalog.SIP) catalog.Check {
	o.Port = port
	return catalog.Check{Kind: catalog.KindSIP, Timeout: patience, Options: o}
}

func TestSIPAnswers(t *testing.T) {
	compact := strings.NewReplacer("Via:", "v :", "Call-ID:", "i:\r\n ")
	secured := &tls.Config{Certificates: []tls.Certificate{issue(t, "mail.example.net")}}
	for name, test := range map[string]struct {
		edit     func(string) string
		statuses []string
		codes    []int
		outcome  mesh.Outcome
		reason   string
	}{
		"ok":           {same, []string{"200 OK"}, nil, mesh.Reachable, ""},
		"compact":      {compact.Replace, []string{"200 OK"}, nil, mesh.Reachable, ""},
		"provisional":  {same, []string{"100 Trying", "200 OK"}, nil, mesh.Reachable, ""},
		"unauthorized": {same, []string{"401 Unauthorized"}, []int{200, 401}, mesh.Reachable, ""},
		"not permitted": {same, []string{"401 Unauthorized"}, nil, mesh.Unreachable,
			`answered "401 Unauthorized", wanted 200`},
		"busy": {same, []string{"503 Full"}, []int{200, 401}, mesh.Unreachable,
			`answered "503 Full", wanted 200 or 401`},
		"another call": {func(h string) string { return strings.Replace(h, "Call-ID: ", "Call-ID: x", 1) },
			[]string{"200 OK"}, nil,
			mesh.Unreachable, "malformed answer: it is none to the request"},
	} {
		t.Run(name, func(t *testing.T) {
			o := catalog.SIP{Codes: test.codes}
			check := inTime(sipCheck(phones(t, test.edit, test.statuses...), o), test.reason)
			want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), test.outcome, test.reason)
			o.Transport = catalog.TransportTCP
			port := server(t, "127.0.0.1", phoneStream(test.edit, test.statuses...))
			want(t, once(t, probe.Kernel{}, sipCheck(port, o), "127.0.0.1"), test.outcome, test.reason)
			o.Transport, o.Verification = catalog.TransportTLS, mail
			port = server(t, "127.0.0.1", func(c net.Conn) {
				phoneStream(test.edit, test.statuses...)(tls.Server(c, secured))
			})
			got := once(t, probe.Kernel{}, sipCheck(port, o), "127.0.0.1")
			if want(t, got, test.outcome, test.reason); got.Outcome.Good() && got.Expiry == nil {
				t.Error("the certificate ends tomorrow, and there is no advisory")
			}
		})
	}
}

// A request that is lost is sent again, and stays one probe: the server sees the same transaction.
func TestLostSIPRequestsAreSentAgain(t *testing.T) {
	var received atomic.Int32
	first := ""
	port := datagrams(t, func(request []byte) [][]byte {
		if received.Add(1) == 1 {
			first = string(request)
			return nil
		}
		if string(request) != first {
			return [][]byte{[]byte(sipReply(string(request), "500 Another request", same))}
		}
		return [][]byte{[]byte(sipReply(string(request), "200 OK", same))}
	})
	got := once(t, probe.Kernel{}, sipCheck(port, catalog.SIP{}), "127.0.0.1")
	if want(t, got, mesh.Reachable, ""); received.Load() < 2 || got.RTT < 500*time.Millisecond {
		t.Errorf("%d requests, %+v", received.Load(), got)
	}
}

func TestHostileSIPServers(t *testing.T) {
	for name, test := range map[string]struct {
		reply  func(request []byte) [][]byte
		reason string
	}{
		"silence": {func([]byte) [][]byte { return nil }, "timeout"},
		"garbage": {func([]byte) [][]byte { return [][]byte{[]byte("\x1b[2J\r\n\r\n")} },
			"malformed answer: it is none of SIP"},
		"echo": {func(r []byte) [][]byte { return [][]byte{r} }, "malformed answer: it is none of SIP"},
		"a flood": {func([]byte) [][]byte { return slicesOf([]byte("SIP/2.0 200 OK\r\n\r\n"), 1000) },
			"malformed answer: "},
		"huge": {func([]byte) [][]byte { return [][]byte{make([]byte, 60000)} }, "malformed answer: "},
		"provisional": {func(r []byte) [][]byte {
			return slicesOf([]byte(sipReply(string(r), "100 Trying",
				same)), 200)
		}, "malformed answer: only provisional"},
	} {
		t.Run(name, func(t *testing.T) {
			boundedCheck(t, sipCheck(datagrams(t, test.reply), catalog.SIP{}), test.reason)
		})
	}
	want(t, once(t, probe.Kernel{}, sipCheck(testenv.FreePort(t), catalog.SIP{}), "127.0.0.1"), mesh.Unreachable,
		"connection refused")
	for name, test := range map[string]struct {
		say    func(net.Conn)
		reason string
	}{
		"silence":     {hear, "hung: accepted and said nothing for 1 s"},
		"early close": {func(net.Conn) {}, "closed without an answer"},
		"drip":        {repeat("S", 20*time.Millisecond), "hung: answer not finished after 1 s"},
		"endless":     {repeat(strings.Repeat("A", 1<<16), 0), "malformed answer: it is none of SIP"},
		"flood": {repeat(strings.Repeat("SIP/2.0 200 OK\r\nA: b\r\n", 1000), 0),
			"malformed answer: it is none of SIP"},
		"mail": {func(c net.Conn) { fmt.Fprint(c, "220 mail\r\n"); hear(c) },
			"malformed answer: it is none of SIP"},
		"TLS": {func(c net.Conn) { fmt.Fprint(c, "\x15\x03\x01\x00\x02\x02\x46") }, "malformed answer: "},
	} {
		t.Run("over TCP "+name, func(t *testing.T) {
			boundedCheck(t, sipCheck(server(t, "127.0.0.1", test.say), catalog.SIP{Transport: "tcp"}), test.reason)
		})
	}
	// A server without TLS takes a handshake for a request that is not finished, or refuses it. phoneStream would do
	// either, since the random bytes of a handshake hold an empty line now and then.
	for name, test := range map[string]struct {
		say    func(net.Conn)
		reason string
	}{
		"waiting":  {hear, "hung: accepted and said nothing"},
		"refusing": {func(c net.Conn) { fmt.Fprint(c, "SIP/2.0 400 Bad Request\r\n\r\n"); hear(c) }, "does not speak TLS"},
	} {
		t.Run("without TLS "+name, func(t *testing.T) {
			check := sipCheck(server(t, "127.0.0.1", test.say), catalog.SIP{Transport: "tls", Verification: mail})
			boundedCheck(t, check, test.reason)
		})
	}
}

// At a loss of 20 % each way a probe is hardly ever lost: a false down needs several of them.
func TestSIPOverALossyPath(t *testing.T) {
	lost, random := 0, rand.New(rand.NewPCG(1, 2))
	unanswered := map[string]int{} // by request: how many of its datagrams the path still loses
	port := datagrams(t, func(request []byte) [][]byte {
		if _, known := unanswered[string(request)]; !known {
			for unanswered[string(request)] = 0; random.Float64() < 0.36; { // there or back
				unanswered[string(request)]++
			}
		}
		if unanswered[string(request)]--; unanswered[string(request)] >= 0 {
			return nil
		}
		return [][]byte{[]byte(sipReply(string(request), "200 OK", same))}
	})
	for range 12 {
		check := sipCheck(port, catalog.SIP{})
		check.Timeout = 3 * time.Second
		if got := once(t, probe.Kernel{}, check, "127.0.0.1"); !got.Outcome.Good() {
			lost++
		}
	}
	if lost > 2 {
		t.Errorf("%d of 12 probes were lost", lost)
	}
}

// Whatever a phone server sends, the probe ends, and its reason is one printable line.
func FuzzSIPAnswers(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: x\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200\r\n: \r\n \r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		port := datagrams(t, func([]byte) [][]byte { return [][]byte{said} })
		check := sipCheck(port, catalog.SIP{})
		check.Timeout = 50 * time.Millisecond
		got := once(t, probe.Kernel{}, check, "127.0.0.1")
		if !got.Outcome.Good() && got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n\x1b") {
			t.Fatalf("%+v", got)
		}
	})
}
