package demo

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The user that the demo's agents log in as. The mail servers are on loopback addresses and hold no mail.
const demoUser, demoPassword = "probe", "demonstration"

// mailName is the name on the certificate of the demo's mail servers.
const mailName = "mail.ninernet.example"

// manners are how a host's servers behave: faults change them while they run.
type manners struct {
	mu      sync.Mutex
	faults  map[string]bool // the kinds of faults that the service has
	valid   tls.Certificate
	expired tls.Certificate
	zone    *zone
}

func (m *manners) has(fault string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.faults[fault]
}

func (m *manners) set(fault string, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[fault] = on
}

// tlsConfig presents the certificate that is valid, or one that ended yesterday.
func (m *manners) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if m.has(faultExpire) {
			return &m.expired, nil
		}
		return &m.valid, nil
	}}
}

// accepts reports whether the user and the password are the demo's, and logins are not refused.
func (m *manners) accepts(user, password string) bool {
	return user == demoUser && password == demoPassword && !m.has(faultRefuse)
}

// mailbox is the session of a client of a mail server that accepts recipients and no message.
type mailbox struct{ manners *manners }

func newSMTP(m *manners) server {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailbox{m}, nil }))
	s.Domain, s.ErrorLog, s.TLSConfig, s.AllowInsecureAuth = mailName, discard, m.tlsConfig(), true
	return s
}

func (mailbox) AuthMechanisms() []string { return []string{sasl.Plain} }

func (b mailbox) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if !b.manners.accepts(user, password) {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (mailbox) Mail(string, *smtp.MailOptions) error { return nil }

func (b mailbox) Rcpt(string, *smtp.RcptOptions) error {
	if b.manners.has(faultGreylist) {
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "greylisted, try again later"}
	}
	return nil
}

func (mailbox) Data(io.Reader) error { return errors.New("this demonstration accepts no mail") }
func (mailbox) Reset()               {}
func (mailbox) Logout() error        { return nil }

// imapSession is a session that may refuse logins.
type imapSession struct {
	imapserver.Session
	manners *manners
}

func (s imapSession) Login(user, password string) error {
	if s.manners.has(faultRefuse) {
		return imapserver.ErrAuthFailed
	}
	return s.Session.Login(user, password)
}

func newIMAP(m *manners) server {
	boxes := imapmemserver.New()
	user := imapmemserver.NewUser(demoUser, demoPassword)
	_ = user.Create("INBOX", nil) // of a new user: it cannot exist
	boxes.AddUser(user)
	return imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return imapSession{boxes.NewSession(), m}, nil, nil
		},
		Logger: discard, InsecureAuth: true, TLSConfig: m.tlsConfig(),
	})
}

// popServer is a POP3 server of an empty mailbox.
type popServer struct {
	manners *manners
	mu      sync.Mutex
	open    map[net.Conn]bool // nil once it is closed
	done    sync.WaitGroup
}

func newPOP3(m *manners) server { return &popServer{manners: m, open: map[net.Conn]bool{}} }

func (s *popServer) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			s.Close()
			s.done.Wait()
			return err
		}
		s.mu.Lock()
		if s.open == nil {
			s.mu.Unlock()
			conn.Close()
			continue
		}
		s.open[conn] = true
		s.done.Go(func() { s.session(conn) })
		s.mu.Unlock()
	}
}

// Close ends all sessions. The caller closes the listener.
func (s *popServer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		conn.Close()
	}
	s.open = nil
	return nil
}

func (s *popServer) session(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(conn, "+OK ready\r\n")
	user := ""
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		answer := "-ERR unknown command"
		switch strings.ToUpper(word) {
		case "CAPA":
			answer = "+OK\r\nUSER\r\nUIDL\r\n."
		case "USER":
			user, answer = rest, "+OK"
		case "PASS":
			if answer = "-ERR [AUTH] wrong user or password"; s.manners.accepts(user, rest) {
				answer = "+OK no messages"
			}
		case "STAT":
			answer = "+OK 0 0"
		case "QUIT":
			fmt.Fprint(conn, "+OK bye\r\n")
			return
		}
		fmt.Fprint(conn, answer+"\r\n")
	}
}
