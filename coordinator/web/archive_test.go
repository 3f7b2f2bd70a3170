package web_test

import (
	"context"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// shelf is an archive that holds one entry as it was stored.
type shelf struct {
	web.Archive
	stored archive.Entry
}

func (s shelf) Entry(context.Context, archive.Kind, string, archive.Readers) (archive.Entry, bool, error) {
	return s.stored, true, nil
}

// shelved is a source with this archive.
type shelved struct {
	*webtest.Source
	shelf
}

func (s shelved) Archive() web.Archive { return s.shelf }

// Maintenance begins and ends at its times, without an event that would change what the archive stored.
func TestTheArchiveTellsThatMaintenanceBegan(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now()
	m := &maintenance.Maintenance{
		ID: "m", Schedule: maintenance.Schedule{Start: now.Add(-time.Minute), End: now.Add(time.Hour)},
		Targets: []maintenance.Target{{Host: s.Catalog.Hosts[0].Identity()}},
		Changes: []maintenance.Change{{ID: "plan", At: now.Add(-time.Hour), Action: maintenance.Plan}},
	}
	s.Planned = []*maintenance.Maintenance{m}
	view := web.NewView(shelved{s, shelf{stored: m.Entry(now.Add(-30 * time.Minute))}}, web.Public)
	e, ok, err := view.Archive().Entry(t.Context(), archive.Maintenance, "m")
	if err != nil || !ok || e.State != string(maintenance.InProgress) || len(e.Updates) != 2 {
		t.Errorf("%+v, %t, %v", e, ok, err)
	}
}
