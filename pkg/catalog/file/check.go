package file

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// checks parses the host's checks. A host with an address but without the key is pinged; an empty list means none.
func (p *parser) checks(m *mapping, h *catalog.Host) {
	n := m.get("checks")
	if n == nil {
		if len(h.Addresses) > 0 {
			c := p.newCheck(catalog.KindPing)
			c.Options = catalog.Ping{}
			h.Checks = append(h.Checks, c)
			p.families(nil, h, &h.Checks[0])
		} else if _, there := m.values["checks"]; !there {
			m.missing("address", "add 'address: ...', or 'checks: []' for a vantage only",
				"the host %s has no address", h.Name)
		}
		return
	}
	items := p.yaml.sequence(n, "checks")
	if len(items) > catalog.ChecksMax {
		p.yaml.mistake(n, "keep the most important ones", "more than %d checks on one host", catalog.ChecksMax)
		return
	}
	for _, item := range items {
		if c := p.yaml.mapping(item, "a check"); c != nil {
			p.check(c, h)
		}
	}
	shown := func(c catalog.Check) bool { return !c.Internal }
	if h.Public && len(h.Checks) > 0 && !slices.ContainsFunc(h.Checks, shown) {
		p.yaml.mistake(n, "take public: false out of one of them, or make the host internal",
			"the host %s is public, and none of its checks is", h.Name)
	}
	if len(items) > 0 {
		m.missing("address", "add 'address: ...' to the host", "the host %s has checks and no address", h.Name)
	}
}

func (p *parser) newCheck(kind string) catalog.Check {
	return catalog.Check{Kind: kind, Name: kind, Critical: true, Interval: p.interval, Timeout: p.timeout}
}

func (p *parser) check(m *mapping, h *catalog.Host) {
	c := p.newCheck("")
	if !m.text("kind", &c.Kind) {
		m.required("kind", "a check of "+h.Name)
	}
	named := m.line("name", &c.Name)
	p.was(m, &c.Was)
	m.boolean("critical", &c.Critical)
	public := true
	m.boolean("public", &public)
	c.Internal = !public
	m.duration("interval", &c.Interval, catalog.IntervalMin, catalog.IntervalMax)
	m.duration("timeout", &c.Timeout, catalog.TimeoutMin, catalog.TimeoutMax)
	m.duration("latency", &c.Latency, 1, catalog.TimeoutMax)
	m.number("loss", &c.Loss, 0, 1)
	p.families(m, h, &c)
	p.needs.parse(m, h.Name, &c.Needs)
	before := len(p.excepted)
	exceptParser{p}.parse(m, h, &c)
	p.secrets.found, p.onLoopback = nil, h.OnLoopback()
	if c.Options = p.options(m, c.Kind); c.Options != nil {
		m.end()
	}
	c.Secrets = p.secrets.found
	if burdensMailServer(c.Options) && m.values["interval"] == nil && !p.ownInterval {
		c.Interval = MailInterval
	}
	if c.Timeout >= c.Interval {
		p.yaml.mistake(m.node, "make the timeout shorter than the interval",
			"the timeout %v is not shorter than the interval %v", c.Timeout, c.Interval)
	}
	if !named {
		c.Name = c.DefaultName()
	}
	p.checkName(m, h, c)
	at := m.values["name"]
	if at == nil {
		at = m.values["kind"]
	}
	p.lines.set(at, h.Name, c.Name)
	if len(p.excepted) > before {
		p.excepted[before].check = c.Name
	}
	h.Checks = append(h.Checks, c)
}

// families parses the families of a check, one or a list. m is nil for a check that the file does not contain. Without
// the key a name is probed through both families, and an IP address through its own.
func (p *parser) families(m *mapping, h *catalog.Host, c *catalog.Check) {
	var n ast.Node
	if m != nil {
		n = m.get("families")
	}
	if n == nil {
		if h.Named() {
			c.Families = catalog.BothFamilies()
		}
		return
	}
	const mend = "write ipv4, ipv6 or [ipv4, ipv6]"
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		text, ok := p.yaml.text(item, "a family")
		if !ok {
			return
		}
		var f mesh.Family
		switch err := f.UnmarshalText([]byte(text)); {
		case err != nil || f == mesh.AnyFamily:
			p.yaml.mistake(item, mend, "there is no address family %q", text)
			return
		case !h.HasFamily(f):
			p.yaml.mistake(item, "add such an address to the host, or take the family out",
				"the host %s has no %s address", h.Name, text)
			return
		case slices.Contains(c.Families, f):
			p.yaml.mistake(item, "keep one of the two", "the family %s is given twice", text)
			return
		}
		c.Families = append(c.Families, f)
	}
	if len(c.Families) == 0 {
		p.yaml.mistake(n, mend, "a check of %s has no address family", h.Name)
	}
	slices.Sort(c.Families)
}

// mailPorts are those of SMTP, POP3 and IMAP, plain and with TLS. Frequent connections to any of them look like an
// attack to a mail server's guards. Those with TLS send no greeting: catalog.Catalog.Warnings says so.
var mailPorts = []int{25, 465, 587, 110, 143, 993, 995}

