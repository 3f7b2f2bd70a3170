package probe

import (
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// pop3 is the dialogue of RFC 1939 as far as a client that reads no message has it, with CAPA, STLS and AUTH.
type pop3 struct{}

func (pop3) quit() string { return "QUIT" }

// status reads the first line of a reply.
func (pop3) status(d *dialogue, to string) error {
	line, err := d.line()
	switch {
	case err != nil:
		return err
	case isWord(line, "+OK"):
		return nil
	case isWord(line, "-ERR"):
		return d.rejected(line, to, isUnavailable(strings.ToUpper(line)))
	}
	return d.malformed(line)
}

func (p pop3) greeting(d *dialogue) error { return p.status(d, "the connection") }

// command sends a command, and expects that the server agrees.
func (p pop3) command(d *dialogue, command, name string) error {
	if err := d.send(command); err != nil {
		return err
	}
	return p.status(d, name)
}

// capabilities accepts servers that do not know CAPA: it is an extension, of RFC 2449.
func (p pop3) capabilities(d *dialogue) ([]string, error) {
	if err := d.send("CAPA"); err != nil {
		return nil, err
	}
	line, err := d.line()
	switch {
	case err != nil:
		return nil, err
	case isWord(line, "-ERR"):
		return nil, nil
	case !isWord(line, "+OK"):
		return nil, d.malformed(line)
	}
	var out []string
	for range replyLinesMax {
		line, err := d.line()
		if err != nil {
			return nil, err
		}
		if line == "." {
			return out, nil
		}
		out = append(out, strings.ToUpper(strings.TrimSpace(line)))
	}
	return nil, &replyError{"malformed answer: a reply of more than 100 lines", false}
}

func (p pop3) startTLS(d *dialogue) error { return p.command(d, "STLS", "STLS") }

// login uses USER and PASS, which every server had before CAPA, unless the server lists only the SASL method PLAIN.
func (p pop3) login(d *dialogue, user, password string, capabilities []string) error {
	if methods := saslMethods(capabilities); len(capabilities) > 0 && !slices.Contains(capabilities, "USER") {
		if !slices.Contains(methods, sasl.Plain) {
			return errNoMethod
		}
		if err := d.send("AUTH PLAIN"); err != nil {
			return err
		}
		line, err := d.line()
		if err != nil {
			return err
		}
		if !isWord(line, "+") {
			return d.rejected(line, "AUTH", isUnavailable(strings.ToUpper(line)))
		}
		return p.command(d, plainLogin(user, password), "AUTH")
	}
	if err := p.command(d, "USER "+user, "USER"); err != nil {
		return err
	}
	return p.command(d, "PASS "+password, "PASS")
}

// saslMethods returns the methods that a line "SASL PLAIN LOGIN" lists.
func saslMethods(capabilities []string) []string {
	for _, line := range capabilities {
		if rest, ok := strings.CutPrefix(line, "SASL "); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// use needs nothing more: the login has opened and locked the mailbox.
func (pop3) use(*dialogue) error { return nil }
