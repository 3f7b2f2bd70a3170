package probe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// lineMax bounds one line of a server in bytes. SMTP allows 512, and capabilities of IMAP are longer.
	lineMax = 2048
	// replyLinesMax bounds the lines of one reply. Servers list some twenty capabilities.
	replyLinesMax = 100
)

// dialogue is a conversation in lines with a mail server. Its errors are those of the connection, or a *replyError.
// Reading costs bounded memory whatever the server sends.
type dialogue struct {
	conn  net.Conn
	lines *bufio.Reader
}

func newDialogue(conn net.Conn) *dialogue {
	return &dialogue{conn, bufio.NewReaderSize(conn, lineMax)}
}

// replyError is a reply other than the one that the protocol or the check asks for.
type replyError struct {
	reason    string
	temporary bool // the server asks to come back later
}

func (e *replyError) Error() string { return e.reason }

// rejected is a reply that says no.
func rejected(line, to string, temporary bool) error {
	return &replyError{"answered " + quote(line) + " to " + to, temporary}
}

// malformed is a reply that is not of the protocol.
func malformed(line string) error { return &replyError{"malformed answer: " + quote(line), false} }

// line returns the next line without its end.
func (d *dialogue) line() (string, error) {
	raw, err := d.lines.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", malformed(string(raw))
	case errors.Is(err, io.EOF) && len(raw) > 0:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

func (d *dialogue) send(command string) error {
	_, err := io.WriteString(d.conn, command+"\r\n")
	return err
}

// mailProtocol is one of SMTP, IMAP and POP3. The methods return the errors of a dialogue.
type mailProtocol interface {
	// greeting reads the server's greeting.
	greeting(d *dialogue) error
	// capabilities asks what the server can do, and reports whether it offers STARTTLS.
	capabilities(d *dialogue) (startTLS bool, err error)
	// startTLS asks the server to begin a TLS handshake.
	startTLS(d *dialogue) error
	// quit is the command that ends the session.
	quit() string
}

// mailSession is a session with a mail server, as one attempt of a check holds it.
type mailSession struct {
	*attempt
	options  catalog.MailSession
	protocol mailProtocol
}

// anyMail holds a session with one of the addresses.
func (a *attempt) anyMail(ctx context.Context, o catalog.MailSession, p mailProtocol) Result {
	s := mailSession{a, o, p}
	return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result {
		conn, err := a.dial(ctx, ip, o.Port)
		if err != nil {
			return classify(err)
		}
		defer conn.Close()
		return a.withMemory(conn, func() Result {
			// Of the connection below TLS, so that it also ends reads and writes through TLS.
			defer context.AfterFunc(a.exchangeCtx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
			return s.hold(conn)
		})
	})
}

// hold holds the session over an established connection.
func (s mailSession) hold(conn *connection) Result {
	found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
	if s.options.TLS {
		secured, result := s.handshake(conn, s.options.Verification, found)
		if secured == nil {
			return result
		}
		defer secured.Close()
		found, conn = result, &connection{Conn: secured, began: conn.began, connect: conn.connect}
	}
	counted := &countingConn{Conn: conn.Conn}
	d := newDialogue(counted)
	err := s.protocol.greeting(d)
	found.RTT = time.Since(conn.began)
	offered := false
	if err == nil {
		offered, err = s.protocol.capabilities(d)
	}
	if err != nil || !s.options.StartTLS {
		return s.end(d, found, counted, err)
	}
	if err := s.requestTLS(d, offered); err != nil {
		return s.end(d, found, counted, err)
	}
	secured, result := s.handshake(conn, s.options.Verification, found)
	if secured == nil {
		return result
	}
	defer secured.Close()
	found.Expiry = result.Expiry
	counted = &countingConn{Conn: secured}
	d = newDialogue(counted)
	_, err = s.protocol.capabilities(d)
	return s.end(d, found, counted, err)
}

// requestTLS sends STARTTLS. After the handshake the client must ask for the capabilities again.
func (s mailSession) requestTLS(d *dialogue, offered bool) error {
	if !offered {
		return &replyError{"STARTTLS is not offered", false}
	}
	if err := s.protocol.startTLS(d); err != nil {
		return err
	}
	if d.lines.Buffered() > 0 {
		// What follows the answer was not encrypted: a client that reads it believes whoever put it there.
		return &replyError{"malformed answer: text after the answer to STARTTLS", false}
	}
	return nil
}

// end takes leave of the server, unless the connection is broken, and returns what err makes of found.
func (s mailSession) end(d *dialogue, found Result, counted *countingConn, err error) Result {
	var reply *replyError
	if err != nil && !errors.As(err, &reply) {
		return s.transportFailure(found, counted, err)
	}
	if d.conn.SetWriteDeadline(time.Now().Add(quitWait)) == nil {
		_ = d.send(s.protocol.quit()) // the probe has its answer
	}
	switch {
	case reply == nil:
		return found
	case reply.temporary:
		found.Outcome, found.Reason = mesh.Slow, mesh.ReasonTemporary+reply.reason
		return found
	}
	return found.fail(reply.reason)
}
