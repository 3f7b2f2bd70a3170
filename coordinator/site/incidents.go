package site

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// updatesShown is how many updates of an open incident the front page shows; its own page has all.
const updatesShown = 3

type incidentView struct {
	web.Look
	ID, Name, Lasted string
	Open             bool
	Began, Resolved  time.Time
	LeftOut          int // updates that were dropped from the middle
	Hosts            []outageView
	Updates          []updateView // newest first
}

// outageView is what was measured of one host during an incident.
type outageView struct {
	Host    string
	Windows []windowView
}

// windowView is a time during which one check was not up.
type windowView struct {
	web.Look
	Check, Lasted string
	From, To      time.Time // To is zero while it lasts
}

// Measured is the window in words.
func (w windowView) Measured() string {
	word := strings.ToLower(w.Word)
	if w.To.IsZero() {
		return fmt.Sprintf("%s %s since %s", w.Check, word, shortTime(w.From))
	}
	return fmt.Sprintf("%s %s for %s, from %s to %s", w.Check, word, w.Lasted, shortTime(w.From), shortTime(w.To))
}

func shortTime(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }

type updateView struct {
	State, Hosts, Text, Evidence string
	At                           time.Time
}

func newIncidentView(s web.State, i *incident.Incident) incidentView {
	v := incidentView{
		Look: web.ImpactLook(i.Impact), ID: i.ID, Name: i.Name(), Open: i.Open(), Began: i.Wall(i.Began),
		Resolved: i.Wall(i.Resolved), LeftOut: i.LeftOut,
	}
	if i.Open() {
		// Durations are in mesh time, which no step of the wall clock changes; times are shown in wall time.
		v.Lasted = ago(s.Snapshot.MeshTime().Sub(i.Began))
	} else {
		v.Lasted, v.Look = incident.FormatDuration(i.Downtime(i.Resolved)), web.ResolvedLook()
	}
	for _, h := range i.Hosts {
		o := outageView{Host: h.Name}
		for _, w := range h.Windows {
			window := windowView{
				Look: web.VerdictLook(w.Verdict), Check: w.Check, From: i.Wall(w.From), To: i.Wall(w.To),
			}
			if !w.To.IsZero() {
				window.Lasted = incident.FormatDuration(w.To.Sub(w.From))
			}
			o.Windows = append(o.Windows, window)
		}
		v.Hosts = append(v.Hosts, o)
	}
	for _, u := range slices.Backward(i.Updates) {
		v.Updates = append(v.Updates, updateView{
			capitalize(string(u.State)), u.Hosts(), i.Text(u), u.Evidence(), i.Wall(u.At),
		})
	}
	return v
}

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
	Day       string
	Ongoing   bool // an incident that began on this day is still open, at the top of the page
	Gap       bool // a part of the day's history is lost
	Incidents []incidentView
}

// pastIncidents lists the resolved incidents by the day on which they began, today first. Days without incidents are
// listed too: that nothing happened is worth knowing.
func pastIncidents(s web.State, all []*incident.Incident, gaps []ledger.Gap) []dayView {
	const layout = "2 January 2006"
	if s.Snapshot.At.IsZero() {
		return nil // nothing is judged yet
	}
	days := make([]dayView, daysShown)
	for n := range days {
		day := s.Snapshot.At.UTC().AddDate(0, 0, -n)
		days[n].Day = day.Format(layout)
		begins := day.Truncate(24 * time.Hour)
		days[n].Gap = slices.ContainsFunc(gaps, func(g ledger.Gap) bool {
			return g.Stream == historyStream && g.Overlaps(begins, begins.AddDate(0, 0, 1))
		})
		for _, i := range all {
			switch {
			case i.Wall(i.Began).UTC().Format(layout) != days[n].Day:
			case i.Open():
				days[n].Ongoing = true
			default:
				days[n].Incidents = append(days[n].Incidents, newIncidentView(s, i))
			}
		}
	}
	return days
}
