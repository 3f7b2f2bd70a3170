package ledger

import (
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
)

// IncidentEvent is what a person did to an incident. As with posts, its text is in Texts.
type IncidentEvent struct {
	incident.Change
	Text *TextRef  `json:"text,omitempty"` // nil: the change has none
	Kept []TextRef `json:"kept,omitempty"` // the texts with what stays of those that Change.Erased names
}

func (e IncidentEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	return encode("incident."+e.ID, "incident-"+e.Event, e)
}

// ErrNoIncident means that there is no incident with the id.
var ErrNoIncident = errkind.New(errkind.NotFound, "no such incident")
