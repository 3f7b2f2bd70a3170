package incident

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Entry is the incident as the archive lists it. Of an incident that Only returned, it names the hosts of that part.
func (i *Incident) Entry() archive.Entry {
	e := archive.Entry{
		Kind: archive.Incident, ID: i.ID, Title: i.Name(), At: i.Wall(i.Began), Updated: i.Wall(i.Updated),
		Ended: i.Wall(i.Resolved), State: string(i.State),
	}
	for _, h := range i.Hosts {
		if h.ID != "" && !slices.Contains(e.Hosts, h.ID) {
			e.Hosts = append(e.Hosts, h.ID)
		}
	}
	for _, u := range i.Updates {
		e.Updates = append(e.Updates, archive.Update{
			ID: u.ID, At: i.Wall(u.At), State: string(u.State), Text: i.Text(u), Plain: true,
		})
	}
	return e
}

// Documents are what the search finds of the incident: each host's part for itself, since a reader may see some of the
// hosts only.
func (i *Incident) Documents(plain func(markdown string) string) (out []archive.Document) {
	for _, h := range i.Hosts {
		part := i.Only([]string{mesh.Key(h.Name)})
		if part == nil {
			continue
		}
		for _, d := range part.Entry().Documents(plain) {
			d.Host = h.ID
			out = append(out, d)
		}
	}
	return out
}
