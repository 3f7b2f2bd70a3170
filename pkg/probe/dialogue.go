package probe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
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
	// discreet says that the check has a password. A server may repeat it, even in a later session: of what it says only
	// codes of the protocol are shown.
	discreet bool
}

func newDialogue(conn net.Conn, discreet bool) *dialogue {
	return &dialogue{conn, bufio.NewReaderSize(conn, lineMax), discreet}
}

// replyError is a reply other than the one that the protocol or the check asks for.
type replyError struct {
	reason    string
	temporary bool // the server asks to come back later
}

func (e *replyError) Error() string { return e.reason }

// rejected is a reply that says no.
func (d *dialogue) rejected(line, to string, temporary bool) error {
	return &replyError{"answered " + d.shown(line) + " to " + to, temporary}
}

// loginRefused is a reply that does not accept the user and the password.
func (d *dialogue) loginRefused(err error) error {
	var reply *replyError
	if !errors.As(err, &reply) || reply.temporary || !strings.HasPrefix(reply.reason, "answered ") {
		return err
	}
	return &replyError{"login refused: " + reply.reason, false}
}

// malformed is a reply that is not of the protocol.
func (d *dialogue) malformed(line string) error {
	return &replyError{"malformed answer: " + d.shown(line), false}
}

// replyCodes are what a reply begins with in the three protocols, as far as its sender cannot choose it freely: SMTP's
// codes (RFC 3463), and the responses of IMAP and POP3 (RFC 5530, RFC 3206). The first word of a line of IMAP is a tag.
var replyCodes = regexp.MustCompile(`^([2-5][0-9][0-9]([ -][245]\.[0-7]\.[0-9]{1,2})?|` +
	`([*a-z] (OK|NO|BAD|BYE)|[+]OK|-ERR)( \[(UNAVAILABLE|AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|` +
	`PRIVACYREQUIRED|CONTACTADMIN|NOPERM|INUSE|CORRUPTION|SERVERBUG|CLIENTBUG|LIMIT|OVERQUOTA|NONEXISTENT|` +
	`SYS/TEMP|SYS/PERM|AUTH|IN-USE|LOGIN-DELAY)\])?)( |$)`)

// shown returns a reply as an operator may see it.
func (d *dialogue) shown(line string) string {
	if !d.discreet {
		return quote(line)
	}
	if code := replyCodes.FindStringSubmatch(line); code != nil {
		return quote(code[1])
	}
	return "(not shown: the check has secrets)"
}

// line returns the next line without its end.
func (d *dialogue) line() (string, error) {
	raw, err := d.lines.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", d.malformed(string(raw))
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
	// capabilities asks what the server can do. It returns one line each, in upper case.
	capabilities(d *dialogue) ([]string, error)
	// startTLS asks the server to begin a TLS handshake.
	startTLS(d *dialogue) error
	// login logs in, by one of the methods that the capabilities list.
	login(d *dialogue, user, password string, capabilities []string) error
	// use asks for what a client needs after the login.
	use(d *dialogue) error
	// quit is the command that ends the session.
	quit() string
}

// mailSession is a session with a mail server, as one attempt of a check.
type mailSession struct {
	*attempt
	options  catalog.MailSession
	protocol mailProtocol
	d        *dialogue
	counted  *countingConn
}

// anyMail runs a session with one of the addresses.
func (a *attempt) anyMail(ctx context.Context, o catalog.MailSession, p mailProtocol) Result {
	return a.anyAddress(ctx, func(ctx context.Context, ip netip.Addr) Result {
		conn, err := a.dial(ctx, ip, o.Port)
		if err != nil {
			return classify(err)
		}
		defer conn.Close()
		return a.withMemory(conn, func() Result {
			// Of the connection below TLS, so that it also ends reads and writes through TLS.
			defer context.AfterFunc(a.exchangeCtx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
			s := mailSession{attempt: a, options: o, protocol: p}
			return s.run(conn, ip)
		})
	})
}

// begin begins a dialogue over the connection.
func (s *mailSession) begin(conn net.Conn) {
	s.counted = &countingConn{Conn: conn}
	s.d = newDialogue(s.counted, s.target.hasSecrets() || s.options.Password != "")
}

// run runs the session over an established connection to the address.
func (s *mailSession) run(conn *connection, ip netip.Addr) Result {
	found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
	if s.options.User != "" && !s.options.TLS && !s.options.StartTLS && !s.options.PlainLogin && !ip.IsLoopback() {
		why := &NotPermittedError{"a login without TLS: set tls, starttls or plain_login"}
		return inconclusive(why.Error())
	}
	s.begin(conn.Conn)
	if s.options.TLS {
		secured, result := s.handshake(conn, s.options.Verification, found)
		if secured == nil {
			return result
		}
		defer secured.Close()
		found = result
		s.begin(secured)
	}
	err := s.protocol.greeting(s.d)
	found.RTT = time.Since(conn.began)
	var offers []string
	if err == nil {
		offers, err = s.protocol.capabilities(s.d)
	}
	if err != nil || !s.options.StartTLS {
		return s.end(found, s.enter(offers, err))
	}
	if err := s.requestTLS(offers); err != nil {
		return s.end(found, err)
	}
	secured, result := s.handshake(conn, s.options.Verification, found)
	if secured == nil {
		return result
	}
	defer secured.Close()
	found.Expiry = result.Expiry
	s.begin(secured)
	offers, err = s.protocol.capabilities(s.d)
	return s.end(found, s.enter(offers, err))
}

// enter logs in and asks for what the check requires, unless there is an error already.
func (s *mailSession) enter(offers []string, err error) error {
	if err == nil && s.options.User != "" {
		err = s.d.loginRefused(s.protocol.login(s.d, s.options.User, s.options.Password, offers))
	}
	if err == nil {
		err = s.protocol.use(s.d)
	}
	return err
}

// requestTLS sends STARTTLS. After the handshake the client must ask for the capabilities again.
func (s *mailSession) requestTLS(offers []string) error {
	if !slices.Contains(offers, "STARTTLS") && !slices.Contains(offers, "STLS") {
		return &replyError{"STARTTLS is not offered", false}
	}
	if err := s.protocol.startTLS(s.d); err != nil {
		return err
	}
	if s.d.lines.Buffered() > 0 {
		// What follows the answer was not encrypted: a client that reads it believes whoever put it there.
		return &replyError{"malformed answer: text after the answer to STARTTLS", false}
	}
	return nil
}

// end ends the session, unless the connection is broken, and returns found, or the failure that err describes.
func (s *mailSession) end(found Result, err error) Result {
	var reply *replyError
	if err != nil && !errors.As(err, &reply) {
		return s.transportFailure(found, s.counted, err)
	}
	if s.d.conn.SetWriteDeadline(time.Now().Add(quitWait)) == nil {
		_ = s.d.send(s.protocol.quit()) // the probe has its answer
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
