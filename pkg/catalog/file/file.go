// Package file reads a catalog from YAML. Parse reports every mistake at once, each with its line and column and with
// what to write instead.
package file

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/schedule"
)

const (
	// SizeMax bounds a file in bytes: 800 for each of catalog.HostsMax hosts.
	SizeMax = 4 << 20
	// MailInterval is the default interval of a check that reads a mail server's greeting: fail2ban and similar
	// programs may take nine vantages that connect every 10 s for an attack. Of smtp, imap and pop3 checks it is the
	// interval of all vantages together.
	MailInterval = time.Minute
)

// Parse parses a catalog. The file's name is only used in messages; getenv returns the values of ${VAR}. Of secrets it
// checks only that their variables are set. The error is of type Mistakes.
func Parse(name string, source []byte, getenv func(string) (string, bool)) (*catalog.Catalog, error) {
	return ParseWith(name, source, getenv, func(reference string) error {
		variable, isVariable := strings.CutPrefix(reference, "${")
		variable = strings.TrimSuffix(variable, "}")
		if _, set := getenv(variable); isVariable && !set {
			return fmt.Errorf("the environment has no variable %s", variable)
		}
		return nil
	})
}

// ParseWith is Parse with another check of references to secrets: secretError returns why the value of "${NAME}" or
// "file:PATH" cannot be read, or nil. Its error must not contain the value.
func ParseWith(
	name string, source []byte, getenv func(string) (string, bool), secretError func(reference string) error,
) (*catalog.Catalog, error) {
	c, _, err := ParseLines(name, source, Environment{Getenv: getenv, SecretError: secretError})
	return c, err
}

// ParseLines is ParseWith in an environment, and says where the file has what.
func ParseLines(name string, source []byte, env Environment) (*catalog.Catalog, Lines, error) {
	p := &parser{yaml: &reader{file: name, getenv: env.Getenv}, lines: Lines{}, addressProblem: env.AddressProblem}
	p.secrets, p.needs = secretReader{yaml: p.yaml, check: env.SecretError}, needsParser{yaml: p.yaml}
	if len(source) > SizeMax {
		what := fmt.Sprintf("the file has %d bytes, more than %d", len(source), SizeMax)
		p.yaml.mistakeAt(1, 1, "divide the mesh into two", what)
		return nil, nil, p.yaml.mistakes
	}
	if top := p.yaml.document(source); top != nil {
		p.catalog(top)
		p.shareServers()
	}
	if len(p.yaml.mistakes) == 0 {
		// The checks above have a place and a remedy. What they overlook must not reach agents, which would refuse it.
		if err := catalog.Validate(&p.out); err != nil {
			p.yaml.mistakeAt(1, 1, "correct it", err.Error())
		}
	}
	if len(p.yaml.mistakes) > 0 {
		p.yaml.mistakes.sort()
		return nil, nil, p.yaml.mistakes
	}
	catalog.Seal(&p.out)
	return &p.out, p.lines, nil
}

// shareServers divides the interval of a mail server among its vantages, once all hosts are known.
func (p *parser) shareServers() {
	if len(p.yaml.mistakes) > 0 {
		return
	}
	schedule.ShareServers(&p.out, func(h *catalog.Host, c *catalog.Check) {
		p.yaml.mistakeAt(p.lines.Of(h.Name, c.Name), 1,
			"shorten the interval: it is that of all vantages together, and each has one turn in so many",
			fmt.Sprintf("each vantage would probe %s of %s only every %v", c.Name, h.Name, c.Interval))
	})
}

// parser builds a catalog from one file.
type parser struct {
	yaml    *reader
	out     catalog.Catalog
	lines   Lines
	secrets secretReader
	needs   needsParser

	addressProblem func(key string, text catalog.SecretText) (what, mend string) // may be nil

	// The file's defaults of checks.
	interval    time.Duration
	timeout     time.Duration
	ownInterval bool // the file sets the interval: it then also applies to checks of mail servers

	excepted []excepted // checks that regions leave out, to be looked at once all hosts are known

	onLoopback bool // the host whose checks are parsed: its connections do not leave the machine
}

// catalog parses the whole file. The order matters: checks need the defaults, and hosts need the regions.
func (p *parser) catalog(top *mapping) {
	p.out.Rule = catalog.DefaultRule()
	p.interval, p.timeout = catalog.DefaultInterval, catalog.DefaultTimeout
	p.page(top.get("page"))
	p.defaults(top.get("defaults"))
	p.regions(top)
	p.hosts(top)
	exceptParser{p}.checkVoters()
	p.rule(top.get("rule"))
	p.out.SLA = p.yaml.sla(top.get("sla"))
	p.out.Incidents = p.yaml.incidents(top.get("incidents"))
	notifyParser{p}.notify(top.get("notify"))
	notifyParser{p}.announce(top.get("announce"))
	top.end()
}

