package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// Kinds of checks of mail servers.
const (
	KindSMTP = "smtp"
	KindIMAP = "imap"
	KindPOP3 = "pop3"
)

// MailSession is what the checks of mail servers have in common: the server greets, encrypts, lists what it can do, and
// accepts a login.
type MailSession struct {
	Port     int    `json:"port,omitempty"`
	TLS      bool   `json:"tls,omitempty"`      // a TLS handshake comes before the greeting
	StartTLS bool   `json:"starttls,omitempty"` // the server must offer STARTTLS, and a handshake follows it
	User     string `json:"user,omitempty"`     // must be able to log in with the password; empty: no login
	Password string `json:"password,omitempty"`
	// PlainLogin permits a login over a connection without TLS that leaves the machine.
	PlainLogin bool `json:"plain_login,omitempty"`
	Verification
}

// SMTP requires a greeting, an answer to EHLO, and that the server accepts a recipient if one is given. A server that
// answers with a code of 400 to 499 is degraded.
type SMTP struct {
	MailSession
	MailFrom string `json:"mail_from,omitempty"` // the sender; empty: the null sender, as of a bounce
	RcptTo   string `json:"rcpt_to,omitempty"`   // the recipient; no message follows
}

// IMAP requires a greeting, the capability of IMAP4rev1 or IMAP4rev2, and that the mailbox exists if one is given.
type IMAP struct {
	MailSession
	Mailbox string `json:"mailbox,omitempty"`
}

// POP3 requires a greeting and an answer to CAPA, which old servers may refuse.
type POP3 struct{ MailSession }

func (SMTP) kind() string { return KindSMTP }
func (IMAP) kind() string { return KindIMAP }
func (POP3) kind() string { return KindPOP3 }

func (o SMTP) question() Options { o.MailSession = o.MailSession.question(); return o }
func (o IMAP) question() Options { o.MailSession = o.MailSession.question(); return o }
func (o POP3) question() Options { o.MailSession = o.MailSession.question(); return o }

func (o SMTP) withTexts(fn func(key, text string) (string, error)) (_ Options, err error) {
	o.MailSession, err = o.MailSession.withTexts(fn)
	return o, err
}

func (o IMAP) withTexts(fn func(key, text string) (string, error)) (_ Options, err error) {
	o.MailSession, err = o.MailSession.withTexts(fn)
	return o, err
}

func (o POP3) withTexts(fn func(key, text string) (string, error)) (_ Options, err error) {
	o.MailSession, err = o.MailSession.withTexts(fn)
	return o, err
}

func (o MailSession) withTexts(fn func(key, text string) (string, error)) (_ MailSession, err error) {
	var errUser error
	o.User, errUser = fn("user", o.User)
	o.Password, err = fn("password", o.Password)
	return o, errors.Join(errUser, err)
}

func (MailSession) provesHostAlive() bool { return true }

func (o MailSession) question() MailSession {
	o.Verification = o.Verification.question()
	return o
}

func (o MailSession) validate() error {
	switch {
	case o.TLS && o.StartTLS:
		return errors.New("tls and starttls exclude one another")
	case !o.TLS && !o.StartTLS && o.Verification != (Verification{}):
		return errors.New("server_name, certificate_days, ca and client_certificate are for a check with tls: true " +
			"or starttls: true")
	case (o.User == "") != (o.Password == ""):
		return errors.New("user and password belong together")
	case o.PlainLogin && (o.User == "" || o.TLS || o.StartTLS):
		return errors.New("plain_login is for a check with user, and without tls and starttls")
	case strings.ContainsAny(o.User+o.Password, "\r\n\x00"):
		return errors.New("user or password has more than one line")
	}
	return errors.Join(validPort(o.Port), o.Verification.validate())
}

func (o SMTP) validate() error {
	err := o.MailSession.validate()
	if o.MailFrom != "" {
		err = errors.Join(err, ValidMailAddress(o.MailFrom))
		if o.RcptTo == "" {
			err = errors.Join(err, errors.New("mail_from is for a check with rcpt_to"))
		}
	}
	if o.RcptTo != "" {
		err = errors.Join(err, ValidMailAddress(o.RcptTo))
	}
	return err
}

func (o IMAP) validate() error {
	err := o.MailSession.validate()
	if o.Mailbox == "" {
		return err
	}
	if o.User == "" {
		err = errors.Join(err, errors.New("mailbox is for a check with user"))
	}
	return errors.Join(err, ValidMailbox(o.Mailbox))
}

// ValidMailAddress returns an error unless the text can stand between the angle brackets of MAIL FROM and RCPT TO.
func ValidMailAddress(text string) error {
	local, domain, found := strings.Cut(text, "@")
	invalid := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>()[]\\\",;:", r) }
	if !found || local == "" || domain == "" || len(text) > 254 || strings.ContainsFunc(local+domain, invalid) ||
		strings.Contains(domain, "@") {
		return fmt.Errorf("%.100q is not an address as in probe@example.net", text)
	}
	return nil
}

// ValidMailbox returns an error unless the text is a mailbox's name in ASCII, which is how IMAP spells all names.
func ValidMailbox(text string) error {
	invalid := func(r rune) bool { return r < ' ' || r > '~' }
	if len(text) > 254 || strings.ContainsFunc(text, invalid) {
		return fmt.Errorf("%.100q is not a mailbox's name in ASCII", text)
	}
	return nil
}

// MailSessionOf returns what the options have in common with other checks of mail servers; ok is false if they are of
// another kind.
func MailSessionOf(o Options) (session MailSession, ok bool) {
	switch o := o.(type) {
	case SMTP:
		return o.MailSession, true
	case IMAP:
		return o.MailSession, true
	case POP3:
		return o.MailSession, true
	}
	return MailSession{}, false
}

// NewMailOptions returns the options of a kind of mail server, or nil for any other kind.
func NewMailOptions(kind string, session MailSession) Options {
	switch kind {
	case KindSMTP:
		return SMTP{MailSession: session}
	case KindIMAP:
		return IMAP{MailSession: session}
	case KindPOP3:
		return POP3{MailSession: session}
	}
	return nil
}

// MailPort returns the default port of a kind of mail server, or 0 for any other kind.
func MailPort(kind string, withTLS bool) int {
	if withTLS {
		return map[string]int{KindSMTP: 465, KindIMAP: 993, KindPOP3: 995}[kind]
	}
	return map[string]int{KindSMTP: 25, KindIMAP: 143, KindPOP3: 110}[kind]
}

// SharesServer reports whether all vantages together keep to one interval at the check's server: a mail server counts
// the sessions and logins of each client, and of all, and takes frequent ones for an attack.
func (c *Check) SharesServer() bool {
	_, isMail := MailSessionOf(c.Options)
	return isMail
}
