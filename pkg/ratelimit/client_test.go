package ratelimit_test

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

func TestAClientIsAnIPv4AddressOrAnIPv6Slash64(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:4222": "192.0.2.7/32", "192.0.2.7": "192.0.2.7/32", "[::ffff:192.0.2.7]:80": "192.0.2.7/32",
		"[2001:db8:1:2::1]:80": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::9": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := ratelimit.Client(address).String(); got != want {
			t.Errorf("Client(%q) = %s, want %s", address, got, want)
		}
	}
}
