package probe

import (
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// imap is the dialogue of RFC 9051 as far as a client that reads no message has it.
type imap struct{ options catalog.IMAP }

func (imap) quit() string { return "q LOGOUT" }

func (imap) greeting(d *dialogue) error {
	line, err := d.line()
	if err != nil {
		return err
	}
	switch word, text, _ := strings.Cut(strings.ToUpper(line), " "); {
	case word != "*":
	case isWord(text, "OK"), isWord(text, "PREAUTH"):
		return nil
	case isWord(text, "BYE"):
		return d.rejected(line, "the connection", isUnavailable(text))
	}
	return d.malformed(line)
}

// command sends a command and returns the words of the server's untagged capabilities once the command is done. secret
// is sent when the server asks for more, and shown to nobody.
func (imap) command(d *dialogue, tag, command, secret string) ([]string, error) {
	name, _, _ := strings.Cut(command, " ")
	if err := d.send(tag + " " + command); err != nil {
		return nil, err
	}
	var words []string
	for range replyLinesMax {
		line, err := d.line()
		if err != nil {
			return nil, err
		}
		upper := strings.ToUpper(line)
		if text, ok := strings.CutPrefix(upper, "* CAPABILITY "); ok {
			words = strings.Fields(text)
		}
		if strings.HasPrefix(upper, "* BYE") {
			return nil, d.rejected(line, name, isUnavailable(upper))
		}
		if isWord(line, "+") && secret != "" {
			if err := d.send(secret); err != nil {
				return nil, err
			}
			secret = ""
			continue
		}
		switch text, ok := strings.CutPrefix(upper, strings.ToUpper(tag)+" "); {
		case !ok && !strings.HasPrefix(line, "* "):
			return nil, d.malformed(line)
		case !ok:
		case isWord(text, "OK"):
			return words, nil
		case isWord(text, "NO"), isWord(text, "BAD"):
			return nil, d.rejected(line, name, isUnavailable(text))
		default:
			return nil, d.malformed(line)
		}
	}
	return nil, &replyError{"malformed answer: a reply of more than 100 lines", false}
}

func (p imap) capabilities(d *dialogue) ([]string, error) {
	words, err := p.command(d, "c", "CAPABILITY", "")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(words, "IMAP4REV1") && !slices.Contains(words, "IMAP4REV2") {
		return nil, &replyError{"malformed answer: its capabilities have neither IMAP4rev1 nor IMAP4rev2", false}
	}
	return words, nil
}

func (p imap) startTLS(d *dialogue) error {
	_, err := p.command(d, "s", "STARTTLS", "")
	return err
}

// login uses the SASL method PLAIN, which carries any text, or else the command LOGIN.
func (p imap) login(d *dialogue, user, password string, capabilities []string) error {
	var err error
	switch {
	case slices.Contains(capabilities, "AUTH=PLAIN"):
		_, err = p.command(d, "l", "AUTHENTICATE PLAIN", plainLogin(user, password))
	case slices.Contains(capabilities, "LOGINDISABLED"):
		return errNoMethod
	default:
		_, err = p.command(d, "l", "LOGIN "+quotedString(user)+" "+quotedString(password), "")
	}
	return err
}

// use opens the mailbox without the right to change it.
func (p imap) use(d *dialogue) error {
	if p.options.Mailbox == "" {
		return nil
	}
	_, err := p.command(d, "e", "EXAMINE "+quotedString(p.options.Mailbox), "")
	return err
}

// quotedString is how IMAP writes a text of one line.
func quotedString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// isWord reports whether the text begins with the whole word.
func isWord(text, word string) bool { return text == word || strings.HasPrefix(text, word+" ") }

// isUnavailable reports whether a response code says that a later attempt may succeed: RFC 5530, and RFC 3206 of POP3.
func isUnavailable(upper string) bool {
	for _, code := range []string{"[UNAVAILABLE]", "[INUSE]", "[SYS/TEMP]", "[IN-USE]", "[LOGIN-DELAY]"} {
		if strings.Contains(upper, code) {
			return true
		}
	}
	return false
}
