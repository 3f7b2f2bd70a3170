package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Moment is one entry of an incident's timeline: what was measured, or what a person wrote.
type Moment struct {
	At       time.Time // by the wall clock
	State    State     // that was shown from then on
	Measured *Update   // nil: a person wrote it
	Written  *Entry    // nil: it was measured
}

// Timeline returns what was measured and what people wrote in one order, oldest first.
func (i *Incident) Timeline() []Moment {
	out := make([]Moment, 0, len(i.Updates)+len(i.Entries))
	u, e := i.Updates, i.Entries
	for len(u)+len(e) > 0 {
		if len(e) == 0 || len(u) > 0 && !u[0].At.After(e[0].At) {
			out, u = append(out, Moment{At: i.Wall(u[0].At), State: u[0].State, Measured: &u[0]}), u[1:]
		} else {
			out, e = append(out, Moment{At: e[0].Wall(), State: e[0].State, Written: &e[0]}), e[1:]
		}
	}
	return out
}

// Text returns the text of a moment: what was measured as a sentence, or the Markdown that a person wrote.
func (m Moment) Text(i *Incident) string {
	switch {
	case m.Measured != nil:
		return i.Text(*m.Measured)
	case m.Written.Action == ActionMerge:
		return "Another incident turned out to be a part of this one, and is continued here."
	case m.Written.wasErased():
		return erasedText
	case len(m.Written.Texts) > 0 && m.Written.Texts[0].Missing:
		return "The text of this update is lost."
	}
	return m.Written.Body()
}

// Plain reports whether the text of the moment is a sentence of ours, and no Markdown.
func (m Moment) Plain() bool {
	return m.Measured != nil || len(m.Written.Texts) == 0 || m.Written.Texts[0].Missing
}

// ID returns the id of the update or the entry.
func (m Moment) ID() string {
	if m.Measured != nil {
		return m.Measured.ID
	}
	return m.Written.ID
}

// Page writes the incident as its page shows it, in plain text, with the latest first. Now is mesh time.
func (i *Incident) Page(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s · impact %s · %s\n", i.Name(), i.State, i.Impact, strings.Join(called(i), ", "))
	labels := make([]string, 0, len(i.Tags)+1)
	if i.Category != "" {
		labels = append(labels, "category "+i.Category)
	}
	for _, tag := range i.Tags {
		labels = append(labels, "#"+tag)
	}
	if len(labels) > 0 {
		fmt.Fprintln(&b, strings.Join(labels, " "))
	}
	b.WriteString("\nMeasured downtime\n")
	writeWindows(i, &b, now)
	if !i.NextUpdate.IsZero() {
		fmt.Fprintf(&b, "\n%s\n", i.Promise(now))
	}
	b.WriteString("\nUpdates\n")
	for _, m := range slices.Backward(i.Timeline()) {
		fmt.Fprintf(&b, "%s  %s\n", m.At.UTC().Format("2006-01-02 15:04:05 UTC"), m.State)
		for line := range strings.Lines(m.Text(i)) {
			fmt.Fprintf(&b, "  %s\n", strings.TrimRight(line, "\r\n"))
		}
	}
	return b.String()
}

func called(i *Incident) []string {
	names := make([]string, len(i.Hosts))
	for n, h := range i.Hosts {
		names[n] = h.Called()
	}
	return names
}

func writeWindows(i *Incident, b *strings.Builder, now time.Time) {
	none := true
	for _, h := range i.Hosts {
		for _, w := range h.Windows {
			none = false
			from, to := i.Wall(w.From), "now"
			lasted := WholeSeconds(w.From, now)
			if !w.To.IsZero() {
				to, lasted = i.Wall(w.To).UTC().Format("15:04:05 UTC"), WholeSeconds(w.From, w.To)
			}
			fmt.Fprintf(b, "  %s %s: %s from %s to %s, %s\n", h.Name, w.Check, w.Verdict,
				from.UTC().Format("2006-01-02 15:04:05"), to, FormatDuration(lasted))
		}
	}
	if none {
		b.WriteString("  none\n")
	}
}

// Promise says when people promised to write again; "" if they did not.
func (i *Incident) Promise(now time.Time) string {
	if i.NextUpdate.IsZero() || !i.Open() {
		return ""
	}
	by := i.PromisedAt().UTC().Format("15:04 UTC on 2 January")
	if i.Overdue(now) {
		return "The next update was promised by " + by + "."
	}
	return "Next update by " + by + "."
}

// PromisedAt returns NextUpdate by the wall clock, as that stood when it was promised.
func (i *Incident) PromisedAt() time.Time {
	for _, e := range slices.Backward(i.Entries) {
		if e.NextUpdate.Equal(i.NextUpdate) {
			return e.NextUpdate.Add(-e.Offset)
		}
	}
	return i.NextUpdate
}

// Promised returns how long after the latest entry the next update was promised; zero if none was.
func (i *Incident) Promised() time.Duration {
	for _, e := range slices.Backward(i.Entries) {
		if !i.NextUpdate.IsZero() && e.NextUpdate.Equal(i.NextUpdate) {
			return e.NextUpdate.Sub(e.At)
		}
	}
	return 0
}
