// Package ratelimit shares out what is bounded among clients, places and how often they may ask, so that none of them takes those of all
// others. While there is room nobody is turned away: many people may stand behind one address.
package ratelimit

import (
	"net"
	"net/netip"
	"slices"
)

// prefix6 is how much of an IPv6 address tells one client from another: who has one address has all that share it.
const prefix6 = 64

// Client is whom an address stands for, with or without a port: an IPv4 address, or an IPv6 /64. What is no address is the zero
// client.
func Client(address string) netip.Prefix {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = prefix6
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// Places are bounded: so many in all, and so many for one client. They are not safe for concurrent use.
type Places[G comparable] struct {
	most, each, taken int
	held              map[netip.Prefix][]G // oldest first
}

// New has places for most guests, of which one client may have each.
func New[G comparable](most, each int) *Places[G] {
	return &Places[G]{most: most, each: each, held: map[netip.Prefix][]G{}}
}

// Take gives a guest of the client a place. Where all are taken, a guest of the client that holds the most makes way, and is
// returned: the oldest that idle reports of, or the oldest. A client that holds the most itself is given no place, unless one of
// its own is idle; so those who come back at once do not push one another out for ever. A nil idle is never.
func (p *Places[G]) Take(c netip.Prefix, g G, idle func(G) bool) (gone *G, ok bool) {
	if p.taken >= p.most || len(p.held[c]) >= p.each {
		from := c
		if len(p.held[c]) < p.each {
			from = p.greatest(c)
		}
		if gone = pick(p.held[from], from != c, idle); gone == nil {
			return nil, false
		}
		p.Leave(from, *gone)
	}
	p.held[c] = append(p.held[c], g)
	p.taken++
	return gone, true
}

// greatest is the client that holds the most places: c itself, where none holds more than c would.
func (p *Places[G]) greatest(c netip.Prefix) netip.Prefix {
	found, most := c, len(p.held[c])+1
	for client, guests := range p.held {
		if len(guests) > most {
			found, most = client, len(guests)
		}
	}
	return found
}

// pick is the guest that makes way: of another's, at any rate one.
func pick[G comparable](guests []G, others bool, idle func(G) bool) *G {
	for i := range guests {
		if idle != nil && idle(guests[i]) {
			g := guests[i]
			return &g
		}
	}
	if others && len(guests) > 0 {
		g := guests[0]
		return &g
	}
	return nil
}

// Leave gives a guest's place back. One that has none is no matter.
func (p *Places[G]) Leave(c netip.Prefix, g G) {
	guests := p.held[c]
	i := slices.Index(guests, g)
	if i < 0 {
		return
	}
	p.taken--
	if p.held[c] = slices.Delete(guests, i, i+1); len(guests) == 1 {
		delete(p.held, c)
	}
}
