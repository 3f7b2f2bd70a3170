package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// datagramMax is the size of UDP answers that the query asks for: what fits every path's MTU (DNS flag day 2020).
	datagramMax = 1232
	// strangersMax bounds the datagrams of one exchange that answer something else.
	strangersMax = 100
)

// dnsQuery is one question to one server.
type dnsQuery struct {
	name      string
	kind      uint16
	recursive bool // the server may ask others
	signed    bool // with the signatures of the answer
	overTCP   bool // from the beginning
}

// dnsAnswer is the answer to a query, or why there is none.
type dnsAnswer struct {
	*dns.Msg
	rtt     time.Duration // to the first answer, which may have been truncated
	connect time.Duration // of the TCP handshake, if the query began with one
	failure Result        // if Msg is nil
}

// dnsClient asks name servers, as one attempt of a check.
type dnsClient struct{ *attempt }

// check asks the name server at the address what the check asks.
func (a dnsClient) check(ctx context.Context, ip netip.Addr, o catalog.DNS) Result {
	server := netip.AddrPortFrom(ip, uint16(o.Port))
	overTCP := o.Transport == catalog.TransportTCP
	z := zone{dnsClient: a, overTCP: overTCP, signed: o.SignatureDays > 0}
	switch {
	case o.SOA != "":
		return z.inStep(ctx, server, o)
	case o.Delegation != "":
		return z.delegation(ctx, server, o)
	}
	q := dnsQuery{
		name: o.Query, kind: dns.StringToType[o.RecordType()], recursive: !o.Authoritative, signed: o.SignatureDays > 0,
		overTCP: overTCP,
	}
	answer := a.ask(ctx, server, q)
	if answer.Msg == nil {
		return answer.failure
	}
	found := Result{Outcome: mesh.Reachable, RTT: answer.rtt, Connect: answer.connect}
	if reason := lookupReason(answer.Msg, q.kind, o); reason != "" {
		return found.fail(reason)
	}
	found.Expiry = signatureEnd(answer.Answer, o.SignatureDays, time.Now())
	return found
}

// ask asks one server, over UDP unless the query says otherwise, and over TCP if the answer was truncated.
func (a dnsClient) ask(ctx context.Context, server netip.AddrPort, q dnsQuery) dnsAnswer {
	if q.overTCP {
		return a.askOverTCP(ctx, server, q)
	}
	answer := a.askOverUDP(ctx, server, q)
	if answer.Msg == nil || !answer.Truncated {
		return answer
	}
	whole := a.askOverTCP(a.exchangeCtx, server, q)
	whole.rtt, whole.connect = answer.rtt, 0
	if whole.Msg == nil {
		whole.failure.Reason += " (over TCP, after a truncated answer over UDP)"
	}
	return whole
}

// message returns the query as it is sent. Without EDNS it is as servers of before 1999 understand it.
func (q dnsQuery) message(edns bool) *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), q.kind)
	m.RecursionDesired = q.recursive
	if edns {
		m.SetEdns0(datagramMax, q.signed)
	}
	return m
}

// isAnswerTo reports whether the message answers the query. Servers that could not read a query send none back.
func isAnswerTo(m, query *dns.Msg) bool {
	if m.Id != query.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && len(m.Answer) == 0
	}
	got, asked := m.Question[0], query.Question[0]
	return len(m.Question) == 1 && strings.EqualFold(got.Name, asked.Name) && got.Qtype == asked.Qtype &&
		got.Qclass == asked.Qclass
}

// refusesEDNS reports whether the server does not understand EDNS: it then gets the query without (RFC 6891, 6.2.2).
func refusesEDNS(m *dns.Msg) bool {
	return slices.Contains([]int{dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers}, m.Rcode)
}

