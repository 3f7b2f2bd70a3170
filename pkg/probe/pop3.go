package probe

import "strings"

// pop3 is the dialogue of RFC 1939 as far as a client that does not log in has it, with CAPA and STLS.
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
		return rejected(line, to, isUnavailable(strings.ToUpper(line)))
	}
	return malformed(line)
}

func (p pop3) greeting(d *dialogue) error { return p.status(d, "the connection") }

// capabilities accepts servers that do not know CAPA: it is an extension, of RFC 2449.
func (p pop3) capabilities(d *dialogue) (startTLS bool, err error) {
	if err := d.send("CAPA"); err != nil {
		return false, err
	}
	line, err := d.line()
	switch {
	case err != nil:
		return false, err
	case isWord(line, "-ERR"):
		return false, nil
	case !isWord(line, "+OK"):
		return false, malformed(line)
	}
	for range replyLinesMax {
		line, err := d.line()
		if err != nil {
			return false, err
		}
		if line == "." {
			return startTLS, nil
		}
		startTLS = startTLS || strings.EqualFold(strings.TrimSpace(line), "STLS")
	}
	return false, &replyError{"malformed answer: a reply of more than 100 lines", false}
}

func (p pop3) startTLS(d *dialogue) error {
	if err := d.send("STLS"); err != nil {
		return err
	}
	return p.status(d, "STLS")
}
