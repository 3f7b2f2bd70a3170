package address_test

import (
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/address"
)

func TestParseHost(t *testing.T) {
	for _, test := range []struct{ text, host, fault string }{
		{"192.0.2.36", "192.0.2.36", ""},
		{"2001:db8::36", "2001:db8::36", ""},
		{"[2001:DB8::36]", "2001:db8::36", ""},
		{"[::1]", "::1", ""},
		{"fe80::1%eth0", "fe80::1%eth0", ""},
		{"[fe80::1%eth0]", "fe80::1%eth0", ""},
		{"mail.example.net", "mail.example.net", ""},
		{"Mail.Example.NET.", "mail.example.net", ""},
		{" mail ", "mail", ""},
		{"_dmarc.example.net", "_dmarc.example.net", ""},
		{"bücher.example", "xn--bcher-kva.example", ""},
		{"BÜCHER.example.", "xn--bcher-kva.example", ""},
		{"почта.рф", "xn--80a1acny.xn--p1ai", ""},
		{"", "", "is empty"},
		{".", "", "is empty"},
		{"192.0.2.300", "", "neither an IPv4 address"},
		{"192.0.2", "", "neither an IPv4 address"},
		{"192.0.2.036", "", "neither an IPv4 address"},
		{"[192.0.2.36]", "", "brackets are for IPv6"},
		{"[::1", "", "no closing one"},
		{"[mail]", "", "not an IPv6 address"},
		{"2001:db8::36::1", "", "not an IPv6 address"},
		{"mail:port", "", "not an IPv6 address"},
		{"mail:25", "", "has a port; write the address alone"},
		{"192.0.2.36:25", "", "has a port; write the address alone"},
		{"[2001:db8::36]:25", "", "has a port; write the address alone"},
		{"192.0.2.0/24", "", "not a host"},
		{"http://mail.example.net/", "", "not a host"},
		{"probe:SECRET@mail.example.net", "", `"...@mail.example.net" is not a host`},
		{"SECRET@mail.example.net", "", `"...@mail.example.net" is not a host`},
		{"-mail.example.net", "", "is not a name"},
		{"mail..example.net", "", "is not a name"},
		{"mail example.net", "", "is not a name"},
		{strings.Repeat("a", 64) + ".example.net", "", "is not a name"},
		{strings.Repeat("a.", 127) + "net", "", "longer than a name"},
		{"a\u202eb.example", "", "not an international name"},
	} {
		h, err := address.ParseHost(test.text)
		switch {
		case test.fault == "" && (err != nil || h.String() != test.host):
			t.Errorf("%q is %q, %v; want %q", test.text, h, err, test.host)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%q is %q, %v; want an error with %q", test.text, h, err, test.fault)
		case err != nil && strings.Contains(err.Error(), "SECRET"):
			t.Errorf("%q: the error repeats a secret: %v", test.text, err)
		}
	}
}

func TestParseHostPort(t *testing.T) {
	for _, test := range []struct {
		text     string
		standard int
		want     string
		fault    string
	}{
		{"mail.example.net:25", 0, "mail.example.net:25", ""},
		{"192.0.2.36:25", 0, "192.0.2.36:25", ""},
		{"[2001:db8::36]:25", 0, "[2001:db8::36]:25", ""},
		{"[fe80::1%eth0]:25", 0, "[fe80::1%eth0]:25", ""},
		{"bücher.example.:443", 0, "xn--bcher-kva.example:443", ""},
		{"mail.example.net", 4222, "mail.example.net:4222", ""},
		{"2001:db8::36", 4222, "[2001:db8::36]:4222", ""},
		{"[2001:db8::36]", 4222, "[2001:db8::36]:4222", ""},
		{"mail.example.net", 0, "", "as in mail.example.net:25"},
		{"2001:db8::36", 0, "", "as in [2001:db8::36]:25"},
		{"mail.example.net:86636", 0, "", "not a port"},
		{"mail.example.net:0", 0, "", "not a port"},
		{"mail.example.net:", 0, "", "not a port"},
		{"mail.example.net:+25", 0, "", "not a port"},
		{"[2001:db8::36]25", 0, "", "no closing one"},
		{":25", 0, "", "is empty"},
	} {
		h, port, err := address.ParseHostPort(test.text, test.standard)
		switch {
		case test.fault == "" && (err != nil || h.WithPort(port) != test.want):
			t.Errorf("%q is %q, %v; want %q", test.text, h.WithPort(port), err, test.want)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%q is %q, %v; want an error with %q", test.text, h.WithPort(port), err, test.fault)
		}
	}
}

// What is printed is read again as the same.
func FuzzParseHostPort(f *testing.F) {
	seeds := []string{
		"mail.example.net:25", "[fe80::1%eth0]:25", "bücher.example", "192.0.2.36", "[::1]", "a@b", "::1",
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, port, err := address.ParseHostPort(text, 4222)
		if err != nil {
			return
		}
		if h.IP.IsValid() == (h.Name != "") || port < 1 || port > 65535 {
			t.Fatalf("%q is %+v port %d", text, h, port)
		}
		again, samePort, err := address.ParseHostPort(h.WithPort(port), 0)
		if err != nil || again != h || samePort != port {
			t.Fatalf("%q is %+v port %d, which is read again as %+v port %d, %v", text, h, port, again, samePort, err)
		}
	})
}

func TestParseURL(t *testing.T) {
	for _, test := range []struct{ text, want, fault string }{
		{"https://www.example.net/", "www.example.net:443", ""},
		{"http://www.example.net", "www.example.net:80", ""},
		{"http://[2001:db8::36]:8080/a?b=c#d", "[2001:db8::36]:8080", ""},
		{"https://bücher.example/", "xn--bcher-kva.example:443", ""},
		{"https://www.example.net.:8443/", "www.example.net:8443", ""},
		{"http://127.0.0.1:86636/", "", "not a port"},
		{"http://127.0.0.1:0/", "", "not a port"},
		{"http://127.0.0.1:-1/SECRET", "", "invalid port"},
		{"http://probe:SECRET@www.example.net/", "", "user or password"},
		{"http://probe:SECRET@www.example.net:99999/", "", "user or password"},
		{"http://probe:SEC%RET@www.example.net/", "", "percent sign"},
		{"https://www.example.net/?key=SEC%RET", "www.example.net:443", ""},
		{"https://www.example.net/%SECRET", "", "percent sign"},
		{"https://www example.net/SECRET", "", "character in its host"},
		{"www.example.net", "", "without http://"},
		{"ftp://www.example.net/SECRET", "", `scheme is "ftp"`},
		{"https:///SECRET", "", "without a host"},
		{"https:SECRET", "", "without a host"},
		{"https://192.0.2.300/SECRET", "", "neither an IPv4 address"},
		{"", "", "without http://"},
		{"https://www.example.net/\x00SECRET", "", "control character"},
	} {
		_, h, port, err := address.ParseURL(test.text)
		switch {
		case test.fault == "" && (err != nil || h.WithPort(port) != test.want):
			t.Errorf("%q leads to %q, %v; want %q", test.text, h.WithPort(port), err, test.want)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%q: %v; want an error with %q", test.text, err, test.fault)
		case err != nil && strings.Contains(err.Error(), "SEC"):
			t.Errorf("%q: the error repeats a secret: %v", test.text, err)
		}
	}
}
