package file

import (
	"github.com/probemesh/probemesh/pkg/catalog"
)

// parseMail parses the keys of a mail server's check.
func parseMail(p *parser, m *mapping, kind string) catalog.Options {
	session := parseMailSession(p, m, kind)
	switch kind {
	case catalog.KindSMTP:
		o := catalog.SMTP{MailSession: session}
		m.valid("mail_from", &o.MailFrom, catalog.ValidMailAddress, "write an address, as in probe@example.net")
		m.valid("rcpt_to", &o.RcptTo, catalog.ValidMailAddress, "write an address, as in postmaster@example.net")
		m.only(m.at["rcpt_to"] != nil, "add rcpt_to", "a check with rcpt_to", "mail_from")
		return o
	case catalog.KindIMAP:
		o := catalog.IMAP{MailSession: session}
		m.valid("mailbox", &o.Mailbox, catalog.ValidMailbox, "write a mailbox's name, as in INBOX")
		m.only(m.at["user"] != nil, "add user and password", "a check with user", "mailbox")
		return o
	}
	return catalog.NewMailOptions(kind, session)
}

// parseMailSession parses the keys that all mail servers have.
func parseMailSession(p *parser, m *mapping, kind string) catalog.MailSession {
	var o catalog.MailSession
	m.boolean("tls", &o.TLS)
	m.boolean("starttls", &o.StartTLS)
	o.Port = catalog.MailPort(kind, o.TLS)
	m.integer("port", &o.Port, 1, 65535)
	parseVerification(m, &o.Verification)
	if o.TLS && o.StartTLS {
		m.reader.mistake(m.values["starttls"], "keep tls for a port that speaks TLS at once, or else starttls",
			"tls and starttls exclude one another")
	}
	for _, key := range verificationKeys {
		if n := m.values[key]; n != nil && !o.TLS && !o.StartTLS {
			m.reader.mistake(n, "add tls: true or starttls: true, or take "+key+" out",
				"a check of %s without TLS has no certificate", kind)
		}
	}
	parseLogin(p, m, &o)
	return o
}

// parseLogin parses the user and the password.
func parseLogin(p *parser, m *mapping, o *catalog.MailSession) {
	parseUser(p, m, &o.User)
	parseSecret(p, m, "password", &o.Password)
	m.boolean("plain_login", &o.PlainLogin)
	if m.at["user"] != nil {
		m.required("password", "a login")
	}
	m.only(m.at["user"] != nil, "add user", "a check with user", "password", "plain_login")
	secured := o.TLS || o.StartTLS
	m.only(!secured || !o.PlainLogin, "take tls or starttls out", "a login without TLS", "plain_login")
	if n := m.at["user"]; n != nil && !secured && !o.PlainLogin && !p.onLoopback {
		m.reader.mistake(n, "add tls: true or starttls: true, or plain_login: true if the network is your own",
			"a login without TLS shows the password to the network")
	}
}
