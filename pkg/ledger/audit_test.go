package ledger_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// Whatever was done, the audit log says it in one form: a thing and a verb.
func TestAuditedActionsHaveOneForm(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	for want, made := range map[string]ledger.Event{
		"post.publish": ledger.PostEvent{Event: "e", ID: "x", Action: ledger.PostPublished, Mesh: now},
		"post.edit":    ledger.PostEvent{Event: "e", ID: "x", Action: ledger.PostEdited, Mesh: now},
		"post.remove":  ledger.PostEvent{Event: "e", ID: "x", Action: ledger.PostRemoved, Mesh: now},
		"incident.edit": ledger.IncidentEvent{Change: incident.Change{
			Event: "e", ID: "x", Action: incident.ActionEdit, Mesh: now,
		}},
		"maintenance.plan": ledger.MaintenanceEvent{Event: "e", ID: "x", Action: maintenance.Plan, Mesh: now},
	} {
		if got, err := ledger.NewAuditEvent("shell", made); err != nil || got.Action != want || got.Object != "x" {
			t.Errorf("%+v %v, want %s", got, err, want)
		}
	}
}
