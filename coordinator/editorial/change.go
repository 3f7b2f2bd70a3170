package editorial

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

func conflict(format string, args ...any) error {
	return errkind.New(errkind.Conflict, fmt.Sprintf(format, args...))
}

// change validates what a person does to a maintenance at the event's time and writes it into the event. planned is the
// planned start of the occurrence that the person named; zero if the person named the maintenance.
func change(event *ledger.MaintenanceEvent, m *maintenance.Maintenance, planned time.Time, c MaintenanceChange) error {
	now := event.Wall()
	if len(m.Changes) >= maintenance.ChangesMax {
		return conflict("maintenance %s was changed %d times, which is the most: plan a new one", m.ID, len(m.Changes))
	}
	o := m.Present(now)
	if !planned.IsZero() {
		var ok bool
		if o, ok = m.Occurrence(planned, now); !ok || m.Rule == "" {
			return fmt.Errorf("maintenance %q: %w", c.ID, ledger.ErrNoMaintenance)
		}
	}
	event.Occurrence = o.Planned
	switch c.Action {
	case maintenance.Start:
		return start(event, m, o, c)
	case maintenance.Verify:
		if o.State != maintenance.InProgress {
			return wrongState(c, o, "only a maintenance in progress can be verified")
		}
	case maintenance.Extend:
		return extend(event, m, o, c)
	case maintenance.End:
		if !o.State.Active() {
			return wrongState(c, o, "only a maintenance in progress can be ended")
		}
	case maintenance.Cancel:
		if planned.IsZero() && m.Rule != "" { // the whole series, but not what runs
			event.Occurrence = time.Time{}
			if len(m.Upcoming(now, 1)) > 0 {
				return nil
			}
		}
		if o.State != maintenance.Scheduled {
			return wrongState(c, o, "only what has not begun can be cancelled")
		}
	default:
		return invalid("action: %q is not known: use start, verify, extend, end or cancel", c.Action)
	}
	return nil
}

// start begins an occurrence before its time. It lasts as long as planned, unless a new end says otherwise: covering
// the time up to the planned end would hide more than was announced.
func start(
	event *ledger.MaintenanceEvent, m *maintenance.Maintenance, o maintenance.Occurrence, c MaintenanceChange,
) error {
	now := event.Wall()
	if o.State != maintenance.Scheduled {
		return wrongState(c, o, "only a scheduled maintenance can be started")
	}
	event.Until = now.Add(o.Until.Sub(o.Start)).UTC().Truncate(time.Second)
	if !c.End.IsZero() {
		event.Until = c.End.UTC().Truncate(time.Second)
	}
	return errkind.In("end", checkEnd(event.Until, now, now, m, o))
}

func extend(
	event *ledger.MaintenanceEvent, m *maintenance.Maintenance, o maintenance.Occurrence, c MaintenanceChange,
) error {
	if o.State != maintenance.Scheduled && !o.State.Active() {
		return wrongState(c, o, "only what is not over can be extended")
	}
	event.Until = c.End.UTC().Truncate(time.Second)
	if c.End.IsZero() || !event.Until.After(o.Until) {
		return errkind.In("end", invalid("end: %s is not after the present end, %s: `end` ends a maintenance early",
			when(c.End), when(o.Until)))
	}
	return errkind.In("end", checkEnd(event.Until, o.Start, event.Wall(), m, o))
}

// checkEnd validates the new end of an occurrence.
func checkEnd(until, start, now time.Time, m *maintenance.Maintenance, o maintenance.Occurrence) error {
	switch length := until.Sub(start); {
	case !until.After(now):
		return invalid("end: %s is not in the future", when(until))
	case length > maintenance.LengthMax:
		return invalid("end: %s after the start: a maintenance lasts at most 90 days", length)
	}
	for _, next := range m.Upcoming(now, 2) {
		if next.ID != o.ID && next.Start.After(o.Planned) && next.Start.Before(until) {
			return conflict("end: the next occurrence begins at %s: cancel it first, with `coordinator maintenance cancel %s`",
				when(next.Start), next.ID)
		}
	}
	return nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.UTC().Format(time.RFC3339)
}

// wrongState says why an action is not possible, and what is.
func wrongState(c MaintenanceChange, o maintenance.Occurrence, why string) error {
	var state, possible string
	switch o.State {
	case maintenance.Scheduled:
		state, possible = "is scheduled for "+when(o.Start), "start, extend or cancel it"
	case maintenance.InProgress:
		state, possible = "is in progress since "+when(o.Start), "verify, extend or end it"
	case maintenance.Verifying:
		state, possible = "is being verified", "extend or end it"
	case maintenance.Cancelled:
		state, possible = "is cancelled", "plan a new one"
	default:
		state, possible = "is over since "+when(o.End), "plan a new one"
	}
	return conflict("maintenance %s %s, and %s: %s", c.ID, state, why, possible)
}
