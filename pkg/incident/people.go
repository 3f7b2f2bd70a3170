package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Action is what a person did to an incident.
type Action string

// The actions.
const (
	ActionOpen       Action = "open" // a new incident, or one that the mesh opened and nobody took over
	ActionUpdate     Action = "update"
	ActionEdit       Action = "edit" // corrects a text, or what describes the incident
	ActionMerge      Action = "merge"
	ActionReopen     Action = "reopen"
	ActionResolve    Action = "resolve"
	ActionPostmortem Action = "postmortem"
	ActionPublish    Action = "publish"
)

// EntriesMax bounds what people write about one incident. Beyond it, they open another one.
const EntriesMax = 500

// CorrectionsMax bounds how often the texts of one incident are corrected.
const CorrectionsMax = 500

// Change is one thing that a person did. It names texts, and does not contain them.
type Change struct {
	Event    string    `json:"event"` // random: a repeat of the change has the same
	ID       string    `json:"id"`    // of the incident
	Action   Action    `json:"action"`
	State    State     `json:"state,omitempty"`  // that people report from now on; "": as before
	Impact   Impact    `json:"impact,omitempty"` // "": as before
	Hosts    []Subject `json:"hosts,omitempty"`  // that the incident names from now on, beside those before
	Tags     *[]string `json:"tags,omitempty"`   // nil: as before
	Category *string   `json:"category,omitempty"`
	Entry    string    `json:"entry,omitempty"`  // that an edit corrects; "": none
	Erased   []Erasure `json:"erased,omitempty"` // texts that an edit removes for good
	Into     string    `json:"into,omitempty"`   // the incident that a merge continues
	// NextUpdate is when people promise to write again, in mesh time. Each entry replaces the promise before.
	NextUpdate time.Time `json:"next_update,omitzero"`
	// Titled and Worded report which parts the text of the change has.
	Titled bool          `json:"titled,omitempty"`
	Worded bool          `json:"worded,omitempty"`
	Mesh   time.Time     `json:"mesh"`
	Offset time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds

	TextID string `json:"-"` // of the text; "": none
	Hidden bool   `json:"-"` // no host of the incident was public: the public must never read the text
}

// Subject is a host that a person names, with its checks if not all are meant. Names are those of the time.
type Subject struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Checks []Named `json:"checks,omitempty"`
}

// Named is a check that a person named.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Entry is what a person wrote in the timeline of an incident.
type Entry struct {
	ID         string        `json:"id"`
	At         time.Time     `json:"at"`               // mesh time
	Offset     time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
	Action     Action        `json:"action"`
	State      State         `json:"state"` // that is shown from then on
	Texts      []Text        `json:"texts"` // newest first: the present one and those before each correction
	NextUpdate time.Time     `json:"next_update,omitzero"`
	Merged     string        `json:"merged,omitempty"` // an incident that this one continues from then on
	Hidden     bool          `json:"hidden,omitempty"` // the public must not read it
	Erased     time.Time     `json:"erased,omitzero"`  // when one of its texts was removed for good, by the wall clock
}

// Text is one text of an entry, or one title of an incident.
type Text struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"` // mesh time
	Offset  time.Duration `json:"offset,omitempty"`
	Title   string        `json:"title,omitempty"`
	Body    string        `json:"body,omitempty"`    // Markdown
	Missing bool          `json:"missing,omitempty"` // it is lost
}

// Wall returns when the entry was written, by the wall clock.
func (e Entry) Wall() time.Time { return e.At.Add(-e.Offset) }

// Body returns the present text, Markdown; "" if the entry has none.
func (e Entry) Body() string {
	if len(e.Texts) == 0 {
		return ""
	}
	return e.Texts[0].Body
}

// Wall returns when the text was written, by the wall clock.
func (t Text) Wall() time.Time { return t.At.Add(-t.Offset) }

// NewByPerson returns the incident that a person opens.
func NewByPerson(c Change, internal bool) *Incident {
	i := &Incident{ID: c.ID, Impact: None, Began: c.Mesh, Opened: c.Mesh, Internal: internal}
	i.Change(c)
	return i
}

// Change applies what a person did, apart from a merge: see Absorb. Applying a change again changes nothing.
func (i *Incident) Change(c Change) {
	if slices.ContainsFunc(i.Entries, func(e Entry) bool { return e.ID == c.Event }) {
		return
	}
	publish(i, c.Mesh) // what a person writes is public at once
	if c.Action == ActionPublish {
		return
	}
	if i.Said == "" {
		i.Said = Investigating
		if i.State == Resolved {
			i.Said = Resolved
		}
	}
	if c.State != "" {
		i.Said = c.State
	}
	if c.Impact != "" {
		i.SaidImpact, i.MeasuredThen = c.Impact, measuredImpact(i)
	}
	describe(i, c)
	settle(i, c.Mesh)
	if c.Action == ActionEdit {
		correct(i, c)
		erase(i, c)
	} else {
		i.NextUpdate = c.NextUpdate
		addEntry(i, Entry{
			ID: c.Event, At: c.Mesh, Offset: c.Offset, Action: c.Action, NextUpdate: c.NextUpdate, Hidden: c.Hidden,
			Texts: c.words(),
		})
	}
	i.Updated = later(c.Mesh, i.Updated)
}

// publish makes the incident public at a time, if it is not before.
func publish(i *Incident, at time.Time) {
	if i.Internal {
		return
	}
	if i.Public.IsZero() || at.Before(i.Public) {
		i.Public = at
	}
}

func (c Change) words() []Text {
	if !c.Worded {
		return nil
	}
	return []Text{{ID: c.TextID, At: c.Mesh, Offset: c.Offset}}
}

