package ledger

import (
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// MaintenanceEvent is a maintenance that was planned, or what a person did to it since. That it begins and ends at its
// times is no event: it follows from the plan.
type MaintenanceEvent struct {
	Event  string             `json:"event"` // random: a repeat of the event has the same
	ID     string             `json:"id"`    // of the maintenance
	Action maintenance.Action `json:"action"`
	// Of the action plan.
	Schedule *maintenance.Schedule `json:"schedule,omitempty"`
	Targets  []maintenance.Target  `json:"targets,omitempty"`
	Tags     []string              `json:"tags,omitempty"`
	Category string                `json:"category,omitempty"`
	// Of the other actions.
	Occurrence time.Time `json:"occurrence,omitzero"` // its planned start; zero: all that have not begun
	From       time.Time `json:"from,omitzero"`       // of edit: the new start, by the wall clock
	Until      time.Time `json:"until,omitzero"`      // of extend, start and edit: the new end, by the wall clock
	Auto       bool      `json:"auto,omitempty"`      // nobody did it: see maintenance.Schedule.Overrun

	// Of edit: the change whose text is replaced, and the texts that are removed for good. Tags and category are above, as
	// they are from then on.
	Of     string   `json:"of,omitempty"`
	Erased []Erased `json:"erased,omitempty"`

	Text   *TextRef      `json:"text,omitempty"`
	Mesh   time.Time     `json:"mesh"`
	Offset time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// Erased names a text that was removed for good.
type Erased struct {
	ID string `json:"id"`
}

// Wall returns when the event happened by the wall clock.
func (e MaintenanceEvent) Wall() time.Time { return e.Mesh.Add(-e.Offset) }

func (e MaintenanceEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	return encode("maintenance."+e.ID, "maintenance-"+e.Event, e)
}

// ErrNoMaintenance means that there is no maintenance with the id.
var ErrNoMaintenance = errkind.New(errkind.NotFound, "no such maintenance: `coordinator maintenance list` lists them")
