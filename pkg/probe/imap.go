package probe

import (
	"slices"
	"strings"
)

// imap is the dialogue of RFC 9051 as far as a client that does not log in has it.
type imap struct{}

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
		return rejected(line, "the connection", isUnavailable(text))
	}
	return malformed(line)
}

// command sends a command and returns the words of the server's untagged capabilities once the command is done.
func (imap) command(d *dialogue, tag, command string) ([]string, error) {
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
			return nil, rejected(line, command, isUnavailable(upper))
		}
		switch text, ok := strings.CutPrefix(upper, strings.ToUpper(tag)+" "); {
		case !ok && !strings.HasPrefix(line, "* "):
			return nil, malformed(line)
		case !ok:
		case isWord(text, "OK"):
			return words, nil
		case isWord(text, "NO"), isWord(text, "BAD"):
			return nil, rejected(line, command, isUnavailable(text))
		default:
			return nil, malformed(line)
		}
	}
	return nil, &replyError{"malformed answer: a reply of more than 100 lines", false}
}

func (p imap) capabilities(d *dialogue) (startTLS bool, err error) {
	words, err := p.command(d, "c", "CAPABILITY")
	if err != nil {
		return false, err
	}
	if !slices.Contains(words, "IMAP4REV1") && !slices.Contains(words, "IMAP4REV2") {
		return false, &replyError{"malformed answer: its capabilities have neither IMAP4rev1 nor IMAP4rev2", false}
	}
	return slices.Contains(words, "STARTTLS"), nil
}

func (p imap) startTLS(d *dialogue) error {
	_, err := p.command(d, "s", "STARTTLS")
	return err
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
