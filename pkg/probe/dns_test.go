package probe_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// datagrams answers each datagram as reply says, which may be several datagrams or none.
func datagrams(t testing.TB, reply func(query []byte) [][]byte) int {
	t.Helper()
	c, err := net.ListenPacket("udp", testenv.FreeAddress(t)) // nothing listens there over TCP
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, answer := range reply(buffer[:n]) {
				c.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return c.LocalAddr().(*net.UDPAddr).Port
}

// nameserver answers queries over UDP as the function changes a good answer with one A record.
func nameserver(t testing.TB, change func(query, answer *dns.Msg)) int {
	return datagrams(t, func(raw []byte) [][]byte {
		answer := answerTo(raw, change)
		if answer == nil {
			return nil
		}
		return [][]byte{answer}
	})
}

func answerTo(raw []byte, change func(query, answer *dns.Msg)) []byte {
	query, answer := new(dns.Msg), new(dns.Msg)
	if query.Unpack(raw) != nil {
		return nil
	}
	answer.SetReply(query)
	answer.Authoritative = true
	answer.Answer = records("example.net. 60 IN A 192.0.2.1")
	change(query, answer)
	packed, _ := answer.Pack()
	return packed
}

func records(lines ...string) (out []dns.RR) {
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		out = append(out, rr)
	}
	return out
}

func dnsCheck(port int, o catalog.DNS) catalog.Check {
	o.Port = port
	return catalog.Check{Kind: catalog.KindDNS, Timeout: patience, Options: o}
}