func (p *parser) page(n ast.Node) {
	p.out.Page.Title = "Status"
	if n == nil {
		return
	}
	m := p.yaml.mapping(n, "page")
	if m == nil {
		return
	}
	m.line("title", &p.out.Page.Title)
	if m.text("url", &p.out.Page.URL) {
		p.url(m.values["url"], p.out.Page.URL)
	}
	if links := m.get("links"); links != nil {
		p.links(links)
	}
	if m.text("accent", &p.out.Page.Accent) {
		if err := catalog.CheckAccent(p.out.Page.Accent); err != nil {
			p.yaml.mistake(m.values["accent"], "choose a color between light and dark, as in #0b6bcb", "%s", err)
		}
	}
	if m.text("logo", &p.out.Page.Logo) {
		if err := catalog.CheckLogo(p.out.Page.Logo); err != nil {
			p.yaml.mistake(m.values["logo"], "write data:image/svg+xml;base64, and what base64 -w0 FILE prints", "%s", err)
		}
	}
	m.end()
}

func (p *parser) links(n ast.Node) {
	m := p.yaml.mapping(n, "links")
	if m == nil {
		return
	}
	for _, name := range m.keys {
		var link string
		p.yaml.visible(m.at[name], "a link's name", name)
		if m.text(name, &link) && p.url(m.values[name], link) {
			p.out.Page.Links = append(p.out.Page.Links, catalog.Link{Name: name, URL: link})
		}
	}
	if len(m.keys) > catalog.LinksMax {
		p.yaml.mistake(n, "keep the most useful ones", "more than %d links", catalog.LinksMax)
	}
}

// url reports whether the text is an http or https URL.
func (p *parser) url(n ast.Node, text string) bool {
	if _, _, _, err := address.ParseURL(text); err != nil {
		p.yaml.mistake(n, "correct the URL", "%s", err)
		return false
	}
	return true
}

func (p *parser) defaults(n ast.Node) {
	if n == nil {
		return
	}
	m := p.yaml.mapping(n, "defaults")
	if m == nil {
		return
	}
	m.duration("interval", &p.interval, catalog.IntervalMin, catalog.IntervalMax)
	p.ownInterval = m.values["interval"] != nil
	m.duration("timeout", &p.timeout, catalog.TimeoutMin, catalog.TimeoutMax)
	if p.timeout >= p.interval {
		p.yaml.mistake(n, "make the timeout shorter than the interval",
			"the default timeout %v is not shorter than the interval %v", p.timeout, p.interval)
	}
	m.end()
}

func (p *parser) regions(top *mapping) {
	n := top.get("regions")
	if n == nil {
		top.missing("regions", "list the places that your servers stand in", "there are no regions")
		return
	}
	items := p.yaml.sequence(n, "regions")
	if len(items) > catalog.RegionsMax {
		p.yaml.mistake(n, "divide the mesh into two", "more than %d regions", catalog.RegionsMax)
		return
	}
	for _, item := range items {
		if m := p.yaml.mapping(item, "a region"); m != nil {
			p.region(m)
		}
	}
}

const nameMend = "use letters, digits and hyphens, at most 63, not a hyphen first"

func (p *parser) region(m *mapping) {
	r := catalog.Region{}
	if !m.text("name", &r.Name) {
		m.required("name", "a region")
	} else if !catalog.ValidName(r.Name) {
		p.yaml.mistake(m.values["name"], "use small letters, digits and hyphens, at most 63, not a hyphen first",
			"the region's name %q is not usable", r.Name)
	} else if p.out.Region(r.Name) != nil {
		p.yaml.mistake(m.values["name"], "give each region a name of its own", "there are two regions %q", r.Name)
	}
	if !m.line("city", &r.City) {
		r.City = r.Name
	}
	if m.text("country", &r.Country) && !isCountry(r.Country) {
		p.yaml.mistake(m.values["country"], "write its two capital letters, as in NL",
			"%q is not a country code", r.Country)
	}
	m.number("latitude", &r.Latitude, -90, 90)
	m.number("longitude", &r.Longitude, -180, 180)
	m.line("provider", &r.Provider)
	p.anchors(m, &r)
	m.end()
	p.out.Regions = append(p.out.Regions, r)
}

