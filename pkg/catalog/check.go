package catalog

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/mesh"
)

var (
	name    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	country = regexp.MustCompile(`^[A-Z]{2}$`)
	label   = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
)

const nameMend = "use letters, digits and hyphens, at most 63, not a hyphen first"

// addresses reads the host's address: a number, a name, or a list with an IPv4 and an IPv6 number.
func (p *fileParser) addresses(m *mapping, h *Host) {
	n := m.get("address")
	if n == nil {
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		if a, ok := p.text(item, "address"); ok && p.address(item, a) {
			h.Addresses = append(h.Addresses, a)
		}
	}
	if len(h.Addresses) > AddressesMax || len(h.Families()) < len(h.Addresses) || len(h.Addresses) > 1 && h.Families()[0] == 0 {
		p.wrong(n, "write one name, or one IPv4 and one IPv6 number", "the host %s has addresses that cannot go together", h.Name)
	}
}

func (p *fileParser) address(n ast.Node, a string) bool {
	if ip, err := netip.ParseAddr(a); err == nil {
		if ip.Is4In6() || ip.IsUnspecified() || ip.IsMulticast() {
			p.wrong(n, "write the address that clients use", "%q is not a host's address", a)
			return false
		}
		return true
	}
	if !isDNSName(a) {
		p.wrong(n, "write a number as in 192.0.2.36 or 2001:db8::36, or a name as in mail.example.net", "%q is not an address", a)
		return false
	}
	return true
}

// Anchor is the check that tests an anchor, and the address it is made to.
func Anchor(anchor string) (address string, check Check) {
	check = Check{Kind: KindPing, Name: anchor, Interval: DefaultInterval, Timeout: DefaultTimeout}
	host, port, err := net.SplitHostPort(anchor)
	if err != nil {
		return anchor, check
	}
	check.Kind = KindTCP
	check.Port, _ = strconv.Atoi(port)
	return host, check
}

func isAnchor(s string) bool {
	address, check := Anchor(s)
	_, err := netip.ParseAddr(address)
	return (err == nil || isDNSName(address)) && (check.Kind == KindPing || check.Port >= 1 && check.Port <= 65535)
}

// isDNSName reports whether the text is a host name whose last label is not a number (RFC 1123), so that a mistyped address
// is never looked up.
func isDNSName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return len(s) <= 253 && err != nil
}

// checks reads the host's checks. A host with an address and no word on checks is pinged; an empty list means none.
func (p *fileParser) checks(m *mapping, h *Host) {
	n := m.get("checks")
	if n == nil {
		if len(h.Addresses) > 0 {
			h.Checks = append(h.Checks, p.newCheck(KindPing))
			p.families(nil, h, &h.Checks[0])
		} else if m.values["address"] == nil {
			p.wrong(m.node, "add 'address: ...', or 'checks: []' for a vantage only", "the host %s has no address", h.Name)
		}
		return
	}
	items := p.sequence(n, "checks")
	if len(items) > ChecksMax {
		p.wrong(n, "keep the ones that matter", "more than %d checks on one host", ChecksMax)
		return
	}
	for _, item := range items {
		if c := p.mapping(item, "a check"); c != nil {
			p.check(c, h)
		}
	}
	if len(items) > 0 && m.values["address"] == nil {
		p.wrong(n, "add 'address: ...' to the host", "the host %s has checks and no address", h.Name)
	}
}

func (p *fileParser) newCheck(kind string) Check {
	return Check{Kind: kind, Name: kind, Critical: true, Interval: p.interval, Timeout: p.timeout}
}

func (p *fileParser) check(m *mapping, h *Host) {
	c := p.newCheck("")
	if !m.text("kind", &c.Kind) {
		p.missing(m, "kind", "a check of "+h.Name)
	}
	named := m.text("name", &c.Name)
	m.boolean("critical", &c.Critical)
	m.duration("interval", &c.Interval, IntervalMin, IntervalMax)
	m.duration("timeout", &c.Timeout, TimeoutMin, TimeoutMax)
	m.duration("latency", &c.Latency, 1, TimeoutMax)
	m.number("loss", &c.Loss, 0, 1)
	p.families(m, h, &c)
	if p.kind(m, &c) {
		m.end()
	}
	if c.greetsMail() && m.values["interval"] == nil && !p.usual {
		c.Interval = MailInterval
	}
	if c.Timeout >= c.Interval {
		p.wrong(m.node, "make the timeout shorter than the interval", "the timeout %v is not shorter than the interval %v", c.Timeout, c.Interval)
	}
	if !named {
		c.Name = c.defaultName()
	}
	p.checkName(m, h, c)
	h.Checks = append(h.Checks, c)
}

