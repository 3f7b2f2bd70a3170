package file

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// The following methods parse one key. They do not change the target if the key is missing or its value is a mistake,
// so that the target may contain the default.

func (m *mapping) text(key string, target *string) bool {
	n := m.get(key)
	if n == nil {
		return false
	}
	s, ok := m.reader.text(n, key)
	if ok {
		*target = s
	}
	return ok
}

// line parses a text that pages show in one line.
func (m *mapping) line(key string, target *string) bool {
	ok := m.text(key, target)
	if ok {
		m.reader.visible(m.values[key], key, *target)
	}
	return ok
}

// visible reports a character of a name that readers do not see. It makes two names look alike, or changes the order in
// which the letters after it are read.
func (r *reader) visible(at ast.Node, what, name string) {
	for _, letter := range name {
		if invisible(letter) {
			r.mistake(at, "take it out", "%s has the character %U, which readers do not see", what, letter)
			return
		}
	}
}

// invisible reports whether a character is a control character, the end of a line, one that changes the direction of
// others, or a space without width. Joiners are none of these: letters of some scripts, and emoji, need them.
func invisible(letter rune) bool {
	return unicode.IsControl(letter) || unicode.In(letter, unicode.Bidi_Control, unicode.Zl, unicode.Zp) ||
		strings.ContainsRune("\u200b\u2060\ufeff\ufffd", letter)
}

func (m *mapping) boolean(key string, target *bool) {
	var s string
	if !m.text(key, &s) {
		return
	}
	switch s {
	case "true", "false":
		*target = s == "true"
	default:
		m.reader.mistake(m.values[key], "write true or false", "%s is %q", key, s)
	}
}

func (m *mapping) integer(key string, target *int, least, most int) {
	var s string
	if !m.text(key, &s) {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		mend := fmt.Sprintf("write a whole number from %d to %d", least, most)
		m.reader.mistake(m.values[key], mend, "%s is %q", key, s)
		return
	}
	*target = n
}

func (m *mapping) number(key string, target *float64, least, most float64) {
	var s string
	if !m.text(key, &s) {
		return
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= least && n <= most) {
		m.reader.mistake(m.values[key], fmt.Sprintf("write a number from %v to %v", least, most), "%s is %q", key, s)
		return
	}
	*target = n
}

// texts parses a list of texts, or one text, and checks each of them.
func (m *mapping) texts(key string, target *[]string, most int, valid func(text string) error, mend string) {
	n := m.get(key)
	if n == nil {
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	if len(items) == 0 || len(items) > most {
		m.reader.mistake(n, fmt.Sprintf("write 1 to %d of them", most), "%s has %d items", key, len(items))
		return
	}
	var out []string
	for _, item := range items {
		text, ok := m.reader.text(item, key)
		if !ok {
			return
		}
		if err := valid(text); err != nil {
			m.reader.mistake(item, mend, "%s is %.100q: %s", key, text, err)
			return
		}
		out = append(out, text)
	}
	*target = out
}

// valid parses a text that a function accepts.
func (m *mapping) valid(key string, target *string, valid func(text string) error, mend string) {
	var s string
	if !m.text(key, &s) {
		return
	}
	if err := valid(s); err != nil || s == "" {
		m.reader.mistake(m.values[key], mend, "%s is %.100q", key, s)
		return
	}
	*target = s
}

// choice parses a text that is one of several.
func (m *mapping) choice(key string, target *string, choices []string) {
	var s string
	if !m.text(key, &s) {
		return
	}
	if !slices.Contains(choices, s) {
		mend := "write one of " + strings.Join(choices, ", ")
		if like := nearest(s, choices); like != "" {
			mend = fmt.Sprintf("did you mean %q?", like)
		}
		m.reader.mistake(m.values[key], mend, "%s is %.100q", key, s)
		return
	}
	*target = s
}

// only reports keys that are there although what they belong to is not.
func (m *mapping) only(applies bool, mend, what string, keys ...string) {
	for _, key := range keys {
		if n := m.at[key]; n != nil && !applies {
			m.reader.mistake(n, mend+", or take "+key+" out", "%s is for %s", key, what)
		}
	}
}

func (m *mapping) duration(key string, target *time.Duration, least, most time.Duration) {
	var s string
	if !m.text(key, &s) {
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		m.reader.mistake(m.values[key], "write a number and a unit, as in 10s or 500ms",
			"%s is %q, which is not a duration", key, s)
	case d < least || d > most:
		wrong := "long"
		if d < least {
			wrong = "short"
		}
		m.reader.mistake(m.values[key], fmt.Sprintf("write %s to %s", plainDuration(least), plainDuration(most)),
			"%s: %s is too %s", key, plainDuration(d), wrong)
	default:
		*target = d
	}
}

// plainDuration is a duration as people write it: "168h", not "168h0m0s".
func plainDuration(d time.Duration) string {
	text := d.String()
	if d%time.Minute == 0 && d != 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 && d != 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

type word struct {
	node ast.Node
	text string
}

// words parses a key that is a word or a list of words.
func (m *mapping) words(key string) (out []word) {
	n := m.get(key)
	if n == nil {
		return nil
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		if text, ok := m.reader.text(item, key); ok {
			out = append(out, word{item, text})
		}
	}
	return out
}
