package probe

import (
	"net"
	"strings"
)

// smtp is the dialogue of RFC 5321 as far as a client that sends no mail has it.
type smtp struct{}

func (smtp) quit() string { return "QUIT" }

// expect reads a reply and returns its lines without codes if it has the code.
func (smtp) expect(d *dialogue, wanted, to string) ([]string, error) {
	var lines []string
	code := ""
	for len(lines) < replyLinesMax {
		line, err := d.line()
		if err != nil {
			return nil, err
		}
		if !isSMTPReply(line) || code != "" && line[:3] != code {
			return nil, malformed(line)
		}
		code = line[:3]
		lines = append(lines, line[min(len(line), 4):])
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if code != wanted {
			return nil, rejected(line, to, code[0] == '4')
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

func (p smtp) greeting(d *dialogue) error {
	_, err := p.expect(d, "220", "the connection")
	return err
}

func (p smtp) capabilities(d *dialogue) (startTLS bool, err error) {
	if err := d.send("EHLO " + addressLiteral(d.conn.LocalAddr())); err != nil {
		return false, err
	}
	lines, err := p.expect(d, "250", "EHLO")
	if err != nil {
		return false, err
	}
	for _, line := range lines[1:] { // the first line has the server's name
		startTLS = startTLS || strings.EqualFold(strings.TrimSpace(line), "STARTTLS")
	}
	return startTLS, nil
}

func (p smtp) startTLS(d *dialogue) error {
	if err := d.send("STARTTLS"); err != nil {
		return err
	}
	_, err := p.expect(d, "220", "STARTTLS")
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
