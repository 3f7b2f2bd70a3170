package maintenance

import (
	"cmp"
	"slices"
	"time"
)

// OccurrencesMax bounds the occurrences of one answer.
const OccurrencesMax = 1000

// Occurrence is one time at which a maintenance takes place.
type Occurrence struct {
	ID      string    `json:"id"`
	Planned time.Time `json:"planned"` // its start by the plan, which identifies it
	// Start and End are when it covers its targets: as planned and extended, and as started and ended by hand.
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Until   time.Time `json:"until"` // the end as planned and extended, also if it ended before
	State   State     `json:"state"`
	Updates []Update  `json:"updates"` // oldest first
}

// Update is one entry in the timeline of an occurrence.
type Update struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	State  State     `json:"state"`
	Action Action    `json:"action"`
	Auto   bool      `json:"auto,omitempty"` // it happened at its time, by itself
	From   time.Time `json:"from,omitzero"`  // of Plan: the planned start; of Edit: the new one
	Until  time.Time `json:"until,omitzero"` // of Plan: the planned end; of Extend, Start and Edit: the new one
	Text   Text      `json:"text"`
	// Before are the texts before corrections, newest first, and Corrected when the last of them was replaced.
	Before    []Text    `json:"before,omitempty"`
	Corrected time.Time `json:"corrected,omitzero"`
}

// idLayout is the part of an occurrence's id that is its planned start.
const idLayout = "20060102t150405z"

// OccurrenceID returns the id of an occurrence: that of the maintenance, unless it recurs.
func (m *Maintenance) OccurrenceID(planned time.Time) string {
	if m.Rule == "" {
		return m.ID
	}
	return m.ID + "-" + planned.UTC().Format(idLayout)
}

// ParseID splits the id of a maintenance or of an occurrence. planned is zero for that of a maintenance.
func ParseID(id string) (maintenance string, planned time.Time) {
	if n := len(id) - len(idLayout) - 1; n > 0 && id[n] == '-' {
		if at, err := time.Parse(idLayout, id[n+1:]); err == nil {
			return id[:n], at
		}
	}
	return id, time.Time{}
}

// Occurrences returns the occurrences that touch the period from one time to another, earliest first, with their states
// at the present time: at most OccurrencesMax.
func (m *Maintenance) Occurrences(from, to, now time.Time) []Occurrence {
	// One that was extended or started early may touch the period though its plan does not.
	planned := m.starts(from.Add(-m.Length()), to)
	for _, c := range m.Changes {
		if !c.Occurrence.IsZero() && !slices.ContainsFunc(planned, c.Occurrence.Equal) {
			planned = append(planned, c.Occurrence)
		}
	}
	var out []Occurrence
	for _, at := range planned {
		if o := m.occurrence(at, now); o.Start.Before(to) && !o.End.Before(from) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Occurrence) int {
		return cmp.Or(a.Start.Compare(b.Start), a.Planned.Compare(b.Planned))
	})
	return out[:min(len(out), OccurrencesMax)]
}

// Occurrence returns the one with the planned start; ok is false if there is none.
func (m *Maintenance) Occurrence(planned, now time.Time) (o Occurrence, ok bool) {
	if !slices.ContainsFunc(m.starts(planned, planned.Add(1)), planned.Equal) {
		return o, false
	}
	return m.occurrence(planned, now), true
}

// Present returns the occurrence that people mean now: the one that is active, else the next, else the last.
func (m *Maintenance) Present(now time.Time) Occurrence {
	if m.Rule == "" {
		return m.occurrence(m.Start, now)
	}
	for _, o := range m.Occurrences(now, now.Add(1), now) {
		if o.State.Active() {
			return o
		}
	}
	if next := m.Upcoming(now, 1); len(next) > 0 {
		return next[0]
	}
	for year := now; year.After(m.Start); year = year.AddDate(-1, 0, 0) {
		if past := m.Occurrences(year.AddDate(-1, 0, 0), year, now); len(past) > 0 {
			return past[len(past)-1]
		}
	}
	return m.occurrence(m.Start, now)
}

// lookAhead are the periods in which occurrences are looked for, in months: most rules have the next one soon.
var lookAhead = []int{1, 6, 24, 12 * ruleYears}

// Upcoming returns at most limit occurrences that are scheduled, the next first.
func (m *Maintenance) Upcoming(now time.Time, limit int) (out []Occurrence) {
	if m.Over().Before(now) {
		return nil
	}
	for _, months := range lookAhead {
		out = nil
		for _, o := range m.Occurrences(now, later(now, m.Start).AddDate(0, months, 1), now) {
			if o.State == Scheduled && len(out) < limit {
				out = append(out, o)
			}
		}
		if len(out) == limit || m.Rule == "" {
			break
		}
	}
	return out
}

// Over returns when the last occurrence ends, as far as it is known. A later change may still move it.
func (m *Maintenance) Over() time.Time {
	end, changed := m.End, m.End
	if m.Rule != "" {
		end = m.Start.AddDate(ruleYears, 0, 0).Add(m.Length())
	}
	for _, c := range m.Changes {
		switch {
		case c.Action == Cancel && c.Occurrence.IsZero() && c.At.Before(end): // what runs then goes on
			end = later(c.At.Add(m.Length()), changed)
		case c.Action == Extend, c.Action == Start, c.Action == Edit:
			changed = later(changed, c.Until)
			end = later(end, changed)
		}
	}
	return end
}

