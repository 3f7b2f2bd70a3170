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

// bannerMax bounds in bytes what is read of a banner's first line.
const bannerMax = 1024

// tcp connects, and reads the banner's first line where the check wants one.
func (a *attempt) tcp(ctx context.Context, ip netip.Addr, o catalog.TCP) Result {
	conn, err := a.dial(ctx, ip, o.Port)
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	found := Result{Outcome: mesh.Reachable, RTT: conn.connect, Connect: conn.connect}
	if o.Banner == "" {
		return found
	}
	wanted, err := regexp.Compile(o.Banner)
	if err != nil {
		return inconclusive("the banner's pattern: " + err.Error())
	}
	line, rtt, err := readBanner(a.talk, conn)
	found.RTT = rtt
	switch {
	case wanted.MatchString(line) && (line != "" || err == nil):
		takeLeave(conn, line)
		return found
	case a.talk.Err() == context.Canceled:
		return inconclusive("cancelled")
	}
	return found.bad(bannerReason(line, err, a.target.Check.Timeout))
}

// quitWait bounds the sending of a farewell, which is six bytes into an empty buffer.
const quitWait = 100 * time.Millisecond

// takeLeave says QUIT to a mail server, which would otherwise log a lost connection. A greeting of more lines ("220-") is not over:
// postscreen listens then for clients that speak too early, so nothing is said. Nobody waits for the answer.
func takeLeave(conn net.Conn, greeting string) {
	if greeting != "220" && !strings.HasPrefix(greeting, "220 ") {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(quitWait)) == nil {
		_, _ = io.WriteString(conn, "QUIT\r\n") // the probe has its answer
	}
}

// bannerReason says what is wrong with a first line, where err is how it ended before its line feed.
func bannerReason(line string, err error, timeout time.Duration) string {
	switch {
	case line != "" || err == nil:
		return fmt.Sprintf("banner %s does not match", quote(line))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("hung: accepted and said nothing for %s", seconds(timeout))
	}
	return "closed without a banner"
}

// readBanner reads the first line, without its end, and the time from the first SYN to its first byte. A line that is cut
// short is returned together with what cut it.
func readBanner(ctx context.Context, conn *connection) (line string, rtt time.Duration, err error) {
	defer endReads(ctx, conn)()
	r := bufio.NewReaderSize(conn, bannerMax)
	if _, err := r.Peek(1); err != nil {
		return "", 0, err
	}
	rtt = time.Since(conn.began)
	raw, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) {
		err = nil // a first line is whole at its end, or where we stop reading
	}
	return strings.TrimRight(string(raw), "\r\n"), rtt, err
}

// endReads makes reads fail when ctx is done, until the returned function is called.
func endReads(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
}
