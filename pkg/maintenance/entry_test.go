package maintenance_test

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/maintenance"
)

// The archive lists what people said and what happened by itself, up to a time, each once.
func TestEntriesOfTheArchive(t *testing.T) {
	m := story()
	m.Changes[0].Text = maintenance.Text{Title: "Disk", Body: "More."}
	planned := m.Changes[0].At
	e := m.Entry(planned.Add(1))
	if e.Title != "Disk" || !e.At.Equal(planned) || len(e.Updates) != 1 || e.Updates[0].Text != "More." ||
		e.Updates[0].Plain || e.State != "scheduled" {
		t.Errorf("%+v", e)
	}
	e = m.Entry(m.End.Add(1))
	if len(e.Updates) != 3 || e.State != "completed" || e.Updates[2].Text != "Maintenance is over." ||
		!e.Updates[2].Plain || !e.Updated.Equal(m.End) {
		t.Errorf("%+v", e)
	}
}
