package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Identified is a catalog whose hosts and checks have the ids of those that they were before.
type Identified struct {
	Catalog *Catalog
	Renames []Rename
	Notes   []Note
}

// Note is what an operator may have meant otherwise.
type Note struct {
	Host, Check string // that it is about, as the next catalog has them; no Check for a host
	Text        string // a sentence
}

// Changes returns the renames and the notes as changes.
func (i Identified) Changes() (out []Change) {
	for _, r := range i.Renames {
		out = append(out, Change{What: r.String()})
	}
	for _, n := range i.Notes {
		out = append(out, Change{Host: n.Host, Check: n.Check, What: n.Text, Advice: true})
	}
	return out
}

// Rename is a host or check that keeps its id under another name.
type Rename struct {
	Host  string // as it is called now
	Check string // as it is called now; empty for a host
	From  string // the name before
	// Stated says that `was:` names the one before. Otherwise it was recognized: it alone left, and this one alone
	// came, with the same question and address.
	Stated bool
}

// String returns the rename as a sentence.
func (r Rename) String() string {
	what, before := r.Host, "host "+r.From
	if r.Check != "" {
		what, before = r.Host+" "+r.Check, "check "+r.From
	}
	if r.Stated {
		return fmt.Sprintf("%s: keeps the history of the %s", what, before)
	}
	return fmt.Sprintf("%s: keeps the history of the %s, since it asks the same at the same address", what, before)
}

// notesMax bounds how many notes Identify returns.
const notesMax = 20

// Identify returns a copy of the next catalog, sealed, with the ids of the previous one, which may be nil. A host or
// check that keeps its name keeps its id; one that `was:` another takes that one's; without `was:` it does so if
// exactly one left and exactly one came with the same question and address; all others get new ids. The error says
// which `was:` cannot be applied, and why. Ids in the next catalog are ignored.
func Identify(previous, next *Catalog) (Identified, error) {
	if previous == nil {
		previous = &Catalog{}
	}
	out := *next
	out.Hosts, out.Former = slices.Clone(next.Hosts), slices.Clone(previous.Former)
	d := identification{previous: previous, next: &out}
	d.identify()
	if len(d.mistakes) > 0 {
		return Identified{}, errors.Join(d.mistakes...)
	}
	Seal(&out)
	return Identified{Catalog: &out, Renames: d.renames, Notes: d.notes}, nil
}

// identification is one call of Identify.
type identification struct {
	previous, next *Catalog
	taken          map[string]bool // ids that nobody new may get
	renames        []Rename
	notes          []Note
	mistakes       []error
}

func (d *identification) identify() {
	m := d.matchHosts()
	before := make([]*Host, len(d.next.Hosts)) // the host that each was
	for i := range d.next.Hosts {
		h := &d.next.Hosts[i]
		h.ID, h.Checks = "", slices.Clone(h.Checks)
		if p := m.before[i]; p >= 0 {
			before[i] = &d.previous.Hosts[p]
			h.ID = before[i].Identity()
			d.renamed(Rename{Host: h.Name, From: before[i].Name, Stated: m.stated[i]}, h.ID, "")
		}
	}
	for i := range d.next.Hosts {
		d.matchChecks(before[i], &d.next.Hosts[i])
	}
	if len(d.next.Former) > FormerMax {
		d.next.Former = d.next.Former[len(d.next.Former)-FormerMax:]
	}
	d.giveNewIDs()
}

// renamed records a rename, unless only the spelling changed.
func (d *identification) renamed(r Rename, id, host string) {
	now := r.Host
	if r.Check != "" {
		now = r.Check
	}
	if mesh.Key(r.From) == mesh.Key(now) {
		return
	}
	d.renames = append(d.renames, r)
	d.next.Former = append(slices.DeleteFunc(d.next.Former, func(f Former) bool {
		return f.ID == id && f.Host == host && mesh.Key(f.Name) == mesh.Key(r.From)
	}), Former{ID: id, Host: host, Name: r.From})
}

func (d *identification) matchHosts() matches {
	old, new := d.previous.Hosts, d.next.Hosts
	m := matcher{
		what: "host",
		same: func(p, n int) bool {
			return len(new[n].Addresses) > 0 && old[p].Region == new[n].Region && old[p].SameAddresses(&new[n])
		},
		former: func(name string) string {
			if h := d.previous.FormerHost(name); h != nil {
				return h.Name
			}
			return ""
		},
	}
	for _, h := range old {
		m.old = append(m.old, named{h.Name, h.Was})
	}
	for _, h := range new {
		m.new = append(m.new, named{h.Name, h.Was})
	}
	return d.match(m)
}

// matchChecks gives the checks of a host the ids that they had; before is the host that it was, or nil.
func (d *identification) matchChecks(before, h *Host) {
	if before == nil {
		for i := range h.Checks {
			h.Checks[i].ID = ""
		}
		return
	}
	m := matcher{
		what: "check", host: h.Name, of: h.Name + " ",
		same: func(p, n int) bool {
			return before.SameAddresses(h) && before.Checks[p].SameQuestion(&h.Checks[n])
		},
		former: func(name string) string {
			if c := d.previous.FormerCheck(before, name); c != nil {
				return c.Name
			}
			return ""
		},
	}
	for _, c := range before.Checks {
		m.old = append(m.old, named{c.Name, c.Was})
	}
	for _, c := range h.Checks {
		m.new = append(m.new, named{c.Name, c.Was})
	}
	found := d.match(m)
	for i := range h.Checks {
		c := &h.Checks[i]
		c.ID = ""
		if p := found.before[i]; p >= 0 {
			c.ID = before.IdentityOf(&before.Checks[p])
			d.renamed(Rename{Host: h.Name, Check: c.Name, From: before.Checks[p].Name, Stated: found.stated[i]}, c.ID, h.ID)
		}
	}
}

func (d *identification) match(m matcher) matches {
	out := m.match()
	d.mistakes = append(d.mistakes, m.mistakes...)
	d.notes = append(d.notes, m.notes...)
	d.notes = d.notes[:min(len(d.notes), notesMax)]
	return out
}

// giveNewIDs gives ids to hosts and checks that are new. A first id that belongs to a renamed host or check, also to
// one that is gone since, is not given again.
func (d *identification) giveNewIDs() {
	d.taken = map[string]bool{}
	for _, f := range d.next.Former {
		d.taken[f.ID] = true
	}
	for i := range d.next.Hosts {
		h := &d.next.Hosts[i]
		d.taken[h.ID] = true
		for k := range h.Checks {
			d.taken[h.Checks[k].ID] = true
		}
	}
	for i := range d.next.Hosts {
		h := &d.next.Hosts[i]
		if h.ID == "" {
			h.ID = d.newID(FirstHostID(h.Name), "host", h.Name)
		}
		for k := range h.Checks {
			if c := &h.Checks[k]; c.ID == "" {
				c.ID = d.newID(h.firstCheckID(c.Name), "check", h.ID, c.Name)
			}
		}
	}
}

// newID returns the first id, or another one made of the parts if the first is taken.
func (d *identification) newID(first string, parts ...string) string {
	id := first
	for n := 2; d.taken[id]; n++ {
		id = stableID(append(slices.Clone(parts), strconv.Itoa(n))...)
	}
	d.taken[id] = true
	return id
}
