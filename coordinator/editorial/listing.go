package editorial

import (
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// Incident is an incident as operators read it. Times are by the wall clock.
type Incident struct {
	ID       string          `json:"id"`
	Title    string          `json:"title"`
	State    incident.State  `json:"state"`    // that is shown
	Measured string          `json:"measured"` // ongoing, over, or none: the mesh measured no outage
	Impact   incident.Impact `json:"impact"`
	Hosts    []string        `json:"hosts"`
	Tags     []string        `json:"tags"`
	Category string          `json:"category,omitempty"`
	Began    time.Time       `json:"began"`
	Opened   time.Time       `json:"opened"`
	Resolved time.Time       `json:"resolved,omitzero"`
	Audience string          `json:"audience"`           // public, internal, or unpublished
	Proposal string          `json:"proposal,omitempty"` // what the mesh proposes to do
	// Acknowledged is who looks after it, so that others who were notified need not; nil: nobody.
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	// NextUpdate is when the next update is promised.
	NextUpdate time.Time `json:"next_update,omitzero"`
	Merged     string    `json:"merged,omitempty"` // the incident that continues this one
	Windows    []Window  `json:"windows"`          // measured
	Updates    []Entry   `json:"updates"`          // oldest first
}

// Acknowledgement is that a person looks after an incident.
type Acknowledgement struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Window is a time during which a check failed.
type Window struct {
	Host    string    `json:"host"`
	Check   string    `json:"check"`
	Verdict string    `json:"verdict"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"`      // zero while it lasts
	Seconds float64   `json:"seconds,omitzero"` // zero while it lasts
}

// Entry is one update of an incident.
type Entry struct {
	ID     string         `json:"id"`
	At     time.Time      `json:"at"`
	State  incident.State `json:"state"`
	By     string         `json:"by"` // mesh or people
	Text   string         `json:"text"`
	Before []Before       `json:"before,omitempty"` // texts that were corrected, newest first
}

// Before is a text before a correction.
type Before struct {
	At   time.Time `json:"at"` // when it was written
	Text string    `json:"text"`
}

// ListIncidents returns incidents, newest first: at most limit, after the first offset.
func (e IncidentEditor) ListIncidents(ctx context.Context, limit, offset int) ([]Incident, error) {
	all, err := e.editor.config.Incidents.Incidents(ctx, view.IncidentQuery{Limit: limit, Offset: offset})
	if err != nil {
		return nil, err
	}
	now, _ := e.editor.config.Clock()
	out := make([]Incident, len(all))
	for n, i := range all {
		out[n] = newIncident(i, now)
	}
	e.acknowledge(ctx, out)
	return out, nil
}

// acknowledgedWait is how long a list waits to learn who looks after its incidents.
const acknowledgedWait = 2 * time.Second

// acknowledge writes into incidents who looks after them. Without the answer, which notifications give that may be busy
// or not run yet, the incidents are listed all the same.
func (e IncidentEditor) acknowledge(ctx context.Context, all []Incident) {
	if e.editor.config.Acknowledged == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgedWait)
	defer cancel()
	by, err := e.editor.config.Acknowledged(ctx)
	if err != nil {
		e.editor.config.Logger.Warn().Err(err).Msg("acknowledgements not read")
	}
	for n := range all {
		if ack, ok := by[all[n].ID]; ok {
			all[n].Acknowledged = &Acknowledgement{ack.By, ack.At.UTC()}
		}
	}
}

// ShowIncident returns one incident, and its page's text.
func (e IncidentEditor) ShowIncident(ctx context.Context, id string) (Incident, string, error) {
	i, err := e.find(ctx, id)
	if err != nil {
		return Incident{}, "", err
	}
	now, _ := e.editor.config.Clock()
	out := []Incident{newIncident(i, now)}
	e.acknowledge(ctx, out)
	return out[0], i.Page(now), nil
}

// ShowContinued returns one incident, or the one that continues it.
func (e IncidentEditor) ShowContinued(ctx context.Context, id string) (Incident, error) {
	if i, err := e.editor.config.Incidents.Incident(ctx, id); err == nil && i != nil && i.Merged != "" {
		id = i.Merged
	}
	out, _, err := e.ShowIncident(ctx, id)
	return out, err
}

func newIncident(i *incident.Incident, now time.Time) Incident {
	out := Incident{
		ID: i.ID, Title: i.Name(), State: i.State, Measured: "none", Impact: i.Impact, Hosts: i.HostNames(),
		Tags: append([]string{}, i.Tags...), Category: i.Category, Began: i.Wall(i.Began).UTC(),
		Opened: i.Wall(i.Opened).UTC(), Audience: "public", Merged: i.Merged, Windows: []Window{}, Updates: []Entry{},
	}
	if !i.Open() {
		out.Resolved = i.Wall(i.Resolved).UTC()
	}
	if !i.NextUpdate.IsZero() {
		out.NextUpdate = i.PromisedAt().UTC()
	}
	switch measured, ongoing := i.Measured(); {
	case ongoing:
		out.Measured = "ongoing"
	case measured:
		out.Measured = "over"
	}
	switch {
	case i.Internal:
		out.Audience = "internal"
	case !i.Shown(now):
		out.Audience = "unpublished"
	}
	if since, ok := i.Proposed(); ok {
		out.Proposal = "resolve: everything has worked since " + clock(i.Wall(since))
	}
	for _, h := range i.Hosts {
		for _, w := range h.Windows {
			window := Window{Host: h.Name, Check: w.Check, Verdict: string(w.Verdict), From: i.Wall(w.From).UTC()}
			if !w.To.IsZero() {
				window.To, window.Seconds = i.Wall(w.To).UTC(), incident.WholeSeconds(w.From, w.To).Seconds()
			}
			out.Windows = append(out.Windows, window)
		}
	}
	for _, m := range i.Timeline() {
		out.Updates = append(out.Updates, newEntry(i, m))
	}
	return out
}

func newEntry(i *incident.Incident, m incident.Moment) Entry {
	out := Entry{ID: m.ID(), At: m.At.UTC(), State: m.State, By: "mesh", Text: m.Text(i)}
	if m.Written == nil {
		return out
	}
	out.By = "people"
	if texts := m.Written.Texts; len(texts) > 1 {
		for _, t := range slices.Clone(texts[1:]) {
			out.Before = append(out.Before, Before{t.Wall().UTC(), t.Body})
		}
	}
	return out
}
