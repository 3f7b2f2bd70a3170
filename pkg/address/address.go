// Package address parses hosts and ports as people type them: in a catalog, in an allow-list, after a flag. ParseHost
// reads a host alone, and ParseHostPort one with a port. Both accept what tools of the field accept (brackets around
// IPv6, international names, a dot at a name's end, capital letters) and return one spelling of it, so that equal
// hosts compare equal.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Host is an IP address or a name, exactly one of them. The zero Host is neither.
type Host struct {
	IP   netip.Addr // may have a zone, which means something on one machine alone
	Name string     // ASCII, lower case, without a dot at its end
}

// String is the host as ParseHost reads it: no brackets.
func (h Host) String() string {
	if h.IP.IsValid() {
		return h.IP.String()
	}
	return h.Name
}

// WithPort is the host and the port as net.Dial reads them.
func (h Host) WithPort(port int) string { return net.JoinHostPort(h.String(), strconv.Itoa(port)) }

// The bounds of a DNS name (RFC 1035) as text without the dot at its end.
const nameMax = 253

// label is a part of a name. Underscores are no part of host names, but of names that servers have all the same.
var label = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// zone is the name or number of a network interface.
var zone = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// digits is what a port may be.
var digits = regexp.MustCompile(`^[0-9]{1,5}$`)

// ParseHost reads an IP address, with or without brackets if it is IPv6, or a name. An error says what is wrong and
// what to write.
func ParseHost(text string) (Host, error) {
	text = strings.TrimSpace(text)
	if host, port, err := net.SplitHostPort(text); err == nil && host != "" && digits.MatchString(port) {
		return Host{}, fmt.Errorf("%q has a port; write the address alone, without :%s", shorten(text), port)
	}
	inner, bracketed := strings.CutPrefix(text, "[")
	if bracketed {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			return Host{}, fmt.Errorf("%q has an opening bracket and no closing one at its end", shorten(text))
		}
	}
	ip, err := netip.ParseAddr(inner)
	switch {
	case err == nil && bracketed && ip.Is4():
		return Host{}, fmt.Errorf("%q: brackets are for IPv6 addresses; write %s", shorten(text), ip)
	case err == nil && !zone.MatchString(ip.Zone()):
		return Host{}, fmt.Errorf("%q has a zone that names no network interface", shorten(text))
	case err == nil:
		return Host{IP: ip}, nil
	case strings.ContainsAny(text, "/@"):
		return Host{}, fmt.Errorf(
			"%q is not a host; write an IP address or a name alone, as in mail.example.net",
			shorten(text),
		)
	case bracketed || strings.Contains(text, ":"):
		return Host{}, fmt.Errorf("%q is not an IPv6 address, which looks like 2001:db8::36", shorten(text))
	}
	return parseName(text)
}

// parseName reads a name. What looks like a mistyped IPv4 address is an error, so that it is never looked up.
func parseName(text string) (Host, error) {
	name := strings.TrimSuffix(text, ".")
	if name == "" {
		return Host{}, errors.New("the address is empty; write an IP address or a name, as in mail.example.net")
	}
	ascii := strings.ToLower(name)
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(name); err != nil {
			return Host{}, fmt.Errorf("%q is not an international name: %w", shorten(text), err)
		}
	}
	labels := strings.Split(ascii, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return Host{}, fmt.Errorf(
				"%q is not a name: its parts are letters, digits and hyphens, at most 63 each",
				shorten(text),
			)
		}
	}
	if _, err := strconv.Atoi(labels[len(labels)-1]); err == nil {
		return Host{}, fmt.Errorf("%q is neither an IPv4 address, which looks like 192.0.2.36, nor a name", shorten(text))
	}
	if len(ascii) > nameMax {
		return Host{}, fmt.Errorf("%q is longer than a name may be, which is %d letters", shorten(text), nameMax)
	}
	return Host{Name: ascii}, nil
}

// shorten bounds what an error repeats, and leaves out what stands before an @, which may be a password.
func shorten(text string) string {
	const most = 80
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = "..." + text[i:]
	}
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}

// ParseHostPort reads a host and a port, as in mail.example.net:25, 192.0.2.36:25 or [2001:db8::36]:25. Where the text
// has no port, it is the standard one; a standard port of 0 means that the text must have one.
func ParseHostPort(text string, standard int) (Host, int, error) {
	text = strings.TrimSpace(text)
	host, port, has := CutPort(text)
	if !has {
		h, err := ParseHost(text)
		switch {
		case err != nil:
			return Host{}, 0, err
		case standard == 0 && h.IP.Is6():
			return Host{}, 0, fmt.Errorf("%q has no port; write it as in [%s]:25", shorten(text), h.IP)
		case standard == 0:
			return Host{}, 0, fmt.Errorf("%q has no port; write it as in %s:25", shorten(text), h)
		}
		return h, standard, nil
	}
	h, err := ParseHost(host)
	if err != nil {
		return Host{}, 0, err
	}
	n, err := ParsePort(port)
	return h, n, err
}

// CutPort takes the port off the end of the text: what follows a closing bracket, or the only colon.
func CutPort(text string) (host, port string, has bool) {
	if i := strings.LastIndexByte(text, ']'); i >= 0 {
		port, has = strings.CutPrefix(text[i+1:], ":")
		if !has {
			return text, "", false
		}
		return text[:i+1], port, true
	}
	if strings.Count(text, ":") != 1 {
		return text, "", false
	}
	return strings.Cut(text, ":")
}

// ParsePort reads a port of TCP or UDP: a number from 1 to 65535, in decimal digits alone.
func ParsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] < '0' || text[0] > '9' {
		return 0, fmt.Errorf("%q is not a port, which is a number from 1 to 65535", shorten(text))
	}
	return int(n), nil
}
