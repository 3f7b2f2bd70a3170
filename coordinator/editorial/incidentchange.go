package editorial

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// promiseMax bounds how far ahead the next update may be promised.
const promiseMax = 14 * 24 * time.Hour

// request is a valid change of an incident.
type request struct {
	before   *incident.Incident // nil: it is new
	into     *incident.Incident // of a merge
	internal bool
	change   incident.Change
	text     *ledger.Text           // nil: none
	kept     map[string]ledger.Text // what stays of erased texts, by the id of the erased one
	preview  bool
	note     string
}

// write finds an incident, has describe make the change, and applies it with its text.
func (e IncidentEditor) write(
	ctx context.Context, id string, preview bool, text string, describe func(*incident.Incident, *incident.Change) error,
) (Written, error) {
	e.editor.mu.Lock()
	defer e.editor.mu.Unlock()
	i, err := e.find(ctx, id)
	if err != nil {
		return Written{}, err
	}
	if err := checkText(text); err != nil {
		return Written{}, errkind.In("text", err)
	}
	c := incident.Change{ID: i.ID}
	if err := e.prepare(&c, ""); err != nil {
		return Written{}, err
	}
	if err := describe(i, &c); err != nil {
		return Written{}, err
	}
	if len(i.Entries) >= incident.EntriesMax {
		return Written{}, conflict("incident %s has %d updates: open another one", i.ID, len(i.Entries))
	}
	return e.change(ctx, request{
		before: i, internal: i.Internal, change: c, preview: preview, text: &ledger.Text{Body: text},
	})
}

// find returns the incident with the id, or an error that says which there are.
func (e IncidentEditor) find(ctx context.Context, id string) (*incident.Incident, error) {
	i, err := e.editor.config.Incidents.Incident(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case i == nil:
		return nil, errkind.Wrap(errkind.NotFound, fmt.Errorf("incident %q: %w: %s", id, ledger.ErrNoIncident, e.known(ctx)))
	case i.Merged != "":
		return nil, conflict("incident %s is continued in %s: use that id", i.ID, i.Merged)
	}
	return i, nil
}

// known says which incidents are open.
func (e IncidentEditor) known(ctx context.Context) string {
	now, _ := e.editor.config.Clock()
	open, err := e.editor.config.Incidents.Incidents(ctx, view.IncidentQuery{Since: now.AddDate(100, 0, 0), Limit: 5})
	if err != nil || len(open) == 0 {
		return "none is open; `coordinator incident list` lists all"
	}
	var ids []string
	for _, i := range open {
		ids = append(ids, fmt.Sprintf("%s (%s)", i.ID, i.Name()))
	}
	return "open are " + strings.Join(ids, ", ")
}

// prepare gives a change its id, its time and the promise of the next update.
func (e IncidentEditor) prepare(c *incident.Change, next string) error {
	if c.Impact != "" && !slices.Contains(incident.Impacts, c.Impact) {
		return errkind.In("impact", invalid("impact %q: write none, minor, major or critical", c.Impact))
	}
	c.Event = newID()
	c.Mesh, c.Offset = e.editor.config.Clock()
	c.Mesh = c.Mesh.UTC()
	if next == "" {
		return nil
	}
	if after, err := time.ParseDuration(next); err == nil {
		c.NextUpdate = c.Mesh.Add(after)
	} else if at, err := time.Parse(time.RFC3339, next); err == nil {
		c.NextUpdate = at.UTC().Add(c.Offset)
	} else {
		return errkind.In("next_update",
			invalid("next update %q: write how long from now, as in 30m, or a time as in 2026-03-01T13:00:00Z", next))
	}
	if !c.NextUpdate.After(c.Mesh) || c.NextUpdate.After(c.Mesh.Add(promiseMax)) {
		return errkind.In("next_update", invalid("next update %q: promise an update within the next 14 days", next))
	}
	return nil
}

// change stores the text, appends the event, and returns what the person should know. A preview does neither.
func (e IncidentEditor) change(ctx context.Context, r request) (Written, error) {
	c := &r.change
	if r.text != nil {
		c.Titled, c.Worded = r.text.Title != "", r.text.Body != ""
	}
	if r.preview {
		page, err := r.page()
		out := Written{ID: c.ID, Page: page, Note: r.note}
		if r.text != nil {
			out.Text = r.text.Body
		}
		return out, err
	}
	event, err := e.event(ctx, r)
	if err != nil {
		return Written{}, err
	}
	if err := e.editor.config.Ledger.Append(ctx, event); err != nil {
		return Written{}, err
	}
	out := Written{ID: c.ID, Note: r.note}
	if len(c.Erased) > 0 {
		removal := e.editor.eraseNow(ctx, "incident", c.ID, r.erased())
		out.Removal = &removal
	}
	if c.Action == incident.ActionMerge {
		out.ID = c.Into
	}
	if c.State.Ended() {
		i, err := e.editor.config.Incidents.Incident(ctx, out.ID)
		if err != nil {
			return out, nil // it is written
		}
		out.Note = stillFailing(i)
	}
	return out, nil
}

// stillFailing says that an incident that a person resolved is shown as monitoring.
func stillFailing(i *incident.Incident) string {
	if i == nil || !i.Open() {
		return ""
	}
	return "the mesh measures that these still fail: " + failing(i) +
		". The page says \"monitoring\" until it sees them work, then \"resolved\""
}

// failing names the checks of an incident that fail now.
func failing(i *incident.Incident) string {
	var checks []string
	for _, f := range i.Failing() {
		checks = append(checks, f.Host+" "+f.Check+" since "+clock(i.Wall(f.From)))
	}
	return strings.Join(checks, ", ")
}