// families reads the families of a check, one or a list. Without the key a name is probed through both, and a number
// through its own.
func (p *fileParser) families(m *mapping, h *Host, c *Check) {
	var n ast.Node
	if m != nil {
		n = m.get("families")
	}
	if n == nil {
		if h.Named() {
			c.Families = bothFamilies()
		}
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		word, ok := p.text(item, "a family")
		if !ok {
			return
		}
		var f mesh.Family
		switch err := f.UnmarshalText([]byte(word)); {
		case err != nil || f == mesh.AnyFamily:
			p.wrong(item, "write ipv4, ipv6 or [ipv4, ipv6]", "there is no address family %q", word)
			return
		case !h.has(f):
			p.wrong(item, "add such an address to the host, or take the family out", "the host %s has no %s address", h.Name, word)
			return
		case slices.Contains(c.Families, f):
			p.wrong(item, "keep one of the two", "the family %s is said twice", word)
			return
		}
		c.Families = append(c.Families, f)
	}
	if len(c.Families) == 0 {
		p.wrong(n, "write ipv4, ipv6 or [ipv4, ipv6]", "a check of %s has no address family", h.Name)
	}
	slices.Sort(c.Families)
}

// has reports whether the host may have an address of the family: a name may.
func (h *Host) has(f mesh.Family) bool { return h.Address(f) != "" }

// mailPorts are those of SMTP, POP3 and IMAP, plain and with TLS.
var mailPorts = []int{25, 465, 587, 110, 143, 993, 995}

// greetsMail reports whether the check talks to a mail server.
func (c *Check) greetsMail() bool {
	return c.Kind == KindTCP && c.Banner != "" && slices.Contains(mailPorts, c.Port)
}

func (p *fileParser) checkName(m *mapping, h *Host, c Check) {
	at := m.values["name"]
	if at == nil {
		at = m.node
	}
	switch {
	case c.Kind == "":
	case len(c.Name) > 100 || strings.TrimSpace(c.Name) == "" || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' }):
		p.wrong(at, "write one line of at most 100 bytes", "the check's name %q is not usable", c.Name)
	case h.Check(c.Name) != nil:
		p.wrong(at, "give one of them a name", "the host %s has two checks %q", h.Name, c.Name)
	}
}

// kind reads the keys of one kind of check, and reports whether the kind is known.
func (p *fileParser) kind(m *mapping, c *Check) bool {
	switch c.Kind {
	case KindPing:
	case KindTCP:
		m.integer("port", &c.Port, 1, 65535)
		p.missing(m, "port", "a tcp check")
		if m.text("banner", &c.Banner) {
			p.pattern(m.values["banner"], c.Banner)
		}
	case KindHTTP:
		p.http(m, c)
	default:
		kinds := []string{KindPing, KindTCP, KindHTTP}
		mend := "the kinds are " + strings.Join(kinds, ", ")
		if like := nearest(c.Kind, kinds); like != "" && c.Kind != "" {
			mend = fmt.Sprintf("did you mean %q?", like)
		}
		if m.values["kind"] != nil {
			p.wrong(m.values["kind"], mend, "there is no kind of check %q", c.Kind)
		}
		return false
	}
	return true
}

func (p *fileParser) http(m *mapping, c *Check) {
	c.Status = 200
	if m.text("url", &c.URL) {
		p.webURL(m.values["url"], c.URL)
	} else {
		p.missing(m, "url", "an http check")
	}
	m.integer("status", &c.Status, 100, 599)
	m.text("body", &c.Body)
	m.integer("certificate_days", &c.CertificateDays, 1, 3650)
	if c.CertificateDays > 0 && strings.HasPrefix(c.URL, "http:") {
		p.wrong(m.values["certificate_days"], "write an https URL, or take certificate_days out", "a plain http URL has no certificate")
	}
}

func (p *fileParser) pattern(n ast.Node, s string) {
	if _, err := regexp.Compile(s); err != nil {
		p.wrong(n, "write a regular expression in RE2 syntax, as in '^220 '", "%q is not a pattern: %s", s,
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// webURL tells whether the text is a plain http or https URL.
func (p *fileParser) webURL(n ast.Node, s string) bool {
	if !isWebURL(s) {
		p.wrong(n, "write it whole, as in https://www.example.net/", "%q is not a web address", s)
		return false
	}
	return true
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Opaque == ""
}

// defaultName is the check's kind and port.
func (c *Check) defaultName() string {
	switch c.Kind {
	case KindTCP:
		return fmt.Sprintf("tcp %d", c.Port)
	case KindHTTP:
		return "http " + c.PortText()
	}
	return c.Kind
}

// PortText is the port that the check connects to, as text, or "" where there is none.
func (c *Check) PortText() string {
	if c.Kind != KindHTTP {
		if c.Port == 0 {
			return ""
		}
		return strconv.Itoa(c.Port)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	if _, port, err := net.SplitHostPort(u.Host); err == nil && port != "" {
		return port
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
