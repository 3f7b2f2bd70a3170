package catalog

// Pairing finds the hosts and checks of one catalog in another, by their ids.
type Pairing struct {
	from, to map[string]*Host // by id
	target   *Catalog
}

// Pair pairs two catalogs, in either direction of time.
func Pair(from, to *Catalog) *Pairing {
	p := &Pairing{from: map[string]*Host{}, to: map[string]*Host{}, target: to}
	for i := range from.Hosts {
		p.from[from.Hosts[i].Identity()] = &from.Hosts[i]
	}
	for i := range to.Hosts {
		p.to[to.Hosts[i].Identity()] = &to.Hosts[i]
	}
	return p
}

// Host returns the same host in the other catalog, or nil. Early versions knew no ids, so that a host that was spelled
// otherwise seems to have another one: the same name is the same host there, unless ids say that it is not.
func (p *Pairing) Host(h *Host) *Host {
	if other := p.to[h.Identity()]; other != nil {
		return other
	}
	if other := p.target.Host(h.Key()); other != nil && p.from[other.Identity()] == nil {
		return other
	}
	return nil
}

// Check returns the same check of the same host in the other catalog, or nil. other is what Host returned for h.
func (p *Pairing) Check(h, other *Host, c *Check) *Check {
	if other == nil {
		return nil
	}
	if same := other.CheckByID(h.IdentityOf(c)); same != nil {
		return same
	}
	if same := other.Check(c.Name); same != nil && h.CheckByID(other.IdentityOf(same)) == nil {
		return same
	}
	return nil
}