// burdensMailServer reports whether the options ask for more than a connection on a mail server's port.
func burdensMailServer(o catalog.Options) bool {
	switch o := o.(type) {
	case catalog.TCP:
		return (o.Banner != "" || o.TLS) && slices.Contains(mailPorts, o.Port)
	case catalog.TLS:
		return slices.Contains(mailPorts, o.Port)
	}
	_, isMail := catalog.MailSessionOf(o)
	return isMail
}

// checkNameMax bounds the name of a check in bytes, since pages and notifications show it in one line.
const checkNameMax = 100

// was parses the name that a host or check had before. Where the catalog is put in force it is known whether there was
// one.
func (p *parser) was(m *mapping, name *string) {
	if m.text("was", name) && (len(*name) > checkNameMax || strings.TrimSpace(*name) == "") {
		p.yaml.mistake(m.values["was"], "write the name from the catalog before", "was is no name")
	}
}

func (p *parser) checkName(m *mapping, h *catalog.Host, c catalog.Check) {
	at := m.values["name"]
	if at == nil {
		at = m.node
	}
	switch {
	case c.Kind == "":
	case len(c.Name) > checkNameMax || strings.TrimSpace(c.Name) == "":
		p.yaml.mistake(at, fmt.Sprintf("write one line of at most %d bytes", checkNameMax),
			"the check's name %q is not usable", c.Name)
	case slices.Contains([]string{"/", ".", ".."}, c.Name):
		p.yaml.mistake(at, "add a letter or a digit", "the check's name %q cannot be part of its page's address", c.Name)
	case h.Check(c.Name) != nil:
		p.yaml.mistake(at, "give one of them another name; upper and lower case are the same",
			"the host %s has two checks %q", h.Name, c.Name)
	}
}

// options parses the keys of one kind of check. It returns nil if there is no such kind: the keys of an unknown kind
// cannot be checked, so that check then reports none of them.
func (p *parser) options(m *mapping, kind string) catalog.Options {
	switch kind {
	case catalog.KindPing:
		return catalog.Ping{}
	case catalog.KindTCP:
		return p.tcp(m)
	case catalog.KindHTTP:
		return parseHTTP(p, m)
	case catalog.KindTLS:
		return parseTLS(m)
	case catalog.KindDNS:
		return parseDNS(m)
	case catalog.KindSIP:
		return parseSIP(m)
	case catalog.KindSMTP, catalog.KindIMAP, catalog.KindPOP3:
		return parseMail(p, m, kind)
	}
	mend := "the kinds are " + strings.Join(catalog.Kinds(), ", ")
	if like := nearest(kind, catalog.Kinds()); like != "" && kind != "" {
		mend = fmt.Sprintf("did you mean %q?", like)
	}
	if n := m.values["kind"]; !isNull(n) {
		p.yaml.mistake(n, mend, "there is no kind of check %q", kind)
	}
	return nil
}

func (p *parser) tcp(m *mapping) catalog.TCP {
	var o catalog.TCP
	m.integer("port", &o.Port, 1, 65535)
	m.required("port", "a tcp check")
	if p.secrets.text(m, "banner", &o.Banner) {
		p.pattern(m.values["banner"], o.Banner)
	}
	m.boolean("tls", &o.TLS)
	parseVerification(m, &o.Verification)
	for _, key := range verificationKeys {
		if n := m.values[key]; n != nil && !o.TLS {
			p.yaml.mistake(n, "add tls: true, or take "+key+" out", "a tcp check without tls has no certificate")
		}
	}
	return o
}

func parseTLS(m *mapping) catalog.TLS {
	o := catalog.TLS{Port: catalog.TLSPort}
	m.integer("port", &o.Port, 1, 65535)
	parseVerification(m, &o.Verification)
	return o
}

// parseVerification parses the keys of every kind that uses TLS.
func parseVerification(m *mapping, v *catalog.Verification) {
	if m.text("server_name", &v.ServerName) {
		if err := catalog.ValidServerName(v.ServerName); err != nil || v.ServerName == "" {
			m.reader.mistake(m.values["server_name"], "write a name on the certificate, as in mail.example.net",
				"server_name %q is not a host's name", v.ServerName)
			v.ServerName = ""
		}
	}
	m.integer("certificate_days", &v.CertificateDays, 1, catalog.CertificateDaysMax)
	for _, file := range []struct {
		key    string
		target *string
	}{{"ca", &v.CA}, {"client_certificate", &v.ClientCertificate}, {"client_key", &v.ClientKey}} {
		m.valid(file.key, file.target, func(path string) error {
			if err := catalog.ValidCA(path); err != nil {
				return errNotAbsolute
			}
			return nil
		}, "write the absolute path of a file on the agents' machines, as in /etc/ssl/own-ca.pem")
	}
	given := func(key string) bool { return m.at[key] != nil }
	m.only(given("client_key"), "add client_key", "a check with client_key", "client_certificate")
	m.only(given("client_certificate"), "add client_certificate", "a check with client_certificate", "client_key")
}

// verificationKeys are the keys of every kind that uses TLS.
var verificationKeys = []string{"server_name", "certificate_days", "ca", "client_certificate", "client_key"}

var errNotAbsolute = errors.New("it is no absolute path")

func (p *parser) pattern(n ast.Node, text string) {
	if _, err := regexp.Compile(text); err != nil {
		p.yaml.mistake(n, "write a regular expression in RE2 syntax, as in '^220 '", "%q is not a pattern: %s", text,
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}
