package probe

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// lookupReason compares an answer with what the check requires, and returns why it is not that.
func lookupReason(m *dns.Msg, kind uint16, o catalog.DNS) string {
	rcode, wanted := rcodeName(m.Rcode), o.ExpectedRcode()
	switch {
	case rcode != wanted && wanted == "NOERROR":
		return "answered " + rcode
	case rcode != wanted:
		return "answered " + rcode + ", wanted " + wanted
	case o.Authoritative && !m.Authoritative:
		return "answered without authority"
	case wanted != "NOERROR":
		return ""
	}
	values := valuesOf(m.Answer, kind)
	if len(values) == 0 {
		return "answered without a record of type " + o.RecordType()
	}
	matched := make([]bool, len(values))
	for _, text := range o.Expect {
		expected, found := canonical(text, kind), false
		for i, v := range values {
			if same := v == expected || isMailHost(v, expected, kind); same {
				matched[i], found = true, true
			}
		}
		if !found {
			return "answered " + listed(values) + ", which lacks " + quote(text)
		}
	}
	if i := slices.Index(matched, false); o.Exact && i >= 0 {
		return "answered " + listed(values) + ", of which " + quote(values[i]) + " is not expected"
	}
	return ""
}

// rcodeName returns a response code's name as the catalog spells it.
func rcodeName(rcode int) string {
	if name, known := dns.RcodeToString[rcode]; known {
		return strings.ToUpper(name)
	}
	return "rcode " + strconv.Itoa(rcode)
}

// isMailHost reports whether the expected value is the host alone of an MX record.
func isMailHost(value, expected string, kind uint16) bool {
	_, host, _ := strings.Cut(value, " ")
	return kind == dns.TypeMX && host == expected
}

// valuesOf returns the values of the records of one type, in the form of canonical.
func valuesOf(records []dns.RR, kind uint16) []string {
	var out []string
	for _, rr := range records {
		if rr.Header().Rrtype != kind || rr.Header().Class != dns.ClassINET {
			continue
		}
		value := strings.TrimPrefix(rr.String(), rr.Header().String())
		switch rr := rr.(type) {
		case *dns.SOA:
			value = rr.Ns
		case *dns.TXT:
			value = strings.Join(rr.Txt, "") // the parts of a long text are one, as in SPF and DKIM
		}
		out = append(out, canonical(value, kind))
	}
	return out
}

// canonical returns a record's value in the form in which values are compared: addresses in their shortest form, names
// in lower case without a dot at the end, and texts as they are.
func canonical(text string, kind uint16) string {
	switch kind {
	case dns.TypeTXT:
		return text
	case dns.TypeA, dns.TypeAAAA:
		if ip, err := netip.ParseAddr(text); err == nil {
			return ip.Unmap().String()
		}
		return text
	case dns.TypeCAA, dns.TypeNAPTR, dns.TypeDNSKEY, dns.TypeHTTPS, dns.TypeSVCB:
		return strings.Join(strings.Fields(text), " ") // letters in quotes and keys differ by case
	}
	fields := strings.Fields(strings.ToLower(text))
	for i, field := range fields {
		if len(field) > 1 {
			fields[i] = strings.TrimSuffix(field, ".")
		}
	}
	return strings.Join(fields, " ")
}

// listed returns values for a reason: the first of them, and how many more there are.
func listed(values []string) string {
	const most = 3
	var parts []string
	for _, v := range values[:min(len(values), most)] {
		parts = append(parts, quote(v))
	}
	text := strings.Join(parts, ", ")
	if more := len(values) - most; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

// signatureEnd returns when the first of the records loses its last DNSSEC signature, or nil if none does within this
// many days. While keys are replaced, a record has several signatures.
func signatureEnd(records []dns.RR, days int, now time.Time) *mesh.Expiry {
	if days == 0 {
		return nil
	}
	type set struct {
		name string
		kind uint16
	}
	last := map[set]time.Time{}
	for _, rr := range records {
		if s, ok := rr.(*dns.RRSIG); ok {
			key := set{strings.ToLower(s.Hdr.Name), s.TypeCovered}
			if at := signatureTime(s.Expiration, now); at.After(last[key]) {
				last[key] = at
			}
		}
	}
	var first time.Time
	for _, at := range last {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if first.IsZero() || first.Sub(now) >= time.Duration(days)*24*time.Hour {
		return nil
	}
	return &mesh.Expiry{What: mesh.Signature, At: first}
}

// signatureTime returns the time that 32 bits of seconds mean: the one within 68 years of now (RFC 4034, 3.1.5).
func signatureTime(seconds uint32, now time.Time) time.Time {
	ahead := int32(seconds - uint32(now.Unix()))
	return time.Unix(now.Unix()+int64(ahead), 0).UTC()
}
