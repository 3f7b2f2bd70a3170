package probe

import (
	"encoding/base64"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// smtp is the dialogue of RFC 5321 as far as a client that sends no message has it.
type smtp struct{ options catalog.SMTP }

func (smtp) quit() string { return "QUIT" }

// expect reads a reply and returns its lines without codes if its code begins with the wanted digits.
func (smtp) expect(d *dialogue, wanted, to string) ([]string, error) {
	var lines []string
	code := ""
	for len(lines) < replyLinesMax {
		line, err := d.line()
		if err != nil {
			return nil, err
		}
		if !isSMTPReply(line) || code != "" && line[:3] != code {
			return nil, d.malformed(line)
		}
		code = line[:3]
		lines = append(lines, line[min(len(line), 4):])
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(code, wanted) {
			return nil, d.rejected(line, to, code[0] == '4')
		}
		return lines, nil
	}
	return nil, &replyError{"malformed answer: a reply of more than 100 lines", false}
}

// isSMTPReply reports whether the line is one of a reply: a code of 200 to 599, and a space, a hyphen or nothing.
func isSMTPReply(line string) bool {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return false
	}
	return strings.Trim(line[:3], "0123456789") == ""
}

// command sends a command, and expects a reply whose code begins with the wanted digits.
func (p smtp) command(d *dialogue, command, wanted, name string) ([]string, error) {
	if err := d.send(command); err != nil {
		return nil, err
	}
	return p.expect(d, wanted, name)
}

func (p smtp) greeting(d *dialogue) error {
	_, err := p.expect(d, "220", "the connection")
	return err
}

func (p smtp) capabilities(d *dialogue) ([]string, error) {
	lines, err := p.command(d, "EHLO "+addressLiteral(d.conn.LocalAddr()), "250", "EHLO")
	if err != nil {
		return nil, err
	}
	lines = lines[1:] // the first line has the server's name
	for i, line := range lines {
		lines[i] = strings.ToUpper(strings.TrimSpace(line))
	}
	return lines, nil
}

func (p smtp) startTLS(d *dialogue) error {
	_, err := p.command(d, "STARTTLS", "220", "STARTTLS")
	return err
}

// login uses PLAIN, or else LOGIN, as RFC 4954 has it.
func (p smtp) login(d *dialogue, user, password string, capabilities []string) error {
	methods := authMethods(capabilities)
	switch {
	case slices.Contains(methods, sasl.Plain):
		_, err := p.command(d, "AUTH PLAIN "+plainLogin(user, password), "235", "AUTH")
		return err
	case !slices.Contains(methods, sasl.Login):
		return errNoMethod
	}
	_, err := p.command(d, "AUTH LOGIN", "334", "AUTH")
	for _, step := range []struct{ text, wanted string }{{user, "334"}, {password, "235"}} {
		if err == nil {
			_, err = p.command(d, base64.StdEncoding.EncodeToString([]byte(step.text)), step.wanted, "AUTH")
		}
	}
	return err
}

// errNoMethod reports that the server offers no way to log in that the probe knows.
var errNoMethod = &replyError{"login refused: PLAIN and LOGIN are not offered", false}

// authMethods returns the methods that a line "AUTH PLAIN LOGIN" lists; old servers write "AUTH=PLAIN LOGIN".
func authMethods(capabilities []string) []string {
	for _, line := range capabilities {
		if rest, ok := strings.CutPrefix(line, "AUTH"); ok && strings.IndexAny(rest, " =") == 0 {
			return strings.Fields(rest[1:])
		}
	}
	return nil
}

// plainLogin returns the first and only message of the SASL method PLAIN.
func plainLogin(user, password string) string {
	_, message, _ := sasl.NewPlainClient("", user, password).Start() // which cannot fail
	return base64.StdEncoding.EncodeToString(message)
}

// use names a recipient, and no message follows.
func (p smtp) use(d *dialogue) error {
	if p.options.RcptTo == "" {
		return nil
	}
	if _, err := p.command(d, "MAIL FROM:<"+p.options.MailFrom+">", "250", "MAIL FROM"); err != nil {
		return err
	}
	_, err := p.command(d, "RCPT TO:<"+p.options.RcptTo+">", "25", "RCPT TO") // 250, or 251 if the server will forward
	return err
}

// addressLiteral is how a client without a name of its own introduces itself: RFC 5321, section 4.1.3.
func addressLiteral(local net.Addr) string {
	tcp, ok := local.(*net.TCPAddr)
	switch {
	case !ok:
		return "[127.0.0.1]"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}
