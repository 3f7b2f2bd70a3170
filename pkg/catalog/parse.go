package catalog

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Bounds of a catalog. They hold for a file and for what another program sends.
const (
	SourceMax       = 4 << 20 // bytes of a file
	HostsMax        = 5000
	ChecksMax       = 64 // of one host
	RegionsMax      = 1000
	LinksMax        = 20
	LabelsMax       = 64
	AddressesMax    = 2 // one a family
	AnchorsMax      = 8 // of one region
	IntervalMin     = time.Second
	IntervalMax     = time.Hour
	TimeoutMin      = 100 * time.Millisecond
	TimeoutMax      = 30 * time.Second
	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 3 * time.Second
	// MailInterval is the default of a check that reads a mail server's greeting: nine vantages that knock every 10 s look like
	// an attack to what guards it.
	MailInterval = time.Minute
)

// Parse reads a catalog from YAML. The file's name is only for messages; getenv gives the values of ${VAR}. An error is of
// type Mistakes and tells everything that is wrong.
func Parse(file string, source []byte, getenv func(string) (string, bool)) (*Catalog, error) {
	p := &fileParser{reader: &reader{file: file, getenv: getenv}}
	if len(source) > SourceMax {
		p.wrongAt(1, 1, "split the mesh in two", fmt.Sprintf("the file has %d bytes, more than %d", len(source), SourceMax))
		return nil, p.mistakes
	}
	top := p.document(source)
	if top != nil {
		p.catalog(top)
	}
	if len(p.mistakes) > 0 {
		p.mistakes.sort()
		return nil, p.mistakes
	}
	p.out.Revision = revision(&p.out)
	return &p.out, nil
}

// fileParser builds a catalog from one file.
type fileParser struct {
	*reader
	out      Catalog
	interval time.Duration // defaults
	usual    bool          // the interval is the file's own
	timeout  time.Duration
}

func (p *fileParser) catalog(top *mapping) {
	p.out.Rule = DefaultRule()
	p.interval, p.timeout = DefaultInterval, DefaultTimeout
	p.page(top.get("page"))
	p.defaults(top.get("defaults"))
	p.regions(top)
	p.hosts(top)
	p.rule(top.get("rule"))
	top.end()
}

func (p *fileParser) page(n ast.Node) {
	p.out.Page.Title = "Status"
	if n == nil {
		return
	}
	m := p.mapping(n, "page")
	if m == nil {
		return
	}
	m.text("title", &p.out.Page.Title)
	m.text("url", &p.out.Page.URL)
	if p.out.Page.URL != "" {
		p.webURL(m.values["url"], p.out.Page.URL)
	}
	if links := m.get("links"); links != nil {
		p.links(links)
	}
	m.end()
}

func (p *fileParser) links(n ast.Node) {
	m := p.mapping(n, "links")
	if m == nil {
		return
	}
	for _, name := range m.keys {
		var link string
		if m.text(name, &link) && p.webURL(m.values[name], link) {
			p.out.Page.Links = append(p.out.Page.Links, Link{name, link})
		}
	}
	if len(m.keys) > LinksMax {
		p.wrong(n, "keep the most useful ones", "more than %d links", LinksMax)
	}
}

func (p *fileParser) defaults(n ast.Node) {
	if n == nil {
		return
	}
	m := p.mapping(n, "defaults")
	if m == nil {
		return
	}
	m.duration("interval", &p.interval, IntervalMin, IntervalMax)
	p.usual = m.values["interval"] != nil
	m.duration("timeout", &p.timeout, TimeoutMin, TimeoutMax)
	if p.timeout >= p.interval {
		p.wrong(n, "make the timeout shorter than the interval", "the default timeout %v is not shorter than the interval %v", p.timeout, p.interval)
	}
	m.end()
}

func (p *fileParser) regions(top *mapping) {
	n := top.get("regions")
	if n == nil {
		p.wrong(top.node, "list the places that your servers stand in", "there are no regions")
		return
	}
	items := p.sequence(n, "regions")
	if len(items) > RegionsMax {
		p.wrong(n, "split the mesh in two", "more than %d regions", RegionsMax)
		return
	}
	for _, item := range items {
		if m := p.mapping(item, "a region"); m != nil {
			p.region(m)
		}
	}
}