func TestDNSAnswers(t *testing.T) {
	const bad, good = mesh.Unreachable, mesh.Reachable
	set := func(lines ...string) func(_, a *dns.Msg) {
		return func(_, a *dns.Msg) { a.Answer = records(lines...) }
	}
	rcode := func(n int) func(_, a *dns.Msg) { return func(_, a *dns.Msg) { a.Rcode, a.Answer = n, nil } }
	two := set("example.net. 60 IN A 192.0.2.2", "example.net. 60 IN A 192.0.2.1")
	for name, test := range map[string]struct {
		change  func(query, answer *dns.Msg)
		options catalog.DNS
		outcome mesh.Outcome
		reason  string
	}{
		"as asked":  {set("EXAMPLE.net. 60 IN A 192.0.2.1"), catalog.DNS{}, good, ""},
		"a subset":  {two, catalog.DNS{Expect: []string{"192.0.2.1"}}, good, ""},
		"any order": {two, catalog.DNS{Expect: []string{"192.0.2.1", "192.0.2.2"}, Exact: true}, good, ""},
		"one too many": {two, catalog.DNS{Expect: []string{"192.0.2.1"}, Exact: true}, bad,
			`of which "192.0.2.2" is not expected`},
		"another address": {set("example.net. 60 IN A 192.0.2.9"),
			catalog.DNS{Expect: []string{"192.0.2.1"}}, bad, `answered "192.0.2.9", which lacks "192.0.2.1"`},
		"no record": {set(), catalog.DNS{}, bad, "answered without a record of type A"},
		"an alias alone": {set("example.net. 60 IN CNAME other.example."), catalog.DNS{}, bad,
			"answered without a record"},
		"through an alias": {set("example.net. 60 IN CNAME x.example.", "x.example. 60 IN A 192.0.2.1"),
			catalog.DNS{}, good, ""},
		"no authority": {func(_, a *dns.Msg) { a.Authoritative = false },
			catalog.DNS{Authoritative: true}, bad, "answered without authority"},
		"refused":           {rcode(dns.RcodeRefused), catalog.DNS{}, bad, "answered REFUSED"},
		"refused as wanted": {rcode(dns.RcodeRefused), catalog.DNS{Rcode: "REFUSED"}, good, ""},
		"open instead": {set("example.net. 60 IN A 192.0.2.1"), catalog.DNS{Rcode: "REFUSED"}, bad,
			"answered NOERROR, wanted REFUSED"},
		"the primary": {set("example.net. 60 IN SOA NS1.example.net. h. 1 2 3 4 5"),
			catalog.DNS{Type: "SOA", Expect: []string{"ns1.example.net"}}, good, ""},
		"mail host": {set("example.net. 60 IN MX 10 mail.example.net."), catalog.DNS{Type: "MX",
			Expect: []string{"mail.example.net"}}, good, ""},
		"mail with order": {set("example.net. 60 IN MX 10 mail.example.net."), catalog.DNS{Type: "MX",
			Expect: []string{"20 mail.example.net."}}, bad, "which lacks"},
		"long text": {set(`example.net. 60 IN TXT "v=spf1 " "-all"`), catalog.DNS{Type: "TXT",
			Expect: []string{"v=spf1 -all"}}, good, ""},
		"IPv6": {set("example.net. 60 IN AAAA 2001:db8:0::1"), catalog.DNS{Type: "AAAA",
			Expect: []string{"2001:db8::1"}}, good, ""},
		"service": {set("example.net. 60 IN SRV 1 2 5060 SIP.example.net."), catalog.DNS{Type: "SRV",
			Expect: []string{"1 2 5060 sip.example.net"}}, good, ""},
		"wrong id": {func(_, a *dns.Msg) { a.Id++ }, catalog.DNS{}, bad,
			"malformed answer: it has another id"},
		"wrong question": {func(_, a *dns.Msg) { a.Question[0].Name = "x.example." }, catalog.DNS{}, bad,
			"malformed answer: it has another id"},
		"a query": {func(_, a *dns.Msg) { a.Response = false }, catalog.DNS{}, bad,
			"malformed answer: it has another id"},
		"before EDNS": {func(q, a *dns.Msg) {
			if q.IsEdns0() != nil {
				a.Rcode, a.Answer, a.Question = dns.RcodeFormatError, nil, nil
			}
		}, catalog.DNS{}, good, ""},
		"EDNS not implemented": {func(q, a *dns.Msg) {
			if q.IsEdns0() != nil {
				a.Rcode, a.Answer = dns.RcodeNotImplemented, nil
			}
		}, catalog.DNS{}, good, ""},
		"no queries at all": {rcode(dns.RcodeFormatError), catalog.DNS{}, bad, "answered FORMERR"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Query = "example.net"
			got := once(t, probe.Kernel{}, inTime(dnsCheck(nameserver(t, test.change), test.options), test.reason), "127.0.0.1")
			want(t, got, test.outcome, test.reason)
			if f := mesh.ClassifyReason(got.Reason); test.outcome == bad && f.Kind == mesh.OtherFailure {
				t.Errorf("the public reads of %q: %s", got.Reason, f)
			}
		})
	}
}

// An answer with another id, which anybody can send, does not hide the right one behind it.
func TestForgedDNSAnswersAreIgnored(t *testing.T) {
	port := datagrams(t, func(raw []byte) [][]byte {
		right := answerTo(raw, func(_, _ *dns.Msg) {})
		forged := answerTo(raw, func(_, a *dns.Msg) { a.Id++; a.Rcode = dns.RcodeServerFailure })
		return [][]byte{forged, []byte("garbage"), forged, right}
	})
	want(t, once(t, probe.Kernel{}, dnsCheck(port, catalog.DNS{Query: "example.net"}), "127.0.0.1"),
		mesh.Reachable, "")
}

// both serves one port over UDP, with truncated answers, and over TCP as say does.
func both(t *testing.T, say func(net.Conn)) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			continue
		}
		s := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.Truncated = true
			w.WriteMsg(m)
		})}
		go s.ActivateAndServe()
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
		t.Cleanup(func() { c.Close(); l.Close(); <-done })
		return l.Addr().(*net.TCPAddr).Port
	}
	t.Fatal("no port is free for both protocols")
	return 0
}

func overStream(change func(query, answer *dns.Msg)) func(net.Conn) {
	return func(c net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := c.Read(buffer)
			if err != nil || n < 2 {
				return
			}
			answer := answerTo(buffer[2:n], change)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}
}

