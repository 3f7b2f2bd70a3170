package address

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ParseURL reads an http or https URL, and returns the host and the port that it leads to. An error repeats nothing of
// the URL but its scheme and host, since what else is in it may be a secret.
func ParseURL(text string) (u *url.URL, host Host, port int, err error) {
	const example = "write it whole, as in https://www.example.net/"
	fail := func(format string, args ...any) (*url.URL, Host, int, error) {
		return nil, Host{}, 0, fmt.Errorf(format, args...)
	}
	u, err = url.Parse(strings.TrimSpace(text))
	if err != nil {
		var parts *url.Error
		if errors.As(err, &parts) {
			err = parts.Err // the *url.Error repeats the whole text
		}
		return fail("not a web address: %s; %s", clean(err), example)
	}
	switch {
	case u.Scheme == "":
		return fail("a web address without http:// or https:// in front; %s", example)
	case u.Scheme != "http" && u.Scheme != "https":
		return fail("not a web address: its scheme is %q; %s", shorten(u.Scheme), example)
	case u.User != nil:
		return fail("a user or password stands in the URL, where logs and pages would show it; take it out")
	case u.Opaque != "" || u.Hostname() == "":
		return fail("a web address without a host; %s", example)
	}
	name := u.Hostname()
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if host, err = ParseHost(name); err != nil {
		return fail("the host of the URL: %w", err)
	}
	port = 80
	if u.Scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		if port, err = ParsePort(text); err != nil {
			return fail("the port of the URL: %w", err)
		}
	}
	return u, host, port, nil
}

// clean is why net/url refuses a text, without the part of the text that some of its errors repeat.
func clean(err error) string {
	var escape url.EscapeError
	var invalidHost url.InvalidHostError
	switch {
	case errors.As(err, &escape):
		return "a percent sign that begins no escape, which is written %25"
	case errors.As(err, &invalidHost):
		return "a character in its host that no host has"
	}
	why, _, _ := strings.Cut(err.Error(), "\"")
	return strings.TrimSpace(why)
}