// notResolved says why an open incident cannot be explained yet: it may have been resolved before.
func notResolved(i *incident.Incident) error {
	switch still := failing(i); {
	case i.Said.Ended() && still != "":
		return conflict("incident %s was called resolved, but the mesh measures that these still fail: %s. Write the "+
			"post-mortem once they work", i.ID, still)
	case i.Reopened > 0 && still != "":
		return conflict("incident %s was reopened (%s), since these fail: %s. Write `incident resolve %s` and the "+
			"post-mortem once they work", i.ID, i.State, still, i.ID)
	}
	return conflict("incident %s is not resolved (%s): write `incident resolve %s` first", i.ID, i.State, i.ID)
}

// page returns the text of the page as the change would leave it.
func (r request) page() (string, error) {
	c := r.change
	c.TextID, c.Erased = "preview", slices.Clone(c.Erased)
	texts := map[string]ledger.Text{}
	if r.text != nil {
		texts[c.TextID] = *r.text
	}
	for n := range c.Erased {
		c.Erased[n].Next = "kept-" + c.Erased[n].ID
		texts[c.Erased[n].Next] = r.kept[c.Erased[n].ID]
	}
	i, err := clone(r.before)
	if err != nil {
		return "", err
	}
	switch {
	case r.into != nil:
		into, err := clone(r.into)
		if err != nil {
			return "", err
		}
		into.Absorb(i, c)
		i = into
	case i == nil:
		i = incident.NewByPerson(c, r.internal)
	default:
		i.Change(c)
	}
	fill := func(of []incident.Text) {
		for n := range of {
			if t, ok := texts[of[n].ID]; ok {
				of[n].Title, of[n].Body = t.Title, t.Body
			}
		}
	}
	fill(i.Titles)
	for n := range i.Entries {
		fill(i.Entries[n].Texts)
	}
	return i.Page(c.Mesh), nil
}

// clone returns a deep copy.
func clone(i *incident.Incident) (*incident.Incident, error) {
	if i == nil {
		return nil, nil
	}
	data, err := json.Marshal(i)
	if err != nil {
		return nil, err
	}
	out := &incident.Incident{}
	return out, json.Unmarshal(data, out)
}

// useTemplate fills what is empty from a template of the catalog. A nil title is not filled.
func (e IncidentEditor) useTemplate(name string, title, text *string) error {
	if name == "" {
		return nil
	}
	settings := e.editor.config.Catalog().IncidentsOr()
	t := settings.Template(name)
	if t == nil {
		var names []string
		for _, known := range settings.Templates {
			names = append(names, known.Name)
		}
		if len(names) == 0 {
			return errkind.In("template", errkind.New(errkind.NotFound,
				"the catalog has no templates: add them to incidents.templates"))
		}
		return errkind.In("template", errkind.New(errkind.NotFound,
			fmt.Sprintf("template %q: the catalog has %s", name, strings.Join(names, ", "))))
	}
	if title != nil && *title == "" {
		*title = t.Title
	}
	if *text == "" {
		*text = t.Text
	}
	return nil
}

// subjects returns the named hosts with the named checks, and whether they are internal. Public and internal hosts do
// not go together: what is public must not contain what is not.
func (e IncidentEditor) subjects(hosts, checks []string) (out []incident.Subject, internal bool, err error) {
	if len(hosts) > hostsMax || len(checks) > hostsMax {
		return nil, false, errkind.In("hosts", invalid("an incident names at most %d hosts and checks", hostsMax))
	}
	c := e.editor.config.Catalog()
	used := make([]bool, len(checks))
	var names []string
	for _, name := range hosts {
		h := c.Host(mesh.Key(name))
		if h == nil {
			return nil, false, errkind.In("hosts", errkind.New(errkind.NotFound,
				fmt.Sprintf("host %q is not in the catalog: `coordinator status` lists them", name)))
		}
		hidden := !h.Public
		s := incident.Subject{ID: h.Identity(), Name: h.Name}
		for n, check := range checks {
			if k := h.Check(check); k != nil {
				if len(s.Checks) > 0 && hidden == h.Shows(k) {
					return nil, false, errkind.In("checks", invalid(
						"%s is internal and %s is public, or the other way: open an incident for each", k.Name,
						s.Checks[0].Name))
				}
				hidden = !h.Shows(k)
				s.Checks, used[n] = append(s.Checks, incident.Named{ID: h.IdentityOf(k), Name: k.Name}), true
			}
		}
		if len(out) > 0 && internal != hidden {
			return nil, false, invalid(
				"hosts: %s is internal and %s is public, or the other way: open an incident for each", h.Name, out[0].Name)
		}
		internal = hidden
		for _, k := range h.Checks {
			names = append(names, k.Name)
		}
		out = append(out, s)
	}
	if n := slices.Index(used, false); n >= 0 {
		return nil, false, errkind.In("checks", errkind.New(errkind.NotFound,
			fmt.Sprintf("check %q is none of the hosts': they have %s", checks[n], strings.Join(names, ", "))))
	}
	return out, internal, nil
}

func ended(i *incident.Incident) error {
	return conflict("incident %s is %s: `incident reopen %s` opens it again, `incident edit %s` corrects it, and "+
		"`incident postmortem %s` explains it", i.ID, i.State, i.ID, i.ID, i.ID)
}

func mixed(i *incident.Incident) error {
	audience := "public"
	if i.Internal {
		audience = "internal"
	}
	return conflict("incident %s is of %s hosts only: open another one for the others", i.ID, audience)
}

// clock writes a time as messages have it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