// isCountry reports whether the text looks like an ISO 3166-1 alpha-2 code.
func isCountry(text string) bool {
	return len(text) == 2 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// anchors parses the addresses by which a region's vantages test their own connection.
func (p *parser) anchors(m *mapping, r *catalog.Region) {
	n := m.get("anchors")
	if n == nil {
		return
	}
	items := p.yaml.sequence(n, "anchors")
	for _, item := range items {
		text, ok := p.yaml.text(item, "an anchor")
		if !ok {
			continue
		}
		if _, _, valid := catalog.Anchor(text); !valid {
			const mend = "write an address to ping, as in 192.0.2.1, or an address and a port, as in 192.0.2.1:53"
			p.yaml.mistake(item, mend, "%q is not an anchor", text)
			continue
		}
		r.Anchors = append(r.Anchors, text)
	}
	if len(items) > catalog.AnchorsMax {
		p.yaml.mistake(n, "two or three of different owners are enough", "more than %d anchors", catalog.AnchorsMax)
	}
}

func (p *parser) hosts(top *mapping) {
	n := top.get("hosts")
	if n == nil {
		top.missing("hosts", "list your servers", "there are no hosts")
		return
	}
	items := p.yaml.sequence(n, "hosts")
	if len(items) > catalog.HostsMax {
		p.yaml.mistake(n, "divide the mesh into two", "more than %d hosts", catalog.HostsMax)
		return
	}
	if len(items) == 0 {
		p.yaml.mistake(n, "list your servers", "there are no hosts")
	}
	spelled := map[string]string{} // the names of the hosts so far, by key
	for _, item := range items {
		if m := p.yaml.mapping(item, "a host"); m != nil {
			p.host(m, spelled)
		}
	}
	p.needs.resolve(&p.out)
}

func (p *parser) host(m *mapping, spelled map[string]string) {
	h := catalog.Host{Checks: []catalog.Check{}}
	if !m.text("name", &h.Name) {
		m.required("name", "a host")
	} else if !catalog.ValidName(h.Key()) {
		p.yaml.mistake(m.values["name"], nameMend, "the host's name %q is not usable", h.Name)
	} else if other, twice := spelled[h.Key()]; twice {
		p.yaml.mistake(m.values["name"], "give each host a name of its own; upper and lower case are the same",
			"there are two hosts %q (the other is written %q)", h.Name, other)
	} else {
		spelled[h.Key()] = h.Name
	}
	p.lines.set(m.values["name"], h.Name, "")
	p.was(m, &h.Was)
	p.hostRegion(m, &h)
	p.addresses(m, &h)
	m.line("title", &h.Title)
	m.line("role", &h.Role)
	m.boolean("public", &h.Public)
	m.line("group", &h.Group)
	p.labels(m, &h)
	p.needs.parse(m, h.Name, &h.Needs)
	p.checks(m, &h)
	m.end()
	p.out.Hosts = append(p.out.Hosts, h)
}

func (p *parser) hostRegion(m *mapping, h *catalog.Host) {
	if !m.text("region", &h.Region) {
		m.required("region", "the host "+h.Name)
		return
	}
	if p.out.Region(h.Region) != nil {
		return
	}
	p.yaml.mistake(m.values["region"], regionMend(&p.out, h.Region), "there is no region %q", h.Region)
}

// addresses parses the host's address: an IP address, a name, or a list with an IPv4 and an IPv6 address.
func (p *parser) addresses(m *mapping, h *catalog.Host) {
	n := m.get("address")
	if n == nil {
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		text, ok := p.yaml.text(item, "address")
		if !ok {
			continue
		}
		if a, ok := p.address(item, text); ok {
			h.Addresses = append(h.Addresses, a)
		}
	}
	families := h.Families()
	if len(h.Addresses) > catalog.AddressesMax || len(families) < len(h.Addresses) ||
		len(h.Addresses) > 1 && families[0] == 0 {
		p.yaml.mistake(n, "write one name, or one IPv4 and one IPv6 address",
			"the host %s has addresses that cannot go together", h.Name)
	}
}

func (p *parser) address(n ast.Node, text string) (canonical string, ok bool) {
	host, err := address.ParseHost(text)
	ip := host.IP
	switch {
	case err != nil:
		p.yaml.mistake(n, "write an IP address, or a name as in mail.example.net", "%s", err)
		return "", false
	case ip.IsValid() && ip.Zone() != "":
		p.yaml.mistake(n, "leave the zone out, or use an address that all servers can reach",
			"%q has a zone, which means something on one machine alone", text)
		return "", false
	case ip.IsValid() && (ip.Is4In6() || ip.IsUnspecified() || ip.IsMulticast()):
		p.yaml.mistake(n, "write the address that clients use", "%q is not a host's address", text)
		return "", false
	}
	return host.String(), true
}

func (p *parser) labels(m *mapping, h *catalog.Host) {
	n := m.get("labels")
	if n == nil {
		return
	}
	labels := p.yaml.mapping(n, "labels")
	if labels == nil {
		return
	}
	if len(labels.keys) > catalog.LabelsMax {
		p.yaml.mistake(n, "keep the most useful ones", "more than %d labels", catalog.LabelsMax)
	}
	h.Labels = map[string]string{}
	for _, key := range labels.keys {
		var value string
		p.yaml.visible(labels.at[key], "a label's name", key)
		labels.line(key, &value)
		h.Labels[key] = value
	}
}