// describe applies the parts of a change that describe the incident.
func describe(i *Incident, c Change) {
	if c.Titled && !hasText(i.Titles, c.TextID) {
		i.Titles = slices.Insert(i.Titles, 0, Text{ID: c.TextID, At: c.Mesh, Offset: c.Offset})
	}
	if c.Tags != nil {
		i.Tags = *c.Tags
	}
	if c.Category != nil {
		i.Category = *c.Category
	}
	for _, s := range c.Hosts {
		h := hostByID(i, s.ID)
		if h == nil {
			i.Hosts = append(i.Hosts, Host{Name: s.Name, ID: s.ID})
			h = &i.Hosts[len(i.Hosts)-1]
		}
		for _, check := range s.Checks {
			if !slices.ContainsFunc(h.Checks, func(n Named) bool { return n.ID == check.ID }) {
				h.Checks = append(h.Checks, check)
			}
		}
	}
}

// correct replaces the text of an entry, which keeps those before.
func correct(i *Incident, c Change) {
	for n := range i.Entries {
		if e := &i.Entries[n]; e.ID == c.Entry && c.Worded && !hasText(e.Texts, c.TextID) {
			e.Texts = slices.Insert(e.Texts, 0, c.words()...)
		}
	}
}

func hasText(texts []Text, id string) bool {
	return slices.ContainsFunc(texts, func(t Text) bool { return t.ID == id })
}

// Corrections returns how many texts of the incident were replaced by others.
func Corrections(i *Incident) (n int) {
	n = max(0, len(i.Titles)-1)
	for _, e := range i.Entries {
		n += max(0, len(e.Texts)-1)
	}
	return n
}

// addEntry adds an entry with the state that is shown now.
func addEntry(i *Incident, e Entry) {
	if len(i.Entries) < EntriesMax {
		e.State = i.State
		i.Entries = append(i.Entries, e)
	}
}

func hostByID(i *Incident, id string) *Host {
	n := slices.IndexFunc(i.Hosts, func(h Host) bool { return h.ID == id })
	if n < 0 {
		return nil
	}
	return &i.Hosts[n]
}

// Absorb continues another incident of the same audience in this one, which keeps its own title. The other one must not
// be used afterwards.
func (i *Incident) Absorb(other *Incident, c Change) {
	impact := i.Impact
	if other.Impact.WorseThan(impact) {
		impact = other.Impact
	}
	for _, part := range other.Hosts {
		if h := hostByID(i, part.ID); h != nil {
			h.absorb(part)
		} else {
			i.Hosts = append(i.Hosts, part)
		}
	}
	for _, u := range other.Updates {
		u.Of = cmp.Or(u.Of, other.ID)
		i.Updates = append(i.Updates, u)
	}
	slices.SortStableFunc(i.Updates, func(a, b Update) int { return a.At.Compare(b.At) })
	i.LeftOut += other.LeftOut
	i.Reopened += other.Reopened
	for len(i.Updates) > UpdatesMax {
		dropUpdate(i)
	}
	i.Entries = append(i.Entries, other.Entries...)
	slices.SortStableFunc(i.Entries, func(a, b Entry) int { return a.At.Compare(b.At) })
	for _, tag := range other.Tags {
		if !slices.Contains(i.Tags, tag) {
			i.Tags = append(i.Tags, tag)
		}
	}
	inherit(i, other)
	settle(i, c.Mesh)
	if c.Action == ActionMerge {
		if impact.WorseThan(i.Impact) { // a person called one of the two less bad than the other one was
			i.SaidImpact, i.MeasuredThen, i.Impact = impact, measuredImpact(i), impact
		}
		addEntry(i, Entry{
			ID: c.Event, At: c.Mesh, Offset: c.Offset, Action: ActionMerge, Merged: other.ID, Hidden: c.Hidden,
		})
	}
	i.Updated = later(c.Mesh, i.Updated)
}

// inherit takes over from a merged incident what this one lacks.
func inherit(i *Incident, other *Incident) {
	if other.Began.Before(i.Began) {
		i.Began = other.Began
	}
	if other.Opened.Before(i.Opened) {
		i.Opened = other.Opened
	}
	if !other.Public.IsZero() {
		publish(i, other.Public)
	}
	if i.Cause == "" {
		i.Cause = other.Cause
	}
	if i.Category == "" {
		i.Category = other.Category
	}
	if i.Said == "" {
		i.Said, i.SaidImpact, i.MeasuredThen = other.Said, other.SaidImpact, other.MeasuredThen
	}
	if i.NextUpdate.IsZero() {
		i.NextUpdate = other.NextUpdate
	}
}

// NamesAny reports whether one of the hosts is part of the incident.
func NamesAny(i *Incident, hosts []Subject) bool {
	return slices.ContainsFunc(hosts, func(s Subject) bool { return hostByID(i, s.ID) != nil })
}

// absorb adds the part of the same host in another incident. A check's failure is in one incident at a time, so windows
// do not overlap.
func (h *Host) absorb(other Host) {
	for _, check := range other.Checks {
		if !slices.ContainsFunc(h.Checks, func(n Named) bool { return n.ID == check.ID }) {
			h.Checks = append(h.Checks, check)
		}
	}
	if h.Status == "" || other.lastFrom().After(h.lastFrom()) || h.Status == mesh.Operational && other.ongoing() {
		h.Status = other.Status
	}
	if other.Worst.Severity() > h.Worst.Severity() {
		h.Worst = other.Worst
	}
	h.Windows = append(h.Windows, other.Windows...)
	slices.SortStableFunc(h.Windows, func(a, b Window) int { return a.From.Compare(b.From) })
}

// lastFrom returns when the latest window began; zero if there is none.
func (h *Host) lastFrom() (from time.Time) {
	for _, w := range h.Windows {
		from = later(w.From, from)
	}
	return from
}
