package web

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// State is what one answer is rendered from: catalog, snapshot and audience. All of it is immutable.
type State struct {
	Catalog  *catalog.Catalog
	Snapshot *mesh.Snapshot
	Written  uint64 // the ledger's last event: readers see what was written as soon as the writer was answered
	Audience Audience
}

// Visible reports whether the audience may see something that is public or not.
func (s State) Visible(public bool) bool { return public || s.Audience == Operators }

// OutOfDate reports whether the state is too old to be called current: the judge has stopped.
func (s State) OutOfDate() bool { return time.Since(s.Snapshot.At) > staleAfter }

// Hosts returns the hosts that the audience may see, in the catalog's order. A host that has just left the catalog may
// still be in the snapshot; it is left out, since its role and its region are no longer known.
func (s State) Hosts() []mesh.HostState {
	var out []mesh.HostState
	for _, h := range s.Snapshot.Hosts {
		// The catalog may be newer than the snapshot.
		in := s.Catalog.Host(mesh.Key(h.Name))
		if in == nil || !s.Visible(h.Public && in.Public) {
			continue
		}
		if s.Audience == Public {
			h.Checks = slices.DeleteFunc(slices.Clone(h.Checks), func(c mesh.CheckState) bool {
				return c.Internal || internalNow(s.Catalog, h.Name, c.Name)
			})
		}
		out = append(out, h)
	}
	return out
}

// Host returns the host with the key if the audience may see it.
func (s State) Host(key string) (mesh.HostState, bool) {
	hosts := s.Hosts()
	i := slices.IndexFunc(hosts, func(h mesh.HostState) bool { return mesh.Key(h.Name) == key })
	if i < 0 {
		return mesh.HostState{}, false
	}
	return hosts[i], true
}

// Moved returns the host that had the name before it was renamed, if the audience may see it and no other host has the
// name since.
func (s State) Moved(name string) (mesh.HostState, bool) {
	if h := s.Catalog.FormerHost(name); h != nil {
		return s.Host(h.Key())
	}
	return mesh.HostState{}, false
}

// Present returns the present key of the host that has the name, or had it as Moved says; else the key of the name.
func (s State) Present(name string) string {
	if h, moved := s.Moved(name); moved {
		return mesh.Key(h.Name)
	}
	return mesh.Key(name)
}

// MovedCheck returns the check of the host that had a name which is the wanted one before it was renamed, and no check
// of the host has since.
func (s State) MovedCheck(h mesh.HostState, wanted func(name string) bool) (mesh.CheckState, bool) {
	host := s.Catalog.Host(mesh.Key(h.Name))
	if host == nil {
		return mesh.CheckState{}, false
	}
	for _, f := range slices.Backward(s.Catalog.Former) {
		if f.Host != host.Identity() || !wanted(f.Name) {
			continue
		}
		if now := s.Catalog.FormerCheck(host, f.Name); now != nil {
			i := slices.IndexFunc(h.Checks, func(c mesh.CheckState) bool { return c.Name == now.Name })
			if i >= 0 {
				return h.Checks[i], true
			}
		}
	}
	return mesh.CheckState{}, false
}

// Spelled returns the host's name as the catalog spells it now, or as it is where the catalog has no such host. What is
// stored has the spelling of its time.
func (s State) Spelled(name string) string {
	if h := s.Catalog.Host(mesh.Key(name)); h != nil {
		return h.Name
	}
	return name
}

// City returns the city of a region, or the region's name if the catalog has no city for it.
func (s State) City(region string) string {
	return sentence.City(s.Catalog, region)
}

// VoteReason returns the reason of a vote as a page shows it. The public gets a fixed phrase without a subject
// ("refused the connection"), operators free text.
func (s State) VoteReason(v mesh.RegionVote) string {
	if s.Audience == Public && v.Why != "" {
		return "it " + v.Why
	}
	return v.Why
}

// InClientsWords returns the incident with hosts called as clients call them: "Mail" for NC036. Operators read names.
func (s State) InClientsWords(i *incident.Incident) *incident.Incident {
	if s.Audience == Operators {
		return i
	}
	out := *i
	out.Hosts, out.Updates = slices.Clone(i.Hosts), slices.Clone(i.Updates)
	for n := range out.Hosts {
		out.Hosts[n].Name = s.Called(out.Hosts[n].Name)
	}
	for n := range out.Updates {
		u := &out.Updates[n]
		u.Host, u.With = s.Called(u.Host), slices.Clone(u.With)
		for m := range u.With {
			u.With[m].Host = s.Called(u.With[m].Host)
		}
	}
	return &out
}

// Called returns what clients call the host with a name: its title, if it has one.
func (s State) Called(name string) string {
	if h := s.Catalog.Host(mesh.Key(name)); h != nil {
		return h.Called()
	}
	return name
}