func TestTruncatedDNSAnswersAreFetchedOverTCP(t *testing.T) {
	as := func(_, _ *dns.Msg) {}
	o := catalog.DNS{Query: "example.net", Expect: []string{"192.0.2.1"}}
	want(t, once(t, probe.Kernel{}, dnsCheck(both(t, overStream(as)), o), "127.0.0.1"), mesh.Reachable, "")
	wrong := overStream(func(_, a *dns.Msg) { a.Id++ })
	got := once(t, probe.Kernel{}, dnsCheck(both(t, wrong), o), "127.0.0.1")
	want(t, got, mesh.Unreachable, "malformed answer: it has another id or question than the query (over TCP, after")
	got = once(t, probe.Kernel{}, dnsCheck(nameserver(t, func(_, a *dns.Msg) { a.Truncated = true }), o), "127.0.0.1")
	want(t, got, mesh.Unreachable, "connection refused (over TCP, after a truncated answer over UDP)")
	o.Transport = catalog.TransportTCP
	got = once(t, probe.Kernel{}, dnsCheck(server(t, "127.0.0.1", overStream(as)), o), "127.0.0.1")
	if want(t, got, mesh.Reachable, ""); got.Connect == 0 || got.RTT < got.Connect {
		t.Errorf("%+v", got)
	}
}

func TestHostileDNSServers(t *testing.T) {
	garbage := []byte("\x1b[2J garbage that is no message")
	loop := func(raw []byte) [][]byte { // a name that points at itself
		return [][]byte{append(append([]byte{raw[0], raw[1], 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12), 0, 1, 0, 1)}
	}
	for name, test := range map[string]struct {
		reply  func([]byte) [][]byte
		reason string
	}{
		"silence": {func([]byte) [][]byte { return nil }, "timeout"},
		"garbage": {func([]byte) [][]byte { return [][]byte{garbage} },
			"malformed answer: it is no DNS message"},
		"nothing in it": {func([]byte) [][]byte { return [][]byte{{}} },
			"malformed answer: it is no DNS message"},
		"a flood":            {func([]byte) [][]byte { return slicesOf(garbage, 1000) }, "malformed answer: "},
		"huge":               {func([]byte) [][]byte { return [][]byte{make([]byte, 60000)} }, "malformed answer: "},
		"a loop of pointers": {loop, "malformed answer: it is no DNS message"},
		"the query itself": {func(raw []byte) [][]byte { return [][]byte{raw} },
			"malformed answer: it has another id"},
	} {
		t.Run(name, func(t *testing.T) {
			port := datagrams(t, test.reply)
			boundedCheck(t, dnsCheck(port, catalog.DNS{Query: "example.net"}), test.reason)
		})
	}
	want(t, once(t, probe.Kernel{}, dnsCheck(testenv.FreePort(t), catalog.DNS{Query: "example.net"}), "127.0.0.1"),
		mesh.Unreachable, "connection refused")
	for name, test := range map[string]struct {
		say    func(net.Conn)
		reason string
	}{
		"silence":      {hear, "hung: accepted and said nothing for 1 s"},
		"early close":  {func(net.Conn) {}, "closed without an answer"},
		"drip":         {repeat("\xff", 20*time.Millisecond), "hung: answer not finished after 1 s"},
		"endless":      {repeat(strings.Repeat("\xff", 1<<16), 0), "malformed answer: it is no DNS message"},
		"wrong server": {func(c net.Conn) { c.Write([]byte("220 mail\r\n")); hear(c) }, "hung: answer not finished"},
		"TLS":          {func(c net.Conn) { c.Write([]byte("\x15\x03\x01\x00\x02\x02\x46")) }, "answer cut short"},
	} {
		t.Run("over TCP "+name, func(t *testing.T) {
			o := catalog.DNS{Query: "example.net", Transport: catalog.TransportTCP}
			boundedCheck(t, dnsCheck(server(t, "127.0.0.1", test.say), o), test.reason)
		})
	}
}

func slicesOf(one []byte, n int) (out [][]byte) {
	for range n {
		out = append(out, one)
	}
	return out
}

// boundedCheck wants the check to fail for that reason, in bounded memory and time, leaving no goroutine.
func boundedCheck(t *testing.T, check catalog.Check, reason string) {
	t.Helper()
	boundedIn(t, check, reason, 1<<19)
}

// boundedIn is boundedCheck with another bound of the bytes that the probe and the test's server may allocate.
func boundedIn(t *testing.T, check catalog.Check, reason string, most uint64) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	began := time.Now()
	got := once(t, probe.Kernel{}, inTime(check, reason), "127.0.0.1")
	runtime.ReadMemStats(&end)
	want(t, got, mesh.Unreachable, reason)
	if took, used := time.Since(began),
		end.TotalAlloc-start.TotalAlloc; took > 15*time.Second || used > most {
		t.Errorf("it took %v and %d bytes", took, used)
	}
	if strings.ContainsAny(got.Reason, "\x00\x1b\r\n") {
		t.Errorf("%q", got.Reason)
	}
	if f := mesh.ClassifyReason(got.Reason); f.Kind == mesh.OtherFailure {
		t.Errorf("the public reads of %q: %s", got.Reason, f)
	}
	goleak.VerifyNone(t, before)
}

