package file_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestDNSChecks(t *testing.T) {
	for text, want := range map[string]catalog.DNS{
		"query: example.net, type: SOA, expect: [ns1.example.net], authoritative: true": {
			Query: "example.net", Type: "SOA", Expect: []string{"ns1.example.net"}, Authoritative: true,
		},
		"query: _dmarc.example.net., type: TXT, expect: v=DMARC1, exact: true, transport: tcp": {
			Query: "_dmarc.example.net.", Type: "TXT", Expect: []string{"v=DMARC1"}, Exact: true, Transport: "tcp",
		},
		"soa: example.net, servers: [192.0.2.53, 198.51.100.53], tolerance: 5m, signature_days: 7": {
			SOA: "example.net", Servers: []string{"192.0.2.53", "198.51.100.53"}, Tolerance: 5 * time.Minute,
			SignatureDays: 7,
		},
		"delegation: example.net, parent: a.gtld-servers.net": {
			Delegation: "example.net", Parent: []string{"a.gtld-servers.net"},
		},
		"query: example.org, rcode: REFUSED, port: 5353": {Query: "example.org", Rcode: "REFUSED", Port: 5353},
	} {
		if want.Port == 0 {
			want.Port = 53
		}
		c, err := parseHost(t, "address: 192.0.2.1, checks: [{kind: dns, "+text+"}]")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Hosts[0].Checks[0]
		if !reflect.DeepEqual(got.Options, want) || !strings.HasPrefix(got.Name, "dns 5") {
			t.Errorf("%s: %s %+v", text, got.Name, got.Options)
		}
	}
}

func TestMistakesInDNSChecks(t *testing.T) {
	for text, want := range map[string]string{
		"port: 53":                                    "a dns check asks nothing; write one of query, soa and delegation",
		"query: a, soa: b, servers: c":                "a dns check has both query and soa",
		"query: a, type: AAA":                         `type is "AAA"; write one of A, AAAA, CAA`,
		"query: a b":                                  `query: "a b" is not a domain name`,
		"query: a, expect: []":                        "expect has 0 items; write 1 to 16 of them",
		"query: a, exact: true":                       "exact is for a check with expect; add expect, or take exact out",
		"query: a, servers: b":                        "servers is for a check with soa",
		"soa: a":                                      "a dns check with soa has no servers; add 'servers: ...'",
		"soa: a, servers: [192.0.2.1, 'x y']":         `servers is "x y"`,
		"soa: a, servers: b, type: A":                 "type is for a check with query",
		"soa: a, servers: b, tolerance: soon":         "tolerance is \"soon\", which is not a duration",
		"delegation: a":                               "a dns check with delegation has no parent",
		"delegation: a, parent: b, signature_days: 3": "signature_days is for a check with query or soa",
		"query: a, rcode: NXDOMAIN, expect: b":        "expect is for answers with the rcode NOERROR",
		"query: a, transport: quic":                   `transport is "quic"; write one of udp, tcp`,
		"query: a, quary: b":                          `did you mean "query"?`,
	} {
		_, err := parseHost(t, "address: 192.0.2.1, checks: [{kind: dns, "+text+"}]")
		if err == nil || !strings.Contains(err.Error(), want) || strings.HasPrefix(err.Error(), ":1:1:") {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func TestSIPChecks(t *testing.T) {
	for text, want := range map[string]catalog.SIP{
		"transport: udp, codes: [200, 401]": {Port: 5060, Transport: "udp", Codes: []int{200, 401}},
		"codes: 404, domain: example.net":   {Port: 5060, Codes: []int{404}, Domain: "example.net"},
		"transport: tls, certificate_days: 14": {
			Port: 5061, Transport: "tls", Verification: catalog.Verification{CertificateDays: 14},
		},
	} {
		c, err := parseHost(t, "address: 192.0.2.1, checks: [{kind: sip, "+text+"}]")
		if err != nil || !reflect.DeepEqual(c.Hosts[0].Checks[0].Options, want) {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
	for text, want := range map[string]string{
		"codes: [200, 99]":               `codes has "99"`,
		"codes: []":                      "codes has 0 items",
		"transport: tpc":                 `transport is "tpc"; did you mean "tcp"?`,
		"ca: /ca.pem":                    "ca is for a check with transport: tls",
		"domain: 192.0.2.1":              "domain is",
		"transport: udp, tls: true":      "has no key",
		"transport: udp, codes: [2, 2x]": `codes has "2"`,
	} {
		_, err := parseHost(t, "address: 192.0.2.1, checks: [{kind: sip, "+text+"}]")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}