// askOverUDP sends the query once: the edge's retries repeat it.
func (a dnsClient) askOverUDP(ctx context.Context, server netip.AddrPort, q dnsQuery) dnsAnswer {
	began := time.Now()
	conn, err := a.network.Dial(ctx, networkOf("udp", server.Addr()), server.String())
	if err != nil {
		return dnsAnswer{failure: classify(err)}
	}
	defer conn.Close()
	defer endReads(ctx, conn)()
	var rtt time.Duration
	for _, edns := range []bool{true, false} {
		query := q.message(edns)
		packed, err := query.Pack()
		if err != nil {
			return dnsAnswer{failure: inconclusive("the query cannot be sent: " + bounded(err.Error()))}
		}
		if _, err := conn.Write(packed); err != nil {
			return dnsAnswer{failure: classify(err)}
		}
		m, failure := readDatagrams(ctx, conn, query)
		if m == nil {
			return dnsAnswer{failure: failure}
		}
		if rtt == 0 {
			rtt = time.Since(began)
		}
		if !edns || !refusesEDNS(m) {
			a.markConnected(ctx)
			return dnsAnswer{Msg: m, rtt: rtt}
		}
	}
	return dnsAnswer{failure: inconclusive("the query was not sent")} // not reached: the loop's last turn returns
}

// readDatagrams waits for the answer to the query. Others, which anybody can send, are ignored: only if the answer does
// not come are they what the server said.
func readDatagrams(ctx context.Context, conn net.Conn, query *dns.Msg) (*dns.Msg, Result) {
	buffer := make([]byte, 4096)
	other := ""
	for range strangersMax {
		n, err := conn.Read(buffer)
		if err != nil {
			switch {
			case ctx.Err() == context.Canceled:
				return nil, inconclusive("cancelled")
			case other != "":
				return nil, Result{}.fail(other)
			case ctx.Err() != nil:
				return nil, classify(ctx.Err())
			}
			return nil, classify(err)
		}
		m := new(dns.Msg)
		switch err := m.Unpack(buffer[:n]); {
		case err != nil && !isTruncated(buffer[:n], query.Id):
			other = "malformed answer: it is no DNS message"
		case err != nil:
			return &dns.Msg{MsgHdr: dns.MsgHdr{Id: query.Id, Response: true, Truncated: true}}, Result{}
		case isAnswerTo(m, query):
			return m, Result{}
		default:
			other = "malformed answer: it has another id or question than the query"
		}
	}
	return nil, Result{}.fail(other)
}

// isTruncated reports whether a datagram that cannot be read to its end begins as the query's answer and is marked as
// truncated: some servers cut it in the middle of a record.
func isTruncated(datagram []byte, id uint16) bool {
	const response, truncated = 0x80, 0x02
	return len(datagram) >= 12 && binary.BigEndian.Uint16(datagram) == id && datagram[2]&response != 0 &&
		datagram[2]&truncated != 0
}

// askOverTCP asks over a connection of its own.
func (a dnsClient) askOverTCP(ctx context.Context, server netip.AddrPort, q dnsQuery) dnsAnswer {
	conn, err := a.dial(ctx, server.Addr(), int(server.Port()))
	if err != nil {
		return dnsAnswer{failure: classify(err)}
	}
	defer conn.Close()
	var out dnsAnswer
	result := a.withMemory(conn, func() Result {
		defer context.AfterFunc(a.exchangeCtx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		counted := &countingConn{Conn: conn.Conn}
		for _, edns := range []bool{true, false} {
			m, err := exchangeStream(counted, q.message(edns))
			switch {
			case errors.Is(err, errNotDNS):
				return Result{}.fail("malformed answer: it is no DNS message")
			case err != nil:
				return a.transportFailure(Result{}, counted, err)
			case m == nil:
				return Result{}.fail("malformed answer: it has another id or question than the query")
			case !edns || !refusesEDNS(m):
				out.Msg = m
				return Result{Outcome: mesh.Reachable}
			}
		}
		return Result{}
	})
	out.rtt, out.connect, out.failure = time.Since(conn.began), conn.connect, result
	return out
}

var errNotDNS = errors.New("no DNS message")

// exchangeStream sends a message over TCP and reads the next one. It returns nil if that is no answer to the query.
func exchangeStream(conn net.Conn, query *dns.Msg) (*dns.Msg, error) {
	packed, err := query.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	whole := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, whole); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if m.Unpack(whole) != nil {
		return nil, errNotDNS
	}
	if !isAnswerTo(m, query) {
		return nil, nil
	}
	return m, nil
}

// networkOf returns the network of an address as Dial names it.
func networkOf(protocol string, ip netip.Addr) string {
	if ip.Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}
