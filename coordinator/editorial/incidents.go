package editorial

import (
	"context"
	"fmt"
	"slices"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// Incidents reads incidents as the events left them.
type Incidents interface {
	Incidents(ctx context.Context, q view.IncidentQuery) ([]*incident.Incident, error)
	Incident(ctx context.Context, id string) (*incident.Incident, error)
}

// IncidentEditor writes incidents. It is safe for concurrent use.
type IncidentEditor struct{ editor *Editor }

// Incidents returns what writes incidents.
func (e *Editor) Incidents() IncidentEditor { return IncidentEditor{e} }

// Opening is an incident as a person opens it.
type Opening struct {
	Title    string          `json:"title"`
	Text     string          `json:"text"` // Markdown: the first update
	Hosts    []string        `json:"hosts"`
	Checks   []string        `json:"checks,omitempty"` // of the hosts; none: all
	Impact   incident.Impact `json:"impact,omitempty"` // "": the measured one
	Tags     []string        `json:"tags,omitempty"`
	Category string          `json:"category,omitempty"`
	// NextUpdate is when the next update is promised: "30m" from now, or a time in RFC 3339.
	NextUpdate string `json:"next_update,omitempty"`
	Template   string `json:"template,omitempty"` // of the catalog, for what is empty of title and text
	Preview    bool   `json:"preview,omitempty"`
}

// Update is what a person reports of an open incident.
type Update struct {
	ID         string          `json:"id"`
	Status     incident.State  `json:"status,omitempty"` // "": as before
	Text       string          `json:"text"`
	Impact     incident.Impact `json:"impact,omitempty"` // "": as before
	Hosts      []string        `json:"hosts,omitempty"`  // that it affects as well
	Checks     []string        `json:"checks,omitempty"`
	NextUpdate string          `json:"next_update,omitempty"` // see Opening
	Template   string          `json:"template,omitempty"`
	Preview    bool            `json:"preview,omitempty"`
}

// Note is what a person writes when an incident is resolved or reopened, or explains afterwards.
type Note struct {
	ID      string `json:"id"`
	Text    string `json:"text"`
	Preview bool   `json:"preview,omitempty"`
}

// Correction is what changes in an incident; nil stays as it is. The texts before stay readable.
type Correction struct {
	ID       string           `json:"id"`
	Entry    string           `json:"entry,omitempty"` // whose text is corrected; "": the latest that a person wrote
	Title    *string          `json:"title,omitempty"`
	Text     *string          `json:"text,omitempty"`
	Impact   *incident.Impact `json:"impact,omitempty"`
	Tags     *[]string        `json:"tags,omitempty"`
	Category *string          `json:"category,omitempty"`
	Hosts    []string         `json:"hosts,omitempty"` // that it affects as well
	// Erase removes what is replaced for good: the texts of the entry, unless only the title changes, and the titles
	// before. Without a text in their place the entry says that its text was removed.
	Erase   bool `json:"erase,omitempty"`
	Preview bool `json:"preview,omitempty"`
}

// Merger continues the incident ID in the incident Into.
type Merger struct {
	ID      string `json:"id"`
	Into    string `json:"into"`
	Preview bool   `json:"preview,omitempty"`
}

// Written is the outcome of a change of an incident.
type Written struct {
	ID   string `json:"id"`             // of the incident
	Page string `json:"page,omitempty"` // of a preview: the page's text; nothing was written
	Text string `json:"text,omitempty"` // of a preview: what a person or a template wrote, Markdown
	Note string `json:"note,omitempty"` // what the person should know
	// Removal is what is known of the texts that were erased; nil if none was.
	Removal *Removal `json:"removal,omitempty"`
}

// OpenIncident opens an incident, or takes over the open one of the mesh for one of its hosts. One that is resolved is
// never continued: people reopen it.
func (e IncidentEditor) OpenIncident(ctx context.Context, o Opening) (Written, error) {
	e.editor.mu.Lock()
	defer e.editor.mu.Unlock()
	if err := e.useTemplate(o.Template, &o.Title, &o.Text); err != nil {
		return Written{}, err
	}
	event := ledger.PostEvent{} // posts and incidents are described alike
	d := Draft{Title: o.Title, Text: o.Text, Tags: o.Tags, Category: o.Category}
	if err := e.editor.describe(&event, d); err != nil {
		return Written{}, err
	}
	hosts, internal, err := e.subjects(o.Hosts, o.Checks)
	if err != nil {
		return Written{}, err
	}
	if len(hosts) == 0 {
		return Written{}, errkind.In("hosts", invalid("name at least one host that the incident affects"))
	}
	c := incident.Change{
		ID: newID(), Action: incident.ActionOpen, State: incident.Investigating, Impact: o.Impact, Hosts: hosts,
		Tags: &event.Tags, Category: &event.Category,
	}
	if err := e.prepare(&c, o.NextUpdate); err != nil {
		return Written{}, err
	}
	measured, resolved, err := e.measured(ctx, c, internal)
	if err != nil {
		return Written{}, err
	}
	note := ""
	switch {
	case measured != nil:
		c.ID = measured.ID
		note = "it continues the incident that is measured since " + clock(measured.Wall(measured.Began))
		if measured.Impact.WorseThan(o.Impact) && o.Impact != "" {
			c.Impact = "" // the measured one: who opens may not have seen it
			note += fmt.Sprintf("; its impact stays %s, which is measured: `incident update %s --impact %s` lowers it",
				measured.Impact, c.ID, o.Impact)
		}
	case resolved != nil:
		note = fmt.Sprintf("it is a new incident: incident %s (%s) is over since %s; `incident merge %[1]s %[4]s` makes "+
			"that a part of it", resolved.ID, resolved.Name(), clock(resolved.Wall(resolved.Resolved)), c.ID)
	}
	return e.change(ctx, request{
		before: measured, internal: internal, change: c, preview: o.Preview, note: note,
		text: &ledger.Text{Title: o.Title, Body: o.Text},
	})
}

// measured returns the newest open incident that the mesh opened for one of the hosts and nobody took over; if there is
// none, the newest of the hosts that was resolved lately, which the mesh would reopen.
func (e IncidentEditor) measured(
	ctx context.Context, c incident.Change, internal bool,
) (open, resolved *incident.Incident, err error) {
	recent, err := e.editor.config.Incidents.Incidents(ctx, view.IncidentQuery{ // newest first
		Since: c.Mesh.Add(-incident.ReopenWithin), Limit: view.IncidentsMax,
	})
	if err != nil {
		return nil, nil, err
	}
	if all := incident.NewBook(recent, 0).NotTakenOver(c.Hosts, internal); len(all) > 0 {
		return all[0], nil, nil
	}
	n := slices.IndexFunc(recent, func(i *incident.Incident) bool {
		return !i.Open() && i.Internal == internal && i.Merged == "" && incident.NamesAny(i, c.Hosts)
	})
	if n < 0 {
		return nil, nil, nil
	}
	return nil, recent[n], nil
}

// UpdateIncident adds an update to an open incident.
func (e IncidentEditor) UpdateIncident(ctx context.Context, u Update) (Written, error) {
	switch {
	case u.Status == incident.Postmortem:
		return Written{}, errkind.In("status",
			invalid("status postmortem: resolve the incident, then write `incident postmortem %s`", u.ID))
	case u.Status != "" && !slices.Contains(incident.States, u.Status):
		return Written{}, errkind.In("status",
			invalid("status %q: write investigating, identified, monitoring or resolved", u.Status))
	}
	if err := e.useTemplate(u.Template, nil, &u.Text); err != nil {
		return Written{}, err
	}
	action := incident.ActionUpdate
	if u.Status == incident.Resolved {
		action = incident.ActionResolve
	}
	return e.write(ctx, u.ID, u.Preview, u.Text, func(i *incident.Incident, c *incident.Change) error {
		if !i.Open() {
			return ended(i)
		}
		c.Action, c.State, c.Impact = action, u.Status, u.Impact
		hosts, internal, err := e.subjects(u.Hosts, u.Checks)
		if err == nil && len(hosts) > 0 && internal != i.Internal {
			err = mixed(i)
		}
		if c.Hosts = hosts; err != nil {
			return err
		}
		return e.prepare(c, u.NextUpdate)
	})
}

// ResolveIncident resolves an open incident.
func (e IncidentEditor) ResolveIncident(ctx context.Context, n Note) (Written, error) {
	return e.UpdateIncident(ctx, Update{ID: n.ID, Status: incident.Resolved, Text: n.Text, Preview: n.Preview})
}

// ReopenIncident opens a resolved incident again.
func (e IncidentEditor) ReopenIncident(ctx context.Context, n Note) (Written, error) {
	return e.write(ctx, n.ID, n.Preview, n.Text, func(i *incident.Incident, c *incident.Change) error {
		if i.Open() {
			return conflict("incident %s is open (%s): write `incident update %s`", i.ID, i.State, i.ID)
		}
		c.Action, c.State = incident.ActionReopen, incident.Investigating
		return nil
	})
}

// ExplainIncident writes the post-mortem of a resolved incident.
func (e IncidentEditor) ExplainIncident(ctx context.Context, n Note) (Written, error) {
	return e.write(ctx, n.ID, n.Preview, n.Text, func(i *incident.Incident, c *incident.Change) error {
		switch {
		case i.Open():
			return notResolved(i)
		case i.State == incident.Postmortem:
			return conflict("incident %s has a post-mortem: correct it by `incident edit %s`", i.ID, i.ID)
		}
		c.Action, c.State = incident.ActionPostmortem, incident.Postmortem
		return nil
	})
}

// EditIncident corrects an incident.
func (e IncidentEditor) EditIncident(ctx context.Context, f Correction) (Written, error) {
	e.editor.mu.Lock()
	defer e.editor.mu.Unlock()
	i, err := e.find(ctx, f.ID)
	if err != nil {
		return Written{}, err
	}
	if n := incident.Corrections(i); n >= incident.CorrectionsMax && !f.Erase {
		return Written{}, conflict("incident %s was corrected %d times, which is the most: write an update", i.ID, n)
	}
	c := incident.Change{ID: i.ID, Action: incident.ActionEdit, Entry: f.Entry}
	text, err := e.correct(i, f, &c)
	if err != nil {
		return Written{}, err
	}
	if err := e.prepare(&c, ""); err != nil {
		return Written{}, err
	}
	r := request{before: i, internal: i.Internal, change: c, preview: f.Preview, text: text}
	if f.Erase {
		if err := r.erase(f); err != nil {
			return Written{}, err
		}
	}
	return e.change(ctx, r)
}

// correct writes into the change what a correction changes, and returns its text; nil if it has none.
func (e IncidentEditor) correct(i *incident.Incident, f Correction, c *incident.Change) (*ledger.Text, error) {
	if f.Title == nil && f.Text == nil && f.Impact == nil && f.Tags == nil && f.Category == nil && len(f.Hosts) == 0 &&
		!f.Erase {
		return nil, invalid("nothing changes: give a title, a text, an impact, tags, a category or hosts")
	}
	d := Draft{Title: or(f.Title, "-"), Text: or(f.Text, "-"), Tags: or(f.Tags, nil), Category: or(f.Category, "")}
	event := ledger.PostEvent{}
	if err := e.editor.describe(&event, d); err != nil {
		return nil, err
	}
	if f.Tags != nil {
		c.Tags = &event.Tags
	}
	if f.Category != nil {
		c.Category = &event.Category
	}
	c.Impact = or(f.Impact, "")
	hosts, internal, err := e.subjects(f.Hosts, nil)
	if err == nil && len(hosts) > 0 && internal != i.Internal {
		err = mixed(i)
	}
	if c.Hosts = hosts; err != nil {
		return nil, err
	}
	if f.erasesText() || f.Text != nil {
		if c.Entry, err = entryOf(i, f); err != nil {
			return nil, err
		}
	}
	if f.Title == nil && f.Text == nil {
		return nil, nil
	}
	return &ledger.Text{Title: or(f.Title, ""), Body: or(f.Text, "")}, nil
}

// MergeIncident continues an incident in another one, to which its address then leads.
func (e IncidentEditor) MergeIncident(ctx context.Context, m Merger) (Written, error) {
	e.editor.mu.Lock()
	defer e.editor.mu.Unlock()
	i, err := e.find(ctx, m.ID)
	if err != nil {
		return Written{}, err
	}
	into, err := e.find(ctx, m.Into)
	switch {
	case err != nil:
		return Written{}, err
	case into.ID == i.ID:
		return Written{}, errkind.In("into", invalid("name another incident than %s", i.ID))
	case into.Internal != i.Internal:
		return Written{}, mixed(into)
	case i.Open() && !into.Open():
		return Written{}, conflict("incident %s is open and %s is %s: reopen that first, or merge it into %s", i.ID, into.ID,
			into.State, i.ID)
	}
	c := incident.Change{ID: i.ID, Action: incident.ActionMerge, Into: into.ID}
	if err := e.prepare(&c, ""); err != nil {
		return Written{}, err
	}
	return e.change(ctx, request{before: i, into: into, internal: i.Internal, change: c, preview: m.Preview})
}

// PublishIncident makes a measured incident public that waits for it.
func (e IncidentEditor) PublishIncident(ctx context.Context, id string) (Written, error) {
	e.editor.mu.Lock()
	defer e.editor.mu.Unlock()
	i, err := e.find(ctx, id)
	if err != nil {
		return Written{}, err
	}
	c := incident.Change{ID: i.ID, Action: incident.ActionPublish}
	if err := e.prepare(&c, ""); err != nil {
		return Written{}, err
	}
	switch {
	case i.Internal:
		return Written{}, conflict("incident %s is of internal hosts: make a host public in the catalog first", i.ID)
	case i.Shown(c.Mesh):
		return Written{}, conflict("incident %s is public since %s", i.ID, clock(i.Public.Add(-c.Offset)))
	}
	return e.change(ctx, request{before: i, change: c})
}
