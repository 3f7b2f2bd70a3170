package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
)

// parseDNS parses the keys of a check of a name server.
func parseDNS(m *mapping) catalog.DNS {
	o := catalog.DNS{Port: catalog.DNSPort}
	m.integer("port", &o.Port, 1, 65535)
	m.choice("transport", &o.Transport, []string{catalog.TransportUDP, catalog.TransportTCP})
	m.domain("query", &o.Query)
	m.domain("soa", &o.SOA)
	m.domain("delegation", &o.Delegation)
	parseLookup(m, &o)
	m.texts("servers", &o.Servers, catalog.ListMax, validServer, "write names or addresses, as in 192.0.2.53")
	m.duration("tolerance", &o.Tolerance, 1, catalog.DNSToleranceMax)
	m.texts("parent", &o.Parent, catalog.ListMax, validServer, "write servers of the zone above, as in a.gtld-servers.net")
	m.integer("signature_days", &o.SignatureDays, 1, catalog.CertificateDaysMax)

	const modes = "write one of query, soa and delegation"
	given := slices.DeleteFunc([]string{"query", "soa", "delegation"}, func(key string) bool { return m.at[key] == nil })
	switch {
	case len(given) == 0:
		m.reader.mistake(m.node, modes, "a dns check asks nothing")
	case len(given) > 1:
		m.reader.mistake(m.at[given[1]], modes, "a dns check has both %s and %s", given[0], given[1])
	}
	m.only(m.at["query"] != nil, "add query", "a check with query", "type", "expect", "exact", "authoritative", "rcode")
	m.only(m.at["soa"] != nil, "add soa", "a check with soa", "servers", "tolerance")
	m.only(m.at["delegation"] != nil, "add delegation", "a check with delegation", "parent")
	m.only(m.at["delegation"] == nil, "write query or soa", "a check with query or soa", "signature_days")
	if m.at["soa"] != nil {
		m.required("servers", "a dns check with soa")
	}
	if m.at["delegation"] != nil {
		m.required("parent", "a dns check with delegation")
	}
	return o
}

// parseLookup parses the keys that go with query.
func parseLookup(m *mapping, o *catalog.DNS) {
	m.choice("type", &o.Type, catalog.DNSTypes())
	m.choice("rcode", &o.Rcode, catalog.DNSRcodes())
	m.boolean("exact", &o.Exact)
	m.boolean("authoritative", &o.Authoritative)
	m.texts("expect", &o.Expect, catalog.ListMax, func(text string) error {
		switch {
		case strings.TrimSpace(text) == "":
			return errors.New("it is empty")
		case len(text) > catalog.ExpectMax:
			return fmt.Errorf("it is longer than %d bytes", catalog.ExpectMax)
		}
		return nil
	}, "write the record's value, as in 192.0.2.1")
	m.only(!o.Exact || m.at["expect"] != nil, "add expect", "a check with expect", "exact")
	m.only(o.ExpectedRcode() == "NOERROR", "write the rcode NOERROR", "answers with the rcode NOERROR", "expect")
}

// domain parses a domain name.
func (m *mapping) domain(key string, target *string) {
	var name string
	if !m.text(key, &name) {
		return
	}
	if err := catalog.ValidDomain(name); err != nil {
		m.reader.mistake(m.values[key], "write a name as DNS has it, as in example.net or _dmarc.example.net", "%s: %s",
			key, err)
		return
	}
	*target = name
}

// validServer returns an error unless the text is a host with or without a port.
func validServer(text string) error {
	_, _, err := address.ParseHostPort(text, catalog.DNSPort)
	return err
}
