package catalog_test

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestSpellingAnAddressOtherwiseMovesNoHost(t *testing.T) {
	for _, test := range []struct {
		old, new string
		moved    bool
	}{
		{"Mail.Example.NET.", "mail.example.net", false},
		{"2001:DB8:0::36", "2001:db8::36", false},
		{"192.0.2.1", "192.0.2.2", true},
		{"mail.example.net", "mail.example.org", true},
	} {
		with := func(address string) *catalog.Catalog {
			return &catalog.Catalog{Hosts: []catalog.Host{{
				Name: "NC1", Addresses: []string{address},
				Checks: []catalog.Check{{Kind: "ping", Options: catalog.Ping{}}},
			}}}
		}
		changes := catalog.Compare(with(test.old), with(test.new))
		if moved := len(changes) > 0; moved != test.moved {
			t.Errorf("from %s to %s: %v", test.old, test.new, changes)
		}
	}
}
