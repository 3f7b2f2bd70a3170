package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// sipRepeat is T1 of RFC 3261: when a request over UDP is sent again, and sipRepeatMax is T2, the most between two.
	sipRepeat, sipRepeatMax = 500 * time.Millisecond, 4 * time.Second
	// sipMax bounds the bytes of an answer.
	sipMax = 16 << 10
	// sipAnswersMax bounds the answers that are read over a connection: provisional ones come before the final one.
	sipAnswersMax = 20
)

// sip asks a phone server with OPTIONS, which every server must answer and which changes nothing.
type sip struct {
	*attempt
	options catalog.SIP
	id      string // of this request: no other answer counts
}

// sipAnswer is the status of an answer to the request.
type sipAnswer struct {
	code   int
	phrase string // the server's own words
}

// errNotSIP is what a server sent that does not speak SIP.
var errNotSIP = errors.New("no answer of SIP")

// check asks the server at the address.
func (s sip) check(ctx context.Context, ip netip.Addr) Result {
	if s.options.Transport == catalog.TransportTCP || s.options.Transport == catalog.TransportTLS {
		return s.overStream(ctx, ip)
	}
	server, began := netip.AddrPortFrom(ip, uint16(s.options.Port)), time.Now()
	conn, err := s.network.Dial(ctx, networkOf("udp", ip), server.String())
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	answer, failure := s.overDatagrams(ctx, conn)
	if answer.code == 0 {
		return failure
	}
	s.markConnected(ctx)
	return s.compare(answer, Result{Outcome: mesh.Reachable, RTT: time.Since(began)})
}

// compare returns found, or a failure if the answer is not as the check requires.
func (s sip) compare(answer sipAnswer, found Result) Result {
	if s.options.Accepts(answer.code) {
		return found
	}
	var wanted []string
	for _, code := range s.options.Codes {
		wanted = append(wanted, strconv.Itoa(code))
	}
	return found.fail(fmt.Sprintf("answered %s, wanted %s", quote(strconv.Itoa(answer.code)+" "+answer.phrase),
		cmp.Or(strings.Join(wanted, " or "), "200")))
}

// request returns the request as it is sent over the connection.
func (s sip) request(conn net.Conn, protocol string) []byte {
	local := sipHost(conn.LocalAddr())
	to := s.options.Domain
	if to == "" {
		to = sipHost(conn.RemoteAddr())
	}
	return []byte(strings.Join([]string{
		"OPTIONS sip:" + to + " SIP/2.0",
		"Via: SIP/2.0/" + protocol + " " + local + ";branch=z9hG4bK" + s.id + ";rport",
		"Max-Forwards: 70",
		"From: <sip:probemesh@" + local + ">;tag=" + s.id[:8],
		"To: <sip:" + to + ">",
		"Call-ID: " + s.id,
		"CSeq: 1 OPTIONS",
		"Contact: <sip:probemesh@" + local + ">",
		"User-Agent: " + s.target.userAgent(),
		"Accept: application/sdp",
		"Content-Length: 0", "", "",
	}, "\r\n"))
}

// sipHost is an address as SIP writes it, with its port.
func sipHost(address net.Addr) string {
	if address == nil || !strings.Contains(address.String(), ":") {
		return "127.0.0.1"
	}
	return address.String()
}

// overDatagrams sends the request until it is answered, as RFC 3261, 17.1.2.2 has it: it stays one request, and one
// probe.
func (s sip) overDatagrams(ctx context.Context, conn net.Conn) (sipAnswer, Result) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	sending, stop := context.WithCancel(ctx)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		request := s.request(conn, "UDP")
		for wait := sipRepeat; ; wait = min(2*wait, sipRepeatMax) {
			if _, err := conn.Write(request); err != nil {
				return // the read fails too, and with the better error
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-sending.Done():
				timer.Stop()
				return
			}
		}
	}()
	defer func() {
		stop()
		_ = conn.SetWriteDeadline(time.Unix(1, 0))
		<-sent
	}()
	return s.readDatagrams(ctx, conn)
}

