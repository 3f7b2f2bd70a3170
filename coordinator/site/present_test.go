package site

import "testing"

// The sentence of a new check is read without "Now: Pending:".
func TestThePresentInPlainWords(t *testing.T) {
	for sentence, want := range map[string]string{
		"Pending: new, and reachable from 0 of 7 regions so far.": "New, and reachable from 0 of 7 regions so far.",
		"Up: reachable from 7 of 7 regions.":                      "Now reachable from 7 of 7 regions.",
	} {
		if got := present("Up", sentence); got != want {
			t.Errorf("%q", got)
		}
	}
}
