package site

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/markdown"
)

const (
	calendarDays = 366 // how far ahead the calendar reaches for maintenance that recurs
	calendarMax  = 1000
)

// calendar answers with all maintenance as iCalendar, RFC 5545. One that recurs is written as its occurrences in UTC,
// since programs disagree about rules across daylight saving. The answer depends on nothing but what people did: a
// calendar that did not change has the same bytes.
func (s *Site) calendar(w http.ResponseWriter, r *http.Request) error {
	state := s.view.State()
	now := state.Wall()
	from := now.AddDate(0, 0, -web.PastMaintenanceDays).Truncate(24 * time.Hour)
	to := now.AddDate(maintenance.AheadYears+1, 0, 0)
	all, err := s.view.Maintenances(r.Context(), from, to)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *maintenance.Maintenance) int { return strings.Compare(a.ID, b.ID) })
	title := markdown.Line(state.Catalog.Page.Title)
	cal := ics.NewCalendarFor("probemesh")
	cal.SetMethod(ics.MethodPublish)
	cal.SetName(title + ": maintenance")
	cal.SetProductId("-//probemesh//status//EN")
	cal.SetRefreshInterval("PT1H")
	cal.SetXPublishedTTL("PT1H")
	count := 0
	for _, m := range all {
		until := to
		if m.Rule != "" {
			until = now.AddDate(0, 0, calendarDays)
		}
		for _, o := range m.Occurrences(from, until, now) {
			if count++; count <= calendarMax {
				addEvent(cal, state, web.Occurrence{Of: m, Occurrence: o})
			}
		}
	}
	web.SetMediaType(w.Header(), "text/calendar; charset=utf-8")
	w.Header().Set("Content-Disposition", `inline; filename="maintenance.ics"`)
	w.Header().Set("Cache-Control", "no-cache")
	return cal.SerializeTo(w, ics.WithNewLineWindows)
}

// addEvent adds an occurrence. Its UID never changes, and its SEQUENCE counts what changed since it was planned, so
// that programs replace what they have.
func addEvent(cal *ics.Calendar, state web.State, o web.Occurrence) {
	e := cal.AddEvent(o.ID + "@probemesh")
	changed, sequence := o.Of.Announced(), 0
	var texts []string
	for _, u := range o.Updates {
		if !u.Auto || u.Action == maintenance.Extend {
			texts = append(texts, web.UpdatePlain(u))
		}
	}
	for _, c := range o.Of.Changes {
		of := c.Occurrence.IsZero() || c.Occurrence.Equal(o.Planned)
		if of && (c.Action != maintenance.Cancel || o.State == maintenance.Cancelled) {
			changed = c.At
			if c.Action != maintenance.Plan {
				sequence++
			}
		}
	}
	var names []string
	for _, n := range state.Covered(o.Of) {
		names = append(names, n.String())
	}
	texts = append(texts, "Covers "+strings.Join(names, ", ")+".")
	e.SetDtStampTime(changed)
	e.SetCreatedTime(o.Of.Announced())
	e.SetModifiedAt(changed)
	e.SetSequence(sequence)
	e.SetStartAt(o.Start)
	e.SetEndAt(o.End)
	e.SetSummary(markdown.Line(o.Of.Title()))
	e.SetDescription(oneEncoding(strings.Join(texts, "\n")))
	e.SetTimeTransparency(ics.TransparencyTransparent)
	e.SetStatus(ics.ObjectStatusConfirmed)
	if o.State == maintenance.Cancelled {
		e.SetStatus(ics.ObjectStatusCancelled)
	}
	if base := strings.TrimSuffix(state.Catalog.Page.URL, "/"); base != "" {
		e.SetURL(fmt.Sprintf("%s%s%s", base, maintenancePrefix, o.ID))
	}
	for _, tag := range o.Of.Tags {
		e.AddProperty(ics.ComponentPropertyCategories, tag)
	}
}

// oneEncoding removes what no property of a calendar may contain: control characters but the line break.
func oneEncoding(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}
