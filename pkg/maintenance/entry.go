package maintenance

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
)

// Entry is the maintenance as the archive lists it at a time: with what people said of it, and with what happened by
// itself at its times. Of a recurring one the latter is that of its present occurrence.
func (m *Maintenance) Entry(now time.Time) archive.Entry {
	e := archive.Entry{
		Kind: archive.Maintenance, ID: m.ID, Title: m.Title(), At: m.Announced(), Updated: m.Announced(), Tags: m.Tags,
		Category: m.Category,
	}
	for _, t := range m.Targets {
		if !slices.Contains(e.Hosts, t.Host) {
			e.Hosts = append(e.Hosts, t.Host)
		}
	}
	o := m.Present(now)
	e.State = string(o.State)
	if o.State == Completed {
		e.Ended = o.End
	}
	for _, u := range o.Updates {
		e.Updates = append(e.Updates, u.archived())
	}
	for _, c := range m.Changes { // of other occurrences
		if !c.At.After(now) && (c.Action != Edit || c.moves()) &&
			!slices.ContainsFunc(o.Updates, func(u Update) bool { return u.ID == c.ID }) {
			u := c.update()
			u.State = next(c.Action, Scheduled)
			e.Updates = append(e.Updates, u.archived())
		}
	}
	slices.SortStableFunc(e.Updates, func(a, b archive.Update) int { return a.At.Compare(b.At) })
	for _, u := range e.Updates {
		e.Updated = later(e.Updated, later(u.At, u.Edited))
	}
	return e
}

// archived is the update as the archive has it. One without a text of a person's says what happened.
func (u Update) archived() archive.Update {
	out := archive.Update{ID: u.ID, At: u.At, State: string(u.State), Text: u.Text.Body, Edited: u.Corrected}
	if out.Text == "" {
		out.Text, out.Plain = u.Sentence(), true
		if u.Text.Erased {
			out.Text += " " + TextRemoved
		}
	}
	for _, t := range u.Before {
		if t.Body != "" {
			out.Before = append(out.Before, archive.Earlier{At: t.At, Title: t.Title, Text: t.Body})
		}
	}
	return out
}

// Sentence says what happened, beside the text that a person may have written.
func (u Update) Sentence() string {
	switch u.Action {
	case Plan:
		switch {
		case u.Until.IsZero(): // of a series: each occurrence has its own times
			return "Maintenance is planned."
		case u.State.Active():
			return fmt.Sprintf("Maintenance has begun and is planned until %s.", minute(u.Until))
		}
		return fmt.Sprintf("Maintenance is planned from %s to %s.", minute(u.From), minute(u.Until))
	case Start:
		return "Maintenance is in progress."
	case Verify:
		return "The work is done, and its result is being checked."
	case Edit:
		switch {
		case u.Until.IsZero():
			return fmt.Sprintf("Maintenance is now planned from %s.", minute(u.From))
		case u.From.IsZero():
			return fmt.Sprintf("Maintenance is now planned until %s.", minute(u.Until))
		}
		return fmt.Sprintf("Maintenance is now planned from %s to %s.", minute(u.From), minute(u.Until))
	case Extend:
		return fmt.Sprintf("Maintenance takes longer, until %s.", minute(u.Until))
	case End:
		return "Maintenance is over."
	case Cancel:
		return "Maintenance is cancelled."
	}
	return ""
}

func minute(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }
