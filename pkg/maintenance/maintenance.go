// Package maintenance decides what a planned maintenance covers, and when. A Maintenance is what people planned and
// what they changed since; everything else follows from that and from a time that the caller passes: which occurrences
// it has (Occurrences), their states, and the times during which it covers its targets (Windows).
//
// A maintenance begins and ends at its times by itself. That needs no event: the state at a time is the same whether
// it is computed then or years later, since every change takes effect when it is made and none reaches into the past.
package maintenance

import (
	"slices"
	"time"
)

// Bounds of a maintenance.
const (
	LengthMin  = time.Second
	LengthMax  = 90 * 24 * time.Hour
	OverrunMax = 12 * time.Hour
	AheadYears = 5 // how far in the future it may begin
	ChangesMax = 500
	TargetsMax = 100
)

// State is the progress of one occurrence. The values are Statuspage's, and cancelled.
type State string

// The states.
const (
	Scheduled  State = "scheduled"
	InProgress State = "in_progress"
	Verifying  State = "verifying"
	Completed  State = "completed"
	Cancelled  State = "cancelled"
)

// Active reports whether the maintenance covers its targets in this state.
func (s State) Active() bool { return s == InProgress || s == Verifying }

// Action is what a person did.
type Action string

// The actions.
const (
	Plan   Action = "plan"
	Start  Action = "start" // before its time
	Verify Action = "verify"
	Extend Action = "extend"
	End    Action = "end" // before its time
	Cancel Action = "cancel"
	Edit   Action = "edit" // other times, or other words
)

// Target is what a maintenance covers, by internal ids: one check of a host, or the host with all its checks.
type Target struct {
	Host  string `json:"host"`
	Check string `json:"check,omitempty"`
}

// Schedule is when a maintenance takes place, by the wall clock.
type Schedule struct {
	Start     time.Time `json:"start"` // of the first occurrence
	End       time.Time `json:"end"`   // of the first occurrence
	Rule      string    `json:"rrule,omitempty"`
	Zone      string    `json:"zone,omitempty"`      // IANA name of the zone of the rule; empty is UTC
	Emergency bool      `json:"emergency,omitempty"` // it began as it was announced
	// Overrun is how much later an occurrence may end by itself, while what it covers still fails at its end.
	Overrun time.Duration `json:"overrun,omitempty"` // nanoseconds
}

// Length is how long an occurrence is planned to last. It is exact, also across a change of daylight saving.
func (s Schedule) Length() time.Duration { return s.End.Sub(s.Start) }

// Text is what a person wrote.
type Text struct {
	ID      string    `json:"id,omitempty"`
	At      time.Time `json:"at,omitzero"`     // of one that was corrected: when it was written, by the wall clock
	Title   string    `json:"title,omitempty"` // only that of Plan has one
	Body    string    `json:"body,omitempty"`  // Markdown
	Missing bool      `json:"missing,omitempty"`
	Erased  bool      `json:"erased,omitempty"` // people removed what stood in its place
}

// Change is one thing that a person did to a maintenance.
type Change struct {
	ID         string    `json:"id"`
	Action     Action    `json:"action"`
	At         time.Time `json:"at"`                  // wall time; it takes effect then
	Occurrence time.Time `json:"occurrence,omitzero"` // its planned start; zero: all that have not begun
	From       time.Time `json:"from,omitzero"`       // of Edit: the new start; zero: as before
	Until      time.Time `json:"until,omitzero"`      // of Extend, Start and Edit: the new end; zero: as before
	Auto       bool      `json:"auto,omitempty"`      // it happened by itself: see Schedule.Overrun
	Text       Text      `json:"text"`
	Before     []Text    `json:"before,omitempty"`   // the texts before corrections, newest first
	Corrected  time.Time `json:"corrected,omitzero"` // when the present text replaced one, by the wall clock
}

// Maintenance is what was planned, and what was changed since.
type Maintenance struct {
	ID string `json:"id"`
	Schedule
	Targets  []Target `json:"targets"`
	Tags     []string `json:"tags,omitempty"`
	Category string   `json:"category,omitempty"`
	Changes  []Change `json:"changes"` // oldest first; the first is Plan
}

// Announced returns when it was planned.
func (m *Maintenance) Announced() time.Time {
	if len(m.Changes) == 0 {
		return m.Start
	}
	return m.Changes[0].At
}

// Title returns the title that people gave it.
func (m *Maintenance) Title() string {
	if len(m.Changes) == 0 || m.Changes[0].Text.Missing {
		return "Maintenance"
	}
	return m.Changes[0].Text.Title
}

// Updated returns when somebody last changed it.
func (m *Maintenance) Updated() time.Time {
	if n := len(m.Changes); n > 0 {
		return m.Changes[n-1].At
	}
	return m.Start
}

// Covers reports whether a check, by the ids of its host and its own, is covered while the maintenance is active. With
// an empty check it reports whether the host is covered as a whole.
func (m *Maintenance) Covers(host, check string) bool {
	return slices.ContainsFunc(m.Targets, func(t Target) bool {
		return t.Host == host && (t.Check == "" || t.Check == check)
	})
}

// Concerns reports whether the host or one of its checks is covered.
func (m *Maintenance) Concerns(host string) bool {
	return slices.ContainsFunc(m.Targets, func(t Target) bool { return t.Host == host })
}

// Only returns the maintenance without the targets that a reader must not see, as a copy; nil if none is left.
func (m *Maintenance) Only(visible func(Target) bool) *Maintenance {
	out := *m
	out.Targets = slices.DeleteFunc(slices.Clone(m.Targets), func(t Target) bool { return !visible(t) })
	if len(out.Targets) == 0 {
		return nil
	}
	return &out
}

// RenameHost gives a host another id.
func (m *Maintenance) RenameHost(id, now string) {
	for i := range m.Targets {
		if m.Targets[i].Host == id {
			m.Targets[i].Host = now
		}
	}
}

// RenameCheck gives a check another id.
func (m *Maintenance) RenameCheck(id, now string) {
	for i := range m.Targets {
		if m.Targets[i].Check == id {
			m.Targets[i].Check = now
		}
	}
}