// readDatagrams waits for the final answer. Datagrams that are none of this request are what the server said only if
// no answer comes.
func (s sip) readDatagrams(ctx context.Context, conn net.Conn) (sipAnswer, Result) {
	buffer, other := make([]byte, sipMax), ""
	for range strangersMax {
		n, err := conn.Read(buffer)
		if err != nil {
			switch {
			case ctx.Err() == context.Canceled:
				return sipAnswer{}, inconclusive("cancelled")
			case other != "":
				return sipAnswer{}, Result{}.fail(other)
			case ctx.Err() != nil:
				return sipAnswer{}, classify(ctx.Err())
			}
			return sipAnswer{}, classify(err)
		}
		answer, mine, err := s.read(bufio.NewReader(bytes.NewReader(buffer[:n])))
		switch {
		case err != nil:
			other = "malformed answer: it is none of SIP"
		case !mine:
			other = "malformed answer: it is none to the request"
		case answer.code >= 200:
			return answer, Result{}
		}
	}
	return sipAnswer{}, Result{}.fail(cmp.Or(other, "malformed answer: only provisional ones came"))
}

// overStream asks over a connection of its own.
func (s sip) overStream(ctx context.Context, ip netip.Addr) Result {
	conn, err := s.dial(ctx, ip, s.options.Port)
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	return s.withMemory(conn, func() Result {
		defer context.AfterFunc(s.exchangeCtx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
		if s.options.Transport != catalog.TransportTLS {
			return s.exchange(conn.Conn, "TCP", conn.began, found)
		}
		secured, result := s.handshake(conn, s.options.Verification, found)
		if secured == nil {
			return result
		}
		defer secured.Close()
		return s.exchange(secured, "TLS", conn.began, result)
	})
}

// exchange sends the request over a connection and reads the final answer.
func (s sip) exchange(conn net.Conn, protocol string, began time.Time, found Result) Result {
	counted := &countingConn{Conn: conn}
	if _, err := counted.Write(s.request(conn, protocol)); err != nil {
		return s.transportFailure(found, counted, err)
	}
	reader := bufio.NewReaderSize(io.LimitReader(counted, sipMax), lineMax)
	for range sipAnswersMax {
		answer, mine, err := s.read(reader)
		switch {
		case err != nil && s.exchangeCtx.Err() != nil: // the line that is none ended with the time
			return s.transportFailure(found, counted, context.DeadlineExceeded)
		case errors.Is(err, errNotSIP), err != nil && counted.received.Load() >= sipMax:
			return found.fail("malformed answer: it is none of SIP")
		case err != nil:
			return s.transportFailure(found, counted, err)
		case !mine:
			return found.fail("malformed answer: it is none to the request")
		case answer.code >= 200:
			found.RTT = time.Since(began)
			return s.compare(answer, found)
		}
	}
	return found.fail("malformed answer: only provisional ones came")
}

// read reads one answer without its body, and reports whether it is one to this request. The caller bounds the bytes.
func (s sip) read(reader *bufio.Reader) (answer sipAnswer, mine bool, err error) {
	text := textproto.NewReader(reader)
	line, err := text.ReadLine()
	if err != nil {
		return answer, false, err
	}
	rest, ok := strings.CutPrefix(line, "SIP/2.0 ")
	code, phrase, _ := strings.Cut(rest, " ")
	if answer.code, err = strconv.Atoi(code); !ok || err != nil || len(code) != 3 || answer.code < 100 {
		return sipAnswer{}, false, errNotSIP
	}
	answer.phrase = phrase
	headers := map[string]string{}
	for {
		// Unlike HTTP's, a header of SIP may have spaces before its colon, and may go on in the next line.
		line, err := text.ReadContinuedLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return sipAnswer{}, false, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return sipAnswer{}, false, errNotSIP
		}
		if name = strings.ToLower(strings.TrimSpace(name)); headers[name] == "" { // the first Via is this client's
			headers[name] = strings.TrimSpace(value)
		}
	}
	id := cmp.Or(headers["call-id"], headers["i"])
	via := cmp.Or(headers["via"], headers["v"])
	sequence := strings.Join(strings.Fields(headers["cseq"]), " ")
	return answer, id == s.id && strings.Contains(via, "z9hG4bK"+s.id) && sequence == "1 OPTIONS", nil
}
