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
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const maintenancePrefix = "/maintenance/"

// maintenanceView is one occurrence of a maintenance.
type maintenanceView struct {
	web.Look
	ID, Title, When, Recurs string
	Start, End              time.Time
	Covers                  []coveredView
	Updates                 []maintenanceUpdateView // newest first
	Next                    []maintenanceView       // the occurrences after it, of one that recurs
	Others                  []maintenanceView       // in a list: further occurrences, of which it would say the same
}

// coveredView is a host, or a check of it, that a maintenance covers.
type coveredView struct{ Host, Title, Check string }

func newCoveredViews(state web.State, m *maintenance.Maintenance) (out []coveredView) {
	for _, n := range state.Covered(m) {
		out = append(out, coveredView{n.Host, state.Called(n.Host), n.Check})
	}
	return out
}

type maintenanceUpdateView struct {
	State, Sentence string
	Text            template.HTML // what a person wrote
	At, Corrected   time.Time
	Before          []earlierView // newest first
}

// maintenancesView is what the list of all maintenances shows.
type maintenancesView struct{ Active, Upcoming, Past []maintenanceView }

// maintenances reads the occurrences of all maintenances that the audience may see, of the recent past and to come.
func (s *Site) maintenances(ctx context.Context, state web.State) (web.Occurrences, error) {
	now := state.Wall()
	all, err := s.view.Maintenances(ctx, now.AddDate(0, 0, -web.PastMaintenanceDays),
		now.AddDate(maintenance.AheadYears+1, 0, 0))
	return web.OccurrencesOf(all, now), err
}

// coming returns the cards of maintenances in progress and to come, each with its latest update: of all hosts, or of
// one by its key. Of one that recurs, the next occurrence is enough.
func coming(state web.State, found web.Occurrences, host string) (out []maintenanceView) {
	seen := map[string]bool{}
	for _, o := range slices.Concat(found.Active, found.Upcoming) {
		about := func(n web.CoveredName) bool { return mesh.Key(n.Host) == host }
		if host != "" && !slices.ContainsFunc(state.Covered(o.Of), about) || seen[o.Of.ID] {
			continue
		}
		seen[o.Of.ID] = true
		out = append(out, newMaintenanceCard(state, o))
	}
	return out
}

// newMaintenanceCard is newMaintenanceView with the latest update only, if that says more than the card itself.
func newMaintenanceCard(state web.State, o web.Occurrence) maintenanceView {
	v := newMaintenanceView(state, o)
	v.Updates = v.Updates[:min(len(v.Updates), 1)]
	if len(v.Updates) == 0 || o.Updates[len(o.Updates)-1].Action != maintenance.Plan {
		return v
	}
	if v.Updates[0].Sentence = ""; v.Updates[0].Text == "" {
		v.Updates = nil
	}
	return v
}

func (s *Site) renderMaintenances(ctx context.Context, state web.State) (template.HTML, error) {
	found, err := s.maintenances(ctx, state)
	if err != nil {
		return "", err
	}
	return web.Render(templates, "maintenances", maintenancesView{
		newMaintenanceCards(state, found.Active), newMaintenanceCards(state, found.Upcoming),
		newMaintenanceCards(state, found.Past),
	})
}

// newMaintenanceCards returns the cards of a part of the list. A maintenance that recurs has one card for all
// occurrences of which it would say the same: the text once, and then the times.
func newMaintenanceCards(state web.State, all []web.Occurrence) (out []maintenanceView) {
	cards := map[string][]int{} // of each maintenance, by its id
	for _, o := range all[:min(len(all), maintenancesMax)] {
		v := newMaintenanceCard(state, o)
		same := slices.IndexFunc(cards[o.Of.ID], func(i int) bool { return v.saysTheSameAs(out[i]) })
		if same >= 0 {
			first := &out[cards[o.Of.ID][same]]
			first.Others = append(first.Others, v)
			continue
		}
		cards[o.Of.ID] = append(cards[o.Of.ID], len(out))
		out = append(out, v)
	}
	return out
}

// saysTheSameAs reports whether the cards of two occurrences of one maintenance differ in nothing but their times.
func (v maintenanceView) saysTheSameAs(other maintenanceView) bool {
	same := func(a, b maintenanceUpdateView) bool {
		return a.State == b.State && a.Sentence == b.Sentence && a.Text == b.Text && a.Corrected.Equal(b.Corrected) &&
			len(a.Before) == len(b.Before)
	}
	return v.Look == other.Look && v.Title == other.Title && slices.EqualFunc(v.Updates, other.Updates, same)
}

