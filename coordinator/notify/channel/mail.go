package channel

import (
	"context"
	"errors"
	"fmt"
	"html"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// email sends the message in one e-mail to all addresses.
func (s Sender) email(ctx context.Context, server catalog.MailServer, to []string, m Message) error {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(server.From), msg.To(to...)); err != nil {
		return fmt.Errorf("make the e-mail: %w", err)
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID + "@" + s.Domain)
	if m.Thread != m.ID {
		thread := "<" + m.Thread + "@" + s.Domain + ">"
		msg.SetGenHeader(mail.HeaderInReplyTo, thread)
		msg.SetGenHeader(mail.HeaderReferences, thread)
	}
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, m.Body)
	msg.AddAlternativeString(mail.TypeTextHTML, htmlBody(m))
	client, err := s.mailClient(server)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, msg)
}

// mailClient returns a client of the server in the catalog.
func (s Sender) mailClient(server catalog.MailServer) (*mail.Client, error) {
	address, err := s.Resolve(server.Server)
	if err != nil {
		return nil, err
	}
	u, port, err := mailAddress(address.Reveal())
	if err != nil {
		return nil, err
	}
	options := []mail.Option{mail.WithTimeout(Timeout), mail.WithHELO(s.Domain)}
	switch u.Scheme {
	case "smtps":
		options = append(options, mail.WithSSL())
	case "smtp+starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	user, password := u.User.Username(), ""
	password, _ = u.User.Password()
	if server.User.Given() {
		text, err := s.Resolve(server.User)
		if err != nil {
			return nil, err
		}
		user = text.Reveal()
	}
	if server.Password.Given() {
		text, err := s.Resolve(server.Password)
		if err != nil {
			return nil, err
		}
		password = text.Reveal()
	}
	if user != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(user),
			mail.WithPassword(password))
	}
	return mail.NewClient(u.Hostname(), append(options, mail.WithPort(port))...)
}

// htmlBody is the message for mail clients that prefer HTML: lines, and links that can be followed.
func htmlBody(m Message) string {
	var out strings.Builder
	out.WriteString("<!doctype html><html lang=en><meta charset=utf-8>" +
		"<meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">" +
		"<body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:1em;overflow-wrap:anywhere\">")
	fmt.Fprintf(&out, "<h1 style=\"font-size:1.15em\">%s</h1>", html.EscapeString(m.Subject))
	for line := range strings.Lines(strings.TrimSpace(m.Body)) {
		label, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		if found && (strings.HasPrefix(value, "https://") || strings.HasPrefix(value, "http://")) {
			link := html.EscapeString(value)
			// The label leads there: a token of a hundred characters says nothing to people. The text part has it.
			fmt.Fprintf(&out, "<p><a href=\"%s\">%s</a></p>", link, html.EscapeString(label))
			continue
		}
		fmt.Fprintf(&out, "<p>%s</p>", html.EscapeString(strings.TrimSpace(line)))
	}
	return out.String()
}