// soaServer serves the zone with a serial.
func soaServer(t testing.TB, serial uint32) int {
	return nameserver(t, func(_, a *dns.Msg) {
		a.Answer = records(fmt.Sprintf("example.net. 60 IN SOA ns1.example.net. h. %d 2 3 4 5", serial))
	})
}

func TestSerialsOfAZoneAreCompared(t *testing.T) {
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	lame := nameserver(t, func(_, a *dns.Msg) { a.Rcode = dns.RcodeRefused })
	for name, test := range map[string]struct {
		own     int
		others  []string
		outcome mesh.Outcome
		reason  string
	}{
		"in step": {soaServer(t, 7), []string{at(soaServer(t, 7))}, mesh.Reachable, ""},
		"behind": {soaServer(t, 5), []string{at(soaServer(t, 7))}, mesh.Unreachable,
			"zone not in step: serial 5 at 127.0.0.1"},
		"another behind": {soaServer(t, 7), []string{at(soaServer(t, 7)), at(soaServer(t, 6))},
			mesh.Unreachable, "zone not in step: serial 6 at 127.0.0.1:"},
		"round the circle": {soaServer(t, 1), []string{at(soaServer(t, 4294967290))}, mesh.Unreachable,
			"serial 4294967290 at"},
		"lame":         {soaServer(t, 7), []string{at(lame)}, mesh.Unreachable, " answered REFUSED"},
		"silent other": {soaServer(t, 7), []string{at(testenv.FreePort(t)), at(soaServer(t, 7))}, mesh.Reachable, ""},
		"silent others": {soaServer(t, 7), []string{at(testenv.FreePort(t))}, mesh.Inconclusive,
			"no other server of the zone answered"},
		"own refuses": {lame, []string{at(soaServer(t, 7))}, mesh.Unreachable, "answered REFUSED"},
		"own silent":  {testenv.FreePort(t), []string{at(soaServer(t, 7))}, mesh.Unreachable, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			o := catalog.DNS{SOA: "example.net", Servers: test.others}
			want(t, once(t, probe.Kernel{}, dnsCheck(test.own, o), "127.0.0.1"), test.outcome, test.reason)
		})
	}
}

