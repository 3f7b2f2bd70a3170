package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// bannerMax bounds a banner's first line in bytes. SMTP allows 512.
const bannerMax = 1024

// tcp connects to the check's port, completes a TLS handshake if the check asks for one, and compares the first line
// that the server sends if the check has a banner.
func (a *attempt) tcp(ctx context.Context, ip netip.Addr, o catalog.TCP) Result {
	conn, err := a.dial(ctx, ip, o.Port)
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	found := Result{Outcome: mesh.Reachable, RTT: conn.connect, Connect: conn.connect}
	if !o.TLS {
		return a.banner(conn, o, found)
	}
	return a.withMemory(conn, func() Result {
		secured, found := a.handshake(conn, o.Verification, found)
		if secured == nil {
			return found
		}
		defer secured.Close()
		if o.Banner == "" {
			return secured.refusedLater(a.exchangeCtx, conn.connect, found)
		}
		return a.banner(&connection{Conn: secured, began: conn.began, connect: conn.connect}, o, found)
	})
}

// banner compares the first line that the server sends, if the check has a banner. found is the result without one.
func (a *attempt) banner(conn *connection, o catalog.TCP, found Result) Result {
	if o.Banner == "" {
		return found
	}
	wanted, err := regexp.Compile(o.Banner)
	if err != nil {
		return inconclusive("the banner's pattern is not a regular expression")
	}
	line, rtt, err := readBanner(a.exchangeCtx, conn)
	found.RTT = rtt
	switch {
	// A pattern such as ".*" also matches the empty line of a server that sent nothing, which is no banner.
	case wanted.MatchString(line) && (line != "" || err == nil):
		sendQuit(conn, line)
		return found
	case a.exchangeCtx.Err() == context.Canceled:
		return inconclusive("cancelled")
	}
	if reason := handshakeReason(err); reason != "" { // the server refuses the client after the handshake
		return found.fail(reason)
	}
	return found.fail(a.bannerReason(line, err))
}

// quitWait bounds the time to send QUIT: six bytes into an empty buffer, which does not normally block at all.
const quitWait = 100 * time.Millisecond

// sendQuit sends QUIT to a mail server, which would otherwise log a lost connection for each probe. It does not wait
// for the reply. After the first line of a longer greeting ("220-") it sends nothing: Postfix's postscreen uses that
// pause to detect clients that talk too early, and would block the agent's address.
func sendQuit(conn net.Conn, greeting string) {
	if greeting != "220" && !strings.HasPrefix(greeting, "220 ") {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(quitWait)) == nil {
		_, _ = io.WriteString(conn, "QUIT\r\n") // the probe has its answer
	}
}

// bannerReason describes a first line that does not match; err is the error that ended it before its line feed, if any.
func (a *attempt) bannerReason(line string, err error) string {
	switch {
	case line != "" || err == nil:
		return fmt.Sprintf("banner %s does not match", quote(a.serverText(line)))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("hung: accepted and said nothing for %s", seconds(a.target.Check.Timeout))
	}
	return "closed without a banner"
}

// readBanner returns the first line without its line feed, and the time from the first SYN to its first byte. If an
// error interrupts the line, both are returned.
func readBanner(ctx context.Context, conn *connection) (line string, rtt time.Duration, err error) {
	defer endReads(ctx, conn)()
	r := bufio.NewReaderSize(conn, bannerMax)
	if _, err := r.Peek(1); err != nil {
		return "", 0, err
	}
	rtt = time.Since(conn.began)
	raw, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) {
		err = nil // a line may also end with the connection, or be longer than is read of it
	}
	return strings.TrimRight(string(raw), "\r\n"), rtt, err
}

// endReads makes reads from conn fail once ctx is done. The caller calls the returned function after its last read.
func endReads(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
}
