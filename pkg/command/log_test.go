package command

import "testing"

func TestMessagesAreEscapedForTerminals(t *testing.T) {
	for message, want := range map[any]string{
		"agent recovered":     "agent recovered",
		"café «Lusaka»":       "café «Lusaka»",
		"bad name \x1b[2J":    `"bad name \x1b[2J"`,
		"two\nlines":          `"two\nlines"`,
		"turned \u202e round": `"turned \u202e round"`,
		nil:                   "",
	} {
		if got := escapeMessage(message); got != want {
			t.Errorf("%q is written as %s, wanted %s", message, got, want)
		}
	}
}
