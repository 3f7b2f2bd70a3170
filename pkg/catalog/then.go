package catalog

import "github.com/probemesh/probemesh/pkg/mesh"

// HostThen returns the host of a catalog of the past that a name means: the host that had it then, the one that has it
// at present, or one that had it before; nil if there is none. People ask for a moment by the names that they know.
func HostThen(then, present *Catalog, name string) *Host {
	same := func(now *Host) *Host {
		if now == nil {
			return nil
		}
		return then.HostByID(now.Identity())
	}
	if h := then.Host(mesh.Key(name)); h != nil {
		return h
	}
	if now := present.Host(mesh.Key(name)); now != nil {
		return same(now)
	}
	if h := then.FormerHost(name); h != nil {
		return h
	}
	return same(present.FormerHost(name))
}

// CheckThen is HostThen for a check of a host in the catalog of the past.
func CheckThen(then, present *Catalog, h *Host, name string) *Check {
	if c := h.Check(name); c != nil {
		return c
	}
	now := present.HostByID(h.Identity())
	if now != nil {
		if c := now.Check(name); c != nil {
			return h.CheckByID(now.IdentityOf(c))
		}
	}
	if c := then.FormerCheck(h, name); c != nil || now == nil {
		return c
	}
	if c := present.FormerCheck(now, name); c != nil {
		return h.CheckByID(now.IdentityOf(c))
	}
	return nil
}