func (p *fileParser) region(m *mapping) {
	r := Region{}
	if !m.text("name", &r.Name) {
		p.missing(m, "name", "a region")
	} else if !name.MatchString(r.Name) {
		p.wrong(m.values["name"], nameMend, "the region's name %q is not usable", r.Name)
	} else if p.out.Region(r.Name) != nil {
		p.wrong(m.values["name"], "give each region a name of its own", "there are two regions %q", r.Name)
	}
	if !m.text("city", &r.City) {
		r.City = r.Name
	}
	if m.text("country", &r.Country) && !country.MatchString(r.Country) {
		p.wrong(m.values["country"], "write its two capital letters, as in NL", "%q is not a country code", r.Country)
	}
	m.number("latitude", &r.Latitude, -90, 90)
	m.number("longitude", &r.Longitude, -180, 180)
	m.text("provider", &r.Provider)
	p.anchors(m, &r)
	m.end()
	p.out.Regions = append(p.out.Regions, r)
}

// anchors reads the addresses that a region's vantages test themselves against.
func (p *fileParser) anchors(m *mapping, r *Region) {
	n := m.get("anchors")
	if n == nil {
		return
	}
	items := p.sequence(n, "anchors")
	for _, item := range items {
		a, ok := p.text(item, "an anchor")
		switch {
		case !ok:
		case !isAnchor(a):
			p.wrong(item, "write an address to ping, as in 192.0.2.1, or an address and a port, as in 192.0.2.1:53", "%q is not an anchor", a)
		default:
			r.Anchors = append(r.Anchors, a)
		}
	}
	if len(items) > AnchorsMax {
		p.wrong(n, "two or three of different owners are enough", "more than %d anchors", AnchorsMax)
	}
}

func (p *fileParser) missing(m *mapping, key, what string) {
	if m.values[key] == nil {
		p.wrong(m.node, fmt.Sprintf("add '%s: ...'", key), "%s has no %s", what, key)
	}
}

func (p *fileParser) hosts(top *mapping) {
	n := top.get("hosts")
	if n == nil {
		p.wrong(top.node, "list your servers", "there are no hosts")
		return
	}
	items := p.sequence(n, "hosts")
	if len(items) > HostsMax {
		p.wrong(n, "split the mesh in two", "more than %d hosts", HostsMax)
		return
	}
	if len(items) == 0 {
		p.wrong(n, "list your servers", "there are no hosts")
	}
	seen := map[string]string{}
	for _, item := range items {
		if m := p.mapping(item, "a host"); m != nil {
			p.host(m, seen)
		}
	}
}

func (p *fileParser) host(m *mapping, seen map[string]string) {
	h := Host{Checks: []Check{}}
	if !m.text("name", &h.Name) {
		p.missing(m, "name", "a host")
	} else if !name.MatchString(h.Key()) {
		p.wrong(m.values["name"], nameMend, "the host's name %q is not usable", h.Name)
	} else if other, twice := seen[h.Key()]; twice {
		p.wrong(m.values["name"], "give each host a name of its own; capital letters do not tell them apart", "there are two hosts %q (the other is written %q)", h.Name, other)
	} else {
		seen[h.Key()] = h.Name
	}
	p.hostRegion(m, &h)
	p.addresses(m, &h)
	m.text("role", &h.Role)
	m.boolean("public", &h.Public)
	m.text("group", &h.Group)
	p.labels(m, &h)
	p.checks(m, &h)
	m.end()
	p.out.Hosts = append(p.out.Hosts, h)
}

func (p *fileParser) hostRegion(m *mapping, h *Host) {
	if !m.text("region", &h.Region) {
		p.missing(m, "region", "the host "+h.Name)
		return
	}
	if p.out.Region(h.Region) != nil {
		return
	}
	var names []string
	for _, r := range p.out.Regions {
		names = append(names, r.Name)
	}
	mend := "add it to regions, or use one of " + strings.Join(names, ", ")
	if like := nearest(h.Region, names); like != "" {
		mend = fmt.Sprintf("did you mean %q?", like)
	} else if len(names) == 0 {
		mend = "add it to regions"
	}
	p.wrong(m.values["region"], mend, "there is no region %q", h.Region)
}

func (p *fileParser) labels(m *mapping, h *Host) {
	n := m.get("labels")
	if n == nil {
		return
	}
	labels := p.mapping(n, "labels")
	if labels == nil {
		return
	}
	if len(labels.keys) > LabelsMax {
		p.wrong(n, "keep the most useful ones", "more than %d labels", LabelsMax)
	}
	h.Labels = map[string]string{}
	for _, key := range labels.keys {
		var value string
		labels.text(key, &value)
		h.Labels[key] = value
	}
}
