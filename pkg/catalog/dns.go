package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/address"
)

const (
	// KindDNS is the kind of DNS.
	KindDNS = "dns"
	// DNSPort is where a check of the kind DNS sends its query by default.
	DNSPort = 53
	// DNSTolerance is the tolerance of checks that compare serials and give none.
	DNSTolerance = 10 * time.Minute
	// DNSToleranceMax bounds the tolerance.
	DNSToleranceMax = 30 * 24 * time.Hour
	// ListMax bounds the lists in the options of one check: expected values, servers, hosts of redirects.
	ListMax = 16

	// TransportTCP, TransportUDP and TransportTLS are the values of transport.
	TransportTCP = "tcp"
	TransportUDP = "udp"
	TransportTLS = "tls"
)

// DNS asks a name server. Exactly one of Query, SOA and Delegation is given.
type DNS struct {
	Port      int    `json:"port,omitempty"`
	Transport string `json:"transport,omitempty"` // udp or tcp; empty: udp, and tcp for a truncated answer

	Query         string   `json:"query,omitempty"`         // the name to ask for
	Type          string   `json:"type,omitempty"`          // of the records; empty: A
	Expect        []string `json:"expect,omitempty"`        // values that the answer must have, in any order
	Exact         bool     `json:"exact,omitempty"`         // and it has no other
	Authoritative bool     `json:"authoritative,omitempty"` // the answer must be the server's own
	Rcode         string   `json:"rcode,omitempty"`         // empty: NOERROR

	SOA       string        `json:"soa,omitempty"`       // a zone whose serials are compared
	Servers   []string      `json:"servers,omitempty"`   // other servers of the zone
	Tolerance time.Duration `json:"tolerance,omitempty"` // for copying a change; 0: DNSTolerance

	Delegation string   `json:"delegation,omitempty"` // a zone whose name servers are compared
	Parent     []string `json:"parent,omitempty"`     // servers of the zone above it

	// SignatureDays is within how many days operators are advised that the answer's DNSSEC signature ends.
	SignatureDays int `json:"signature_days,omitempty"`
}

func (DNS) kind() string          { return KindDNS }
func (DNS) provesHostAlive() bool { return true }

// A signature that ends soon is an advisory, and the order of a list changes nothing.
func (o DNS) question() Options {
	o.SignatureDays = 0
	o.Expect, o.Servers, o.Parent = sorted(o.Expect), sorted(o.Servers), sorted(o.Parent)
	return o
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func (o DNS) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }

// DNSTypes lists the types of records that a check can ask for.
func DNSTypes() []string {
	return []string{
		"A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SSHFP", "SVCB",
		"TLSA", "TXT",
	}
}

// DNSRcodes lists the response codes that a check can expect.
func DNSRcodes() []string {
	return []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
}

// ExpectedRcode returns the response code that a good answer has.
func (o DNS) ExpectedRcode() string { return cmp.Or(o.Rcode, "NOERROR") }

// RecordType returns the type of the records that the check asks for.
func (o DNS) RecordType() string { return cmp.Or(o.Type, "A") }

// ToleranceOf returns how long the servers of a zone may take to copy a change.
func (o DNS) ToleranceOf() time.Duration { return cmp.Or(o.Tolerance, DNSTolerance) }

func (o DNS) validate() error {
	modes := 0
	for _, name := range []string{o.Query, o.SOA, o.Delegation} {
		if name != "" {
			modes++
		}
	}
	switch {
	case modes != 1:
		return errors.New("a dns check has exactly one of query, soa and delegation")
	case o.Query == "" && (o.Type != "" || o.Rcode != "" || o.Exact || o.Authoritative || len(o.Expect) > 0):
		return errors.New("type, expect, exact, authoritative and rcode are for a check with query")
	case (o.SOA == "") != (len(o.Servers) == 0) || o.SOA == "" && o.Tolerance != 0:
		return errors.New("soa and servers belong together, and tolerance is for them")
	case (o.Delegation == "") != (len(o.Parent) == 0):
		return errors.New("delegation and parent belong together")
	case o.Exact && len(o.Expect) == 0, len(o.Expect) > 0 && o.ExpectedRcode() != "NOERROR":
		return errors.New("exact needs expect, and expect needs the rcode NOERROR")
	case o.Delegation != "" && o.SignatureDays != 0:
		return errors.New("signature_days is for a check with query or soa")
	case o.Tolerance < 0 || o.Tolerance > DNSToleranceMax:
		return fmt.Errorf("tolerance %v is out of bounds", o.Tolerance)
	case !slices.Contains([]string{"", TransportUDP, TransportTCP}, o.Transport):
		return fmt.Errorf("transport %.20q is neither udp nor tcp", o.Transport)
	}
	return errors.Join(o.validLists(), validPort(o.Port), validDays("signature_days", o.SignatureDays))
}

func (o DNS) validLists() error {
	var err error
	for _, name := range []string{o.Query, o.SOA, o.Delegation} {
		if name != "" {
			err = errors.Join(err, ValidDomain(name))
		}
	}
	if o.Type != "" && !slices.Contains(DNSTypes(), o.Type) {
		err = errors.Join(err, fmt.Errorf("there is no type %.20q", o.Type))
	}
	if o.Rcode != "" && !slices.Contains(DNSRcodes(), o.Rcode) {
		err = errors.Join(err, fmt.Errorf("there is no rcode %.20q", o.Rcode))
	}
	for _, value := range o.Expect {
		if value == "" || len(value) > ExpectMax {
			err = errors.Join(err, fmt.Errorf("an expected value is empty or longer than %d bytes", ExpectMax))
		}
	}
	for _, server := range slices.Concat(o.Servers, o.Parent) {
		_, _, serverErr := address.ParseHostPort(server, DNSPort)
		err = errors.Join(err, serverErr)
	}
	if max(len(o.Expect), len(o.Servers), len(o.Parent)) > ListMax {
		err = errors.Join(err, fmt.Errorf("a list has more than %d items", ListMax))
	}
	return err
}

// ExpectMax bounds one expected value in bytes: a DKIM key of 4096 bits fits.
const ExpectMax = 1024

// ValidDomain returns an error unless the text is a domain name in ASCII. Names of records may have labels that names
// of hosts may not, as in _dmarc.example.net. "." is the root.
func ValidDomain(name string) error {
	if name == "." {
		return nil
	}
	invalid := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\();@$`, r) }
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	tooLong := func(label string) bool { return label == "" || len(label) > 63 }
	if len(name) > 254 || strings.ContainsFunc(name, invalid) || slices.ContainsFunc(labels, tooLong) {
		return fmt.Errorf("%.100q is not a domain name", name)
	}
	return nil
}

// ByDatagram reports whether the check asks in a datagram whose answer the server has to compute. The network may lose
// it, as it may lose a ping, and the answer may take as long as the check's timeout, unlike a ping's.
func (c *Check) ByDatagram() bool {
	switch o := c.Options.(type) {
	case DNS:
		return o.Transport != TransportTCP
	case SIP:
		return o.Transport == "" || o.Transport == TransportUDP
	}
	return false
}
