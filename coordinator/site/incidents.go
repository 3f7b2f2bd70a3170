package site

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// updatesShown is how many updates of an open incident the front page shows; its own page has all.
const updatesShown = 3

type incidentView struct {
	web.Look
	ID, Name, Lasted string
	Plain            string // the name as programs read it, with the names of hosts
	Open             bool
	Began, Resolved  time.Time
	Impact           string
	Measured         string // what the mesh measures, beside what people say
	Promise          string // when people write again
	Internal         bool   // operators alone read it, or until it is published
	Proposal         string // what the mesh proposes to operators
	Category         string
	Tags             []string
	Titles           []titleView // before corrections, newest first
	LeftOut          int         // updates that were dropped from the middle
	Hosts            []outageView
	Updates          []updateView // newest first
}

// titleView is a title that was replaced at a time.
type titleView struct {
	Title string
	Until time.Time
}

// outageView is what was measured of one host during an incident.
type outageView struct {
	// Was is the host's name then, if it has another one now and no title. None says that nothing was measured.
	Host, Title, Was, None string
	Windows                []windowView
}

// windowView is a time during which one check was not up.
type windowView struct {
	web.Look
	Check, Was, Lasted string
	From, To           time.Time // To is zero while it lasts
}

// Closed reports whether the window has ended. What has ended looks so.
func (w windowView) Closed() bool { return !w.To.IsZero() }

// newWindowView is a window in words; one that has ended is drawn as what works.
func newWindowView(i *incident.Incident, w incident.Window) windowView {
	v := windowView{
		Look: web.VerdictLook(w.Verdict), Check: w.Check, From: i.Wall(w.From), To: i.Wall(w.To),
	}
	v.Was = strings.ToLower(v.Word)
	if v.Closed() {
		v.Look, v.Lasted = web.ResolvedLook(), incident.FormatDuration(incident.WholeSeconds(w.From, w.To))
	}
	return v
}

func shortTime(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }

type updateView struct {
	ID, State, Hosts, Text, Evidence string
	HTML                             template.HTML // of what a person wrote; then Text is empty
	At, Corrected                    time.Time
	Before                           []beforeView
	Votes                            []decisionView    // on the page of the incident
	parts                            []incident.Update // of which the page shows the votes
}

// decisionView is how one verdict was reached.
type decisionView struct {
	web.Look
	Subject, Decided string
	At               time.Time
	Votes            []voteView
}

// beforeView is a text before it was corrected.
type beforeView struct {
	At   time.Time
	HTML template.HTML
}

func newIncidentView(s web.State, original *incident.Incident) incidentView {
	now, i := s.Snapshot.MeshTime(), s.InClientsWords(original)
	v := incidentView{
		Look: web.IncidentLook(i), ID: i.ID, Name: i.Name(), Plain: original.Name(), Open: i.Open(), Began: i.Wall(i.Began),
		Resolved: i.Wall(i.Resolved), LeftOut: i.LeftOut, Impact: string(i.Impact), Measured: measuredOf(i),
		Promise: i.Promise(now), Category: i.Category, Tags: i.Tags, Internal: !i.Shown(now.Add(staleMax)),
	}
	if since, ok := i.Proposed(); ok && s.Audience == web.Operators {
		v.Proposal = fmt.Sprintf("Everything has worked since %s: resolve it with %s incident resolve %s",
			shortTime(i.Wall(since)), command.ProgramName("coordinator"), i.ID)
	}
	measured, _ := i.Measured()
	switch {
	case i.Open():
		// Durations are in mesh time, which no step of the wall clock changes; times are shown in wall time.
		v.Lasted = ago(now.Sub(i.Began))
	case measured:
		v.Lasted = incident.FormatDuration(i.Downtime(i.Resolved))
	}
	for n := 1; n < len(i.Titles); n++ {
		v.Titles = append(v.Titles, titleView{i.Titles[n].Title, i.Titles[n-1].Wall()})
	}
	for n, h := range original.Hosts {
		v.Hosts = append(v.Hosts, newOutageView(original, h, i.Hosts[n].Name))
	}
	for _, m := range slices.Backward(i.Timeline()) {
		v.Updates = append(v.Updates, newUpdateView(i, m))
	}
	return v
}

// staleMax is how much newer than the snapshot an incident may be that is on a page with it.
const staleMax = time.Minute

// measuredOf says what the mesh measures of an incident that a person took over.
func measuredOf(i *incident.Incident) string {
	switch measured, ongoing := i.Measured(); {
	case !i.TakenOver():
		return ""
	case ongoing && len(i.Failing()) == 0:
		return "The state of its services is not known at the moment."
	case ongoing:
		var checks []string
		for _, f := range i.Failing() {
			checks = append(checks, f.Check+" ("+f.Host+")")
		}
		return "Failing at the moment: " + strings.Join(checks, ", ") + "."
	case measured:
		return "Everything has worked since " + shortTime(i.Wall(i.Over)) + "."
	}
	return "No outage was measured."
}

func (s *Site) renderIncident(ctx context.Context, state web.State, id string) (template.HTML, bool, error) {
	i, err := s.view.Incident(ctx, id)
	if err != nil || i == nil || i.Merged != "" {
		return "", false, err
	}
	v := newIncidentView(state, i)
	for n := range v.Updates {
		u := &v.Updates[n]
		transitions, err := web.TransitionsOf(ctx, s.view, u.parts)
		if err != nil {
			return "", true, err
		}
		for _, t := range transitions {
			u.Votes = append(u.Votes, newDecisionView(state, t))
		}
	}
	body, err := web.Render(templates, "incident", v)
	return body, true, err
}

// decisionsMax bounds the verdicts of one update whose votes are shown: a cut can take hundreds of checks away.
const decisionsMax = 20

func newDecisionView(s web.State, t mesh.Transition) decisionView {
	v := decisionView{
		Look: web.VerdictLook(t.Verdict), Subject: s.Called(t.Host) + " " + t.Check, Decided: decided(s, t), At: t.Published,
	}
	for _, r := range t.Votes {
		v.Votes = append(v.Votes, newVoteView(s, r))
	}
	return v
}

func newOutageView(i *incident.Incident, h incident.Host, title string) outageView {
	o := outageView{Host: h.Name, Title: title, None: "no outage measured"}
	if title == h.Name {
		o.Was = h.Was
	}
	for n, check := range h.Checks {
		if n == 0 {
			o.None += " of "
		} else {
			o.None += ", "
		}
		o.None += check.Name
	}
	for _, w := range h.Windows {
		o.Windows = append(o.Windows, newWindowView(i, w))
	}
	return o
}

func newUpdateView(i *incident.Incident, m incident.Moment) updateView {
	v := updateView{ID: m.ID(), State: capitalize(m.State.Word()), At: m.At}
	if m.Measured != nil {
		v.Hosts, v.Evidence = m.Measured.Unnamed(), m.Measured.Evidence()
		for _, p := range m.Measured.Parts() {
			if p.Check != "" && len(v.parts) < decisionsMax {
				v.parts = append(v.parts, p)
			}
		}
	}
	if m.Plain() {
		v.Text = m.Text(i)
		return v
	}
	v.HTML, v.Corrected = toHTML(m.Text(i)), m.Written.Corrected()
	for n := 1; n < len(m.Written.Texts); n++ {
		t := m.Written.Texts[n]
		v.Before = append(v.Before, beforeView{t.Wall(), toHTML(t.Body)})
	}
	return v
}

// toHTML renders Markdown for a page of the site.
func toHTML(text string) template.HTML { return template.HTML(markdown.HTML(text, "")) }

// ago says how long ago an incident began, in whole minutes: with seconds, every open page would be sent again each
// second.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute ago"
	}
	return incident.FormatDuration(d.Truncate(time.Minute)) + " ago"
}

