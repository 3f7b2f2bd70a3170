package web

import "testing"

func TestQuotesFindsNamesInExcerpts(t *testing.T) {
	for excerpt, want := range map[string]bool{
		"then the admin VPN stopped": true,
		"… and at 12:03 the Admin":   true, // the rest was cut off
		"n VPN stopped …":            true,
		"Sending mail stopped":       false,
		"an administrator says":      false,
	} {
		if got := quotes(excerpt, "Admin VPN"); got != want {
			t.Errorf("%q: %v", excerpt, got)
		}
	}
}