func TestDelegationIsCompared(t *testing.T) {
	own := nameserver(t, func(q, a *dns.Msg) {
		switch q.Question[0].Qtype {
		case dns.TypeNS:
			a.Answer = records("example.net. 60 IN NS ns1.example.net.", "example.net. 60 IN NS ns2.example.org.")
		default:
			a.Answer = records("ns1.example.net. 60 IN A 192.0.2.1")
		}
	})
	parent := func(rcode int, glue string, names ...string) []string {
		return []string{fmt.Sprintf("127.0.0.1:%d", nameserver(t, func(_, a *dns.Msg) {
			a.Authoritative, a.Answer, a.Rcode = false, nil, rcode
			for _, name := range names {
				a.Ns = append(a.Ns, records("example.net. 60 IN NS "+name)...)
			}
			a.Extra = records("ns1.example.net. 60 IN A " + glue)
		}))}
	}
	for name, test := range map[string]struct {
		parent  []string
		outcome mesh.Outcome
		reason  string
	}{
		"equal": {parent(0, "192.0.2.1", "NS2.example.org.", "ns1.example.net."), mesh.Reachable, ""},
		"one missing": {parent(0, "192.0.2.1", "ns1.example.net."), mesh.Unreachable,
			`and the zone above has "ns1.example.net"`},
		"old glue": {parent(0, "192.0.2.9", "ns1.example.net.", "ns2.example.org."), mesh.Unreachable,
			`and the zone above has "192.0.2.9"`},
		"not delegated": {parent(3, "192.0.2.1"), mesh.Unreachable, "does not delegate"},
		"broken parent": {parent(2, "192.0.2.1"), mesh.Inconclusive, "no server of the zone above answered"},
	} {
		t.Run(name, func(t *testing.T) {
			o := catalog.DNS{Delegation: "example.net", Parent: test.parent}
			want(t, once(t, probe.Kernel{}, dnsCheck(own, o), "127.0.0.1"), test.outcome, test.reason)
		})
	}
}

func TestDNSSignaturesThatEndSoonAreAdvisories(t *testing.T) {
	signed := func(lasts ...time.Duration) int {
		return nameserver(t, func(q, a *dns.Msg) {
			if o := q.IsEdns0(); o == nil || !o.Do() {
				return
			}
			for _, d := range lasts {
				a.Answer = append(a.Answer, &dns.RRSIG{
					Hdr: dns.RR_Header{Name: "example.net.", Rrtype: dns.TypeRRSIG,
						Class: dns.ClassINET, Ttl: 60},
					TypeCovered: dns.TypeA, Expiration: uint32(time.Now().Add(d).Unix()), SignerName: "example.net.",
				})
			}
		})
	}
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		port int
		want string
	}{
		"soon":     {signed(4*day + time.Hour), "DNSSEC signature ends in 4 days"},
		"ended":    {signed(-day), "DNSSEC signature has ended"},
		"late":     {signed(30 * day), ""},
		"replaced": {signed(day, 30*day), ""},
		"unsigned": {signed(), ""},
	} {
		got := once(t, probe.Kernel{}, dnsCheck(test.port, catalog.DNS{Query: "example.net",
			SignatureDays: 7}), "127.0.0.1")
		text := ""
		if got.Expiry != nil {
			text = got.Expiry.Describe(time.Now())
		}
		if want(t, got, mesh.Reachable, ""); text != test.want {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// Whatever datagrams a server sends, the probe ends, and its reason is one printable line.
func FuzzDNSAnswers(f *testing.F) {
	f.Add([]byte{0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0}, false)
	f.Add([]byte{0x86, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12}, true)
	f.Fuzz(func(t *testing.T, rest []byte, echo bool) {
		port := datagrams(t, func(raw []byte) [][]byte {
			if echo && len(rest) > 10 { // the right id and question, and anything as records
				return [][]byte{append(append(append(raw[:2:2], 0x84, 0, 0, 1, 0, 1, 0, 1, 0, 1),
					raw[12:29]...), rest...)}
			}
			return [][]byte{append(raw[:2:2], rest...)}
		})
		check := dnsCheck(port, catalog.DNS{Query: "example.net", SignatureDays: 3})
		check.Timeout = 50 * time.Millisecond
		got := once(t, probe.Kernel{}, check, "127.0.0.1")
		if !got.Outcome.Good() && got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n\x1b") {
			t.Fatalf("%+v", got)
		}
	})
}