// Window is a time during which the maintenance covers its targets.
type Window struct {
	Start, End time.Time
	Planned    time.Time // see Occurrence
	Due        time.Time // its end by the plan
	Occurrence string    // its id
}

// overrunStep is by how much an occurrence is extended by itself at once: what works again sooner is over soon.
const overrunStep = 5 * time.Minute

// Overran returns the new end of a window while what it covers still fails at its end; ok is false if it may not be
// extended by itself, or not further.
func (m *Maintenance) Overran(w Window, now time.Time) (until time.Time, ok bool) {
	until = w.End.Add(overrunStep)
	if last := w.Due.Add(m.Overrun); m.Overrun > 0 && last.Before(until) {
		until = last
	}
	for _, next := range m.Upcoming(now, 2) {
		if next.Start.After(w.Start) && next.Start.Before(until) {
			until = next.Start
		}
	}
	return until, m.Overrun > 0 && until.After(w.End) && len(m.Changes) < ChangesMax
}

// Windows returns the times of a period during which it covers its targets. Those in the future are as planned.
func (m *Maintenance) Windows(from, to time.Time) (out []Window) {
	for _, o := range m.Occurrences(from, to, to) {
		if o.State != Cancelled && o.End.After(o.Start) {
			out = append(out, Window{o.Start, o.End, o.Planned, m.due(o, to), o.ID})
		}
	}
	return out
}

// due returns the end of an occurrence by the plan, as people moved it by now.
func (m *Maintenance) due(o Occurrence, now time.Time) time.Time {
	due := o.Planned.Add(m.Length())
	for _, c := range m.Changes {
		if c.moves() && c.Occurrence.Equal(o.Planned) && !c.Until.IsZero() && !c.At.After(now) {
			due = c.Until
		}
	}
	return due
}

// occurrence returns what became of the occurrence by now.
func (m *Maintenance) occurrence(planned, now time.Time) Occurrence {
	o := Occurrence{ID: m.OccurrenceID(planned), Planned: planned, Start: planned, Until: planned.Add(m.Length())}
	var ended, cancelled, verified time.Time
	for _, c := range m.Changes {
		switch {
		case c.Action == Plan, c.At.After(now), !c.Occurrence.IsZero() && !c.Occurrence.Equal(planned):
		case c.Action == Start:
			o.Start = c.At
			if !c.Until.IsZero() {
				o.Until = c.Until
			}
		case c.Action == Verify:
			verified = c.At
		case c.Action == Extend:
			o.Until = c.Until
		case c.Action == Edit:
			if !c.From.IsZero() {
				o.Start = c.From
			}
			if !c.Until.IsZero() {
				o.Until = c.Until
			}
		case c.Action == End:
			ended = c.At
		case c.Action == Cancel && o.Start.After(c.At) && cancelled.IsZero():
			cancelled = c.At
		}
	}
	o.End = o.Until
	if !ended.IsZero() {
		o.End = ended
	}
	switch {
	case !cancelled.IsZero():
		o.State = Cancelled
	case now.Before(o.Start):
		o.State = Scheduled
	case !now.Before(o.End):
		o.State = Completed
	case !verified.IsZero():
		o.State = Verifying
	default:
		o.State = InProgress
	}
	o.Updates = m.updates(o, now)
	return o
}

// updates returns the timeline of an occurrence up to now: what people did, and what happened by itself.
func (m *Maintenance) updates(o Occurrence, now time.Time) (out []Update) {
	started, ended, cancelled := m.Emergency, false, false
	for _, c := range m.Changes {
		u := c.update()
		switch {
		case c.Action == Edit && !c.moves(),
			c.At.After(now),
			!c.Occurrence.IsZero() && !c.Occurrence.Equal(o.Planned),
			cancelled,
			c.Action == Cancel && !o.Start.After(c.At):
			continue
		case c.Action == Plan:
			u.From, u.Until = o.Planned, o.Planned.Add(m.Length())
		case c.Action == Start:
			started = true
		case c.Action == End:
			ended = true
		case c.Action == Cancel:
			cancelled = true
		}
		out = append(out, u)
	}
	auto := func(action Action, at time.Time) {
		out = append(out, Update{
			ID: o.ID + "-" + string(action), At: at, Action: action, Auto: true,
		})
	}
	if !cancelled && !started && !now.Before(o.Start) {
		auto(Start, o.Start)
	}
	if !cancelled && !ended && !now.Before(o.End) {
		auto(End, o.End)
	}
	slices.SortStableFunc(out, func(a, b Update) int { return a.At.Compare(b.At) })
	state := Scheduled
	if m.Emergency {
		state = InProgress
	}
	for i := range out {
		state = next(out[i].Action, state)
		out[i].State = state
	}
	return out
}

// update returns the change as an entry of a timeline.
func (c Change) update() Update {
	return Update{
		ID: c.ID, At: c.At, Action: c.Action, Auto: c.Auto, From: c.From, Until: c.Until, Text: c.Text, Before: c.Before,
		Corrected: c.Corrected,
	}
}

// next returns the state after an action.
func next(a Action, before State) State {
	switch {
	case a == Start:
		return InProgress
	case a == Verify:
		return Verifying
	case a == End:
		return Completed
	case a == Cancel:
		return Cancelled
	}
	return before
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
