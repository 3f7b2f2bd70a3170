package probe

import (
	"crypto/x509"
	"net"
	"testing"
)

// crypto/tls shares a parsed certificate between connections, and its list of names may have room for more.
func TestNamesOfACertificateAreNotWrittenTo(t *testing.T) {
	names := []string{"a.example", "b.example", ""}
	c := &x509.Certificate{DNSNames: names[:2], IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}
	if got := namesOf(c); got != "a.example, b.example, 192.0.2.1" {
		t.Error(got)
	}
	if names[2] != "" {
		t.Errorf("the certificate's own list was extended by %q", names[2])
	}
}

func TestBoundedTextsKeepTheirQuotationMarks(t *testing.T) {
	for text, want := range map[string]string{`plain`: `plain`, `says "no"`: `says \"no\"`, `"`: `\"`, ``: ``} {
		if got := bounded(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
