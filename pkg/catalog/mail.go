package catalog

import "errors"

// Kinds of checks of mail servers.
const (
	KindSMTP = "smtp"
	KindIMAP = "imap"
	KindPOP3 = "pop3"
)

// MailSession is what the checks of mail servers have in common: the server greets, encrypts and lists what it can do.
type MailSession struct {
	Port     int  `json:"port,omitempty"`
	TLS      bool `json:"tls,omitempty"`      // a TLS handshake comes before the greeting
	StartTLS bool `json:"starttls,omitempty"` // the server must offer STARTTLS, and a handshake follows it
	Verification
}

// SMTP requires a greeting and an answer to EHLO. A server that answers with a code of 400 to 499 is degraded.
type SMTP struct{ MailSession }

// IMAP requires a greeting and the capability of IMAP4rev1 or IMAP4rev2.
type IMAP struct{ MailSession }

// POP3 requires a greeting and an answer to CAPA, which old servers may refuse.
type POP3 struct{ MailSession }

func (SMTP) kind() string { return KindSMTP }
func (IMAP) kind() string { return KindIMAP }
func (POP3) kind() string { return KindPOP3 }

func (o SMTP) question() Options { return SMTP{o.MailSession.question()} }
func (o IMAP) question() Options { return IMAP{o.MailSession.question()} }
func (o POP3) question() Options { return POP3{o.MailSession.question()} }

func (o SMTP) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }
func (o IMAP) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }
func (o POP3) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }

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
		return errors.New("server_name, certificate_days and ca are for a check with tls: true or starttls: true")
	}
	return errors.Join(validPort(o.Port), o.Verification.validate())
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
		return SMTP{session}
	case KindIMAP:
		return IMAP{session}
	case KindPOP3:
		return POP3{session}
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