func capitalize(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// openIncidents are the incidents at the top of the front page, with their latest updates.
func openIncidents(s web.State, all []*incident.Incident) []incidentView {
	var out []incidentView
	for _, i := range all {
		if i.Open() {
			v := newIncidentView(s, i)
			v.Updates = v.Updates[:min(len(v.Updates), updatesShown)]
			out = append(out, v)
		}
	}
	return out
}

// historyStream is the stream of which incidents are made.
const historyStream = "LEDGER"

// dayView is one day of past incidents.
type dayView struct {
	Day     string
	Today   bool   // the day, or the last of the days
	Until   string // the last of several days on which nothing happened, which are one entry; empty for one day
	Ongoing bool   // an incident that began on this day is still open, at the top of the page
	// The day, and the last of several.
	date, last time.Time
	Gap        bool // a part of the day's history is lost
	Incidents  []incidentView
	Posts      []entryView
}

// dayLayout is how days are named.
const dayLayout = "2 January 2006"

// addPosts lists posts by the day on which they were published.
func addPosts(s web.State, days []dayView, posts []archive.Entry) {
	for _, e := range posts {
		for n := range days {
			if days[n].Day == e.At.UTC().Format(dayLayout) {
				days[n].Posts = append(days[n].Posts, newEntryView(s, e))
			}
		}
	}
}

// pastIncidents lists the resolved incidents by the day on which they began, today first. Days without incidents are
// listed too: that nothing happened is worth knowing.
func pastIncidents(s web.State, all []*incident.Incident, gaps []ledger.Gap) []dayView {
	if s.Snapshot.At.IsZero() {
		return nil // nothing is judged yet
	}
	days := make([]dayView, daysShown)
	for n := range days {
		day := s.Snapshot.At.UTC().AddDate(0, 0, -n)
		days[n].Day, days[n].Today, days[n].date = day.Format(dayLayout), n == 0, day
		begins := day.Truncate(24 * time.Hour)
		days[n].Gap = slices.ContainsFunc(gaps, func(g ledger.Gap) bool {
			return g.Stream == historyStream && g.Overlaps(begins, begins.AddDate(0, 0, 1))
		})
		for _, i := range all {
			switch {
			case i.Wall(i.Began).UTC().Format(dayLayout) != days[n].Day:
			case i.Open():
				days[n].Ongoing = true
			default:
				days[n].Incidents = append(days[n].Incidents, newIncidentView(s, i))
			}
		}
	}
	return days
}

// sinceMeasured leaves out the days before the first data on which nothing is known to have happened: nothing was
// measured then.
func sinceMeasured(days []dayView, began time.Time) []dayView {
	return slices.DeleteFunc(days, func(d dayView) bool {
		return d.quiet() && d.date.Before(began.Truncate(24*time.Hour))
	})
}

// mergeQuiet makes one entry of days that follow each other and on which nothing happened.
func mergeQuiet(days []dayView) (out []dayView) {
	for _, d := range days {
		last := len(out) - 1
		if last >= 0 && d.quiet() && out[last].quiet() {
			if out[last].Until == "" {
				out[last].Until, out[last].last = out[last].Day, out[last].date
			}
			out[last].Day, out[last].date = d.Day, d.date // the days are listed from the newest
			continue
		}
		out = append(out, d)
	}
	return out
}

// Name names the day, or the days, of the last week.
func (d dayView) Name() string {
	last, first := d.last, d.date
	switch {
	case d.Until == "" && d.Today:
		return "Today"
	case d.Until == "":
		return first.Format("2 January")
	case last.Month() == first.Month():
		return fmt.Sprintf("%d to %s", first.Day(), last.Format("2 January"))
	}
	return first.Format("2 January") + " to " + last.Format("2 January")
}

// Since names the first of the days.
func (d dayView) Since() string { return d.date.Format("2 January") }

// Quiet is quiet for a template.
func (d dayView) Quiet() bool { return d.quiet() }

// quiet reports whether nothing happened on the day, or on the days, and that is certain.
func (d dayView) quiet() bool {
	return !d.Ongoing && !d.Gap && len(d.Incidents) == 0 && len(d.Posts) == 0
}
