package maintenance_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/maintenance"
)

// What people correct replaces the text and keeps the one before; what they erase leaves nothing of it.
func TestTextsAreCorrectedAndErased(t *testing.T) {
	m := story()
	plan := m.Changes[0].ID
	m.Changes[0].Text = maintenance.Text{ID: "one", Title: "Disk", Body: "wrong"}
	edit := func(minute int, e maintenance.Edits) {
		m.Edit(maintenance.Change{ID: "e", Action: maintenance.Edit, At: clock(1, minute)}, e)
	}
	edit(10, maintenance.Edits{
		Of: plan, Text: maintenance.Text{ID: "two", Title: "A disk", Body: "right"}, Tags: []string{"disk"}, Category: "mail",
	})
	u := m.Present(clock(1, 30)).Updates
	want := []maintenance.Text{{ID: "one", At: m.Announced(), Title: "Disk", Body: "wrong"}}
	if len(u) != 1 || u[0].Text.Body != "right" || !u[0].Corrected.Equal(clock(1, 10)) || !cmp.Equal(u[0].Before, want) {
		t.Errorf("corrected: %+v", u)
	}
	if m.Title() != "A disk" || m.Category != "mail" || !cmp.Equal(m.Changes[0].Texts(), []string{"two", "one"}) {
		t.Errorf("%+v", m)
	}
	e := m.Entry(clock(1, 30))
	if !e.Updated.Equal(clock(1, 10)) || len(e.Updates) != 1 || len(e.Updates[0].Before) != 1 || e.Title != "A disk" {
		t.Errorf("the archive has %+v", e)
	}
	edit(20, maintenance.Edits{Of: plan, Text: maintenance.Text{ID: "three", Title: "A disk"}, Erase: true})
	u = m.Present(clock(1, 30)).Updates
	if len(u) != 1 || u[0].Text.Body != "" || len(u[0].Before) > 0 || len(m.Tags) > 0 {
		t.Errorf("erased: %+v", u)
	}
	sentence := u[0].Sentence() + " " + maintenance.TextRemoved
	if e := m.Entry(clock(1, 30)); e.Updates[0].Text != sentence || !e.Updates[0].Plain {
		t.Errorf("the archive has %+v", e.Updates)
	}
}

// A maintenance that was moved overruns from its new end, and says where it was moved to.
func TestWhatIsMovedOverrunsFromItsNewEnd(t *testing.T) {
	m := story(maintenance.Change{Action: maintenance.Edit, At: clock(1, 0), From: clock(4, 0), Until: clock(4, 30)})
	m.Overrun = 12 * time.Minute
	w := m.Windows(clock(0, 0), clock(12, 0))[0]
	for _, want := range []time.Time{clock(4, 35), clock(4, 40), clock(4, 42)} {
		until, ok := m.Overran(w, w.End)
		if !ok || !until.Equal(want) {
			t.Errorf("it overruns until %v %v, want %v", until, ok, want)
		}
		w.End = until
	}
	if until, ok := m.Overran(w, w.End); ok {
		t.Errorf("it overruns by more than was permitted, until %v", until)
	}
	u := m.Present(clock(1, 30)).Updates
	const want = "Maintenance is now planned from 1 Mar 2026 04:00 UTC to 1 Mar 2026 04:30 UTC."
	if got := u[len(u)-1].Sentence(); got != want {
		t.Error(got)
	}
	if len(m.Upcoming(clock(3, 30), 1)) != 1 || m.Over().Before(clock(4, 30)) {
		t.Error("it counts as over before its new end")
	}
}