// maintenancesMax bounds each part of the list of maintenances.
const maintenancesMax = 100

func (s *Site) renderMaintenance(ctx context.Context, state web.State, id string) (template.HTML, bool, error) {
	now := state.Wall()
	o, err := s.view.MaintenanceOf(ctx, id, now)
	if err != nil || o == nil {
		return "", false, err
	}
	v := newMaintenanceView(state, *o)
	if o.Of.Rule != "" {
		for _, next := range o.Of.Upcoming(now, nextShown+1) {
			if next.ID != o.ID && len(v.Next) < nextShown {
				v.Next = append(v.Next, newMaintenanceView(state, web.Occurrence{Of: o.Of, Occurrence: next}))
			}
		}
	}
	body, err := web.Render(templates, "maintenance", v)
	return body, true, err
}

// maintenanceTitle is the title of the maintenance with the id; "" if there is none.
func (s *Site) maintenanceTitle(ctx context.Context, state web.State, id string) (string, error) {
	o, err := s.view.MaintenanceOf(ctx, id, state.Wall())
	if err != nil || o == nil {
		return "", err
	}
	return markdown.Line(o.Of.Title()), nil
}

// nextShown is how many further occurrences the page of one shows.
const nextShown = 10

func newMaintenanceView(state web.State, o web.Occurrence) maintenanceView {
	v := maintenanceView{
		Look: web.MaintenanceLook(o.State), ID: o.ID, Title: markdown.Line(o.Of.Title()), Start: o.Start, End: o.End,
		When: period(o.Start, o.End), Covers: newCoveredViews(state, o.Of), Recurs: recurs(o.Of.Schedule),
	}
	for _, u := range slices.Backward(o.Updates) {
		view := maintenanceUpdateView{
			State: web.MaintenanceLook(u.State).Word, Sentence: u.Sentence(), At: u.At, Corrected: u.Corrected,
		}
		for _, t := range u.Before {
			view.Before = append(view.Before, newEarlierView(archive.Earlier{At: t.At, Title: t.Title, Text: t.Body},
				u.Text.Title))
		}
		if u.State == maintenance.InProgress {
			view.State = "In progress"
		}
		switch {
		case u.Text.Erased && strings.TrimSpace(u.Text.Body) == "":
			view.Text = "<p>" + maintenance.TextRemoved + "</p>"
		case u.Text.Missing && u.Action != maintenance.Plan:
			view.Text = "<p>The text is lost.</p>"
		case strings.TrimSpace(u.Text.Body) != "":
			view.Text = template.HTML(markdown.HTML(u.Text.Body, "")) // the renderer sanitises it
		}
		v.Updates = append(v.Updates, view)
	}
	return v
}

// period writes a period as people say it: "2 Mar 2026 02:00 to 03:00 UTC".
func period(from, to time.Time) string {
	from, to = from.UTC(), to.UTC()
	layout := "2 Jan 2006 15:04 UTC"
	if from.Truncate(24 * time.Hour).Equal(to.Truncate(24 * time.Hour)) {
		layout = "15:04 UTC"
	}
	return from.Format("2 Jan 2006 15:04") + " to " + to.Format(layout)
}

// recurs says in words by which rule a maintenance recurs; empty if it does not.
func recurs(s maintenance.Schedule) string {
	if s.Rule == "" {
		return ""
	}
	zone := s.Zone
	if zone == "" {
		zone = "UTC"
	}
	words := map[string]string{
		"DAILY": "every day", "WEEKLY": "every week", "MONTHLY": "every month", "YEARLY": "every year",
	}
	plain, every := true, ""
	for part := range strings.SplitSeq(s.Rule, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "FREQ":
			every = words[value]
		case "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTHDAY", "BYMONTH": // the dates show them
		default:
			plain = false
		}
	}
	if !plain || every == "" {
		return fmt.Sprintf("recurs by the rule %s, in the time of %s", s.Rule, zone)
	}
	if zone == "UTC" { // as all times of a page
		return "recurs " + every
	}
	return fmt.Sprintf("recurs %s, in the time of %s", every, zone)
}
