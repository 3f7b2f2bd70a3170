package vantage

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// permitted is the catalog without the hosts that this machine's owner does not allow: gossip goes to the catalog's addresses
// too, and must not become the way around the allow-list.
func (v *vantage) permitted(c *catalog.Catalog) *catalog.Catalog {
	if v.Allow == nil {
		return c
	}
	out := *c
	out.Hosts = slices.DeleteFunc(slices.Clone(c.Hosts), func(h catalog.Host) bool {
		foreign := func(address string) bool { return !v.Allow.Lists(address) }
		return h.Key() != v.Name && slices.ContainsFunc(h.Addresses, foreign)
	})
	return &out
}
