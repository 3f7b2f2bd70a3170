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
		Ended: i.Wall(i.Resolved), State: string(i.State), Tags: i.Tags, Category: i.Category, Shown: archive.Never,
	}
	if !i.Internal && !i.Public.IsZero() {
		e.Shown = i.Wall(i.Public)
	}
	for _, h := range i.Hosts {
		if h.ID != "" && !slices.Contains(e.Hosts, h.ID) {
			e.Hosts = append(e.Hosts, h.ID)
		}
	}
	for _, m := range i.Timeline() {
		if m.Written != nil && m.Written.Hidden && !i.Internal {
			continue
		}
		u := archive.Update{ID: m.ID(), At: m.At, State: string(m.State), Text: m.Text(i), Plain: m.Plain()}
		if m.Written != nil {
			u.Edited, u.Before = m.Written.Corrected(), m.Written.before()
		}
		e.Updates = append(e.Updates, u)
	}
	return e
}

// before returns the texts before corrections, newest first.
func (e Entry) before() (out []archive.Earlier) {
	for n := 1; n < len(e.Texts); n++ {
		out = append(out, archive.Earlier{At: e.Texts[n].Wall(), Text: e.Texts[n].Body})
	}
	return out
}

// Documents are what the search finds of the incident: each host's measured part for itself, since a reader may see
// some of the hosts only, and what people wrote.
func (i *Incident) Documents(plain func(markdown string) string) (out []archive.Document) {
	for _, h := range i.Hosts {
		measured := part(i, []string{mesh.Key(h.Name)})
		if measured == nil {
			continue
		}
		measured.Entries = nil
		for _, d := range measured.Entry().Documents(plain) {
			d.Host = h.ID
			out = append(out, d)
		}
	}
	written := *i
	written.Updates = nil
	for _, d := range written.Entry().Documents(plain) {
		d.Title = givenTitle(i) // one that was made of the hosts' names would name them all
		out = append(out, d)
	}
	return out
}
