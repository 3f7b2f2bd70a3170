package editorial_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// shows checks that the incident's page and the API's answer have all of the texts, in this order of time on the page.
func (r *room) shows(id string, texts ...string) {
	r.t.Helper()
	h := r.public()
	page := webtest.Get(r.t, h, "/incidents/"+id).Body.String()
	last := len(page)
	for _, text := range texts { // the page has the newest first
		at := strings.LastIndex(page[:last], text)
		if at < 0 {
			r.t.Errorf("the page lacks %q before what follows it:\n%s", text, page)
			return
		}
		last = at
	}
	data := webtest.Get(r.t, h, "/api/v2/incidents/"+id+".json").Body.String()
	var answer any
	if err := json.Unmarshal([]byte(data), &answer); err != nil {
		r.t.Errorf("%v: %s", err, data)
	}
	for _, text := range texts {
		if !strings.Contains(data, text) {
			r.t.Errorf("the API lacks %q: %s", text, data)
		}
	}
}

// 2020-09-21: sending mail was shut for 21 minutes to clear a flood of viruses; reading mail stayed up.
func TestTheFloodOfViruses(t *testing.T) {
	r := newRoom(t, "2020-09-21T06:50:00Z")
	r.measure("NC036", "Sending mail", mesh.Down, mesh.PartialOutage, "06:56:02")
	r.at("07:05:48")
	opened := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Sending mail is shut", Hosts: []string{"NC036"}, Checks: []string{"Sending mail"}, Tags: []string{"spam"},
		Text: "We clear a flood of viruses from five accounts. Reading mail works.", Category: "mail",
	}))
	if !strings.Contains(opened.Note, "06:56:02") {
		t.Errorf("the person does not learn that it continues a measured incident: %+v", opened)
	}
	r.measure("NC036", "Sending mail", mesh.Up, mesh.Operational, "07:17:05")
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 1 || all[0].Measured != "over" || all[0].State != incident.Investigating ||
		!strings.HasPrefix(all[0].Proposal, "resolve: everything has worked since") {
		t.Fatalf("%+v %v", all, err)
	}
	r.at("07:26:54")
	r.written(r.editor.ResolveIncident(t.Context(), editorial.Note{ID: opened.ID, Text: "The queues are clean."}))
	r.at("08:42:47")
	r.written(r.editor.ExplainIncident(t.Context(), editorial.Note{
		ID: opened.ID, Text: "Five accounts of three domains were hijacked.",
	}))
	r.shows(opened.ID, "Sending mail stopped at 06:56 UTC. Confirmed from 7 of 7 regions at 06:56 UTC.",
		"We clear a flood of viruses",
		"Sending mail works again after 21 min 3 s.", "The queues are clean.", "Five accounts of three domains")
	page := webtest.Get(t, r.public(), "/incidents/"+opened.ID).Body.String()
	for _, want := range []string{
		"lasted 21 min 3 s", "down for 21 min 3 s", `datetime="2020-09-21T06:56:02Z"`, "post-mortem",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// 2021-09-02: the mail server was down for six minutes to add a disk, announced two minutes after it had begun.
func TestTheDiskThatWasAdded(t *testing.T) {
	r := newRoom(t, "2021-09-02T02:00:00Z")
	r.Catalog.Host("nc036").Title = "" // pages call one with a title by that, and APIs by its name
	r.measure("NC036", "ping", mesh.Down, mesh.MajorOutage, "02:31:00")
	r.at("02:33:05")
	opened := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Emergency maintenance", Hosts: []string{"nc036"}, Text: "We add a disk.", Impact: incident.Critical,
	}))
	r.measure("NC036", "ping", mesh.Up, mesh.Operational, "02:37:00")
	r.at("02:59:34")
	r.written(r.editor.ResolveIncident(t.Context(), editorial.Note{ID: opened.ID, Text: "The server is back online."}))
	r.at("09:23:31")
	r.written(r.editor.ExplainIncident(t.Context(), editorial.Note{ID: opened.ID, Text: "Growth was not planned for."}))
	r.shows(opened.ID, "NC036 stopped answering at 02:31 UTC.", "We add a disk.", "NC036 answers again after 6 min.",
		"The server is back online.", "Growth was not planned for.")
	i, err := r.view.Incident(t.Context(), opened.ID)
	if err != nil || i.Downtime(i.Resolved) != 6*time.Minute || i.State != incident.Postmortem {
		t.Errorf("%v %v: typed times must not change the downtime", i, err)
	}
}

// 2025-06-11: mail was late, and pings were answered. The promised update did not come.
func TestTheDelayThatWasNotMeasured(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:54:00Z")
	r.remind()
	opened := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Incoming mail is late", Hosts: []string{"NC036"}, Text: "Messages arrive late and twice.",
		Impact: incident.Minor, NextUpdate: "2h",
	}))
	r.at("09:53:00")
	r.written(r.editor.UpdateIncident(t.Context(), editorial.Update{
		ID: opened.ID, Status: incident.Identified, Text: "We are locked out.", NextUpdate: "2025-06-11T13:00:00Z",
	}))
	r.at("12:56:00")
	r.warned("next-update-due-"+opened.ID, "the next update is due by 2025-06-11 13:00:00 UTC")
	r.at("13:10:00")
	r.warned("next-update-due-"+opened.ID, "")
	r.warned("next-update-overdue-"+opened.ID, "the next update is overdue; it was promised by 2025-06-11 13:00:00 UTC")
	if page := webtest.Get(t, r.public(), "/").Body.String(); !strings.Contains(page, "was promised by 13:00 UTC") {
		t.Error("the front page does not show the promise")
	}
	r.at("13:45:00")
	r.written(r.editor.UpdateIncident(t.Context(), editorial.Update{
		ID: opened.ID, Status: incident.Monitoring, Text: "Mail arrives again.",
	}))
	r.warned("next-update-overdue-"+opened.ID, "")
	r.at("2025-06-12T01:23:00Z")
	r.written(r.editor.ResolveIncident(t.Context(), editorial.Note{ID: opened.ID, Text: "All mail has arrived."}))
	r.shows(opened.ID, "arrive late and twice", "We are locked out.", "Mail arrives again.", "All mail has arrived.")
	page := webtest.Get(t, r.public(), "/incidents/"+opened.ID).Body.String()
	if !strings.Contains(page, "No outage was measured.") || strings.Contains(page, "lasted") {
		t.Error("the page has a downtime that nobody measured")
	}
}

// remind runs the reminders until the test ends.
func (r *room) remind() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.editor.Remind(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
}

// warned waits until operators are warned of a subject with a text; "" means that the warning is cleared.
func (r *room) warned(subject, text string) {
	r.t.Helper()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		got = r.warnings[subject]
		r.mu.Unlock()
		if got == text || text != "" && strings.Contains(got, text) {
			return
		}
	}
	r.t.Errorf("operators are warned of %q, want %q", got, text)
}

// An outage that begins while a person's incident of its host is open is a part of that one, and not another.
func TestAnOutageJoinsThePersonsIncident(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	opened := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Mail is slow", Hosts: []string{"NC036"}, Text: "We look into it.",
	}))
	r.measure("NC036", "Sending mail", mesh.Down, mesh.PartialOutage, "07:10:00")
	r.measure("NC036", "Sending mail", mesh.Up, mesh.Operational, "07:12:00")
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 1 || all[0].ID != opened.ID || len(all[0].Windows) != 1 ||
		all[0].Windows[0].Seconds != 120 {
		t.Fatalf("%+v %v", all, err)
	}
}

// What a person opens after the mesh's incident was resolved is another one: the title and the impact of the resolved
// one stay.
func TestAResolvedIncidentIsNotContinued(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	r.measure("NC041", "ping", mesh.Down, mesh.MajorOutage, "08:00:00")
	r.measure("NC041", "ping", mesh.Up, mesh.Operational, "08:01:00")
	before, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	r.at("08:05:00")
	late := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Mail is delayed", Hosts: []string{"NC041"}, Text: "A cable.", Impact: incident.Minor,
	}))
	if !strings.Contains(late.Note, before[0].ID) || !strings.Contains(late.Note, "incident merge") {
		t.Errorf("the note does not name the resolved one: %q", late.Note)
	}
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 2 || all[0].ID != late.ID || all[0].Measured != "none" ||
		all[0].Impact != incident.Minor || all[1].Title != before[0].Title ||
		all[1].Impact != incident.Critical || all[1].State != incident.Resolved {
		t.Errorf("%+v %v", all, err)
	}
	// An update that names the host continues it as little.
	other := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Something else", Hosts: []string{"NC036"}, Text: "A cable.",
	}))
	r.written(r.editor.UpdateIncident(t.Context(), editorial.Update{ID: other.ID, Hosts: []string{"NC041"}, Text: "Too."}))
	if all, err = r.editor.ListIncidents(t.Context(), 10, 0); err != nil || len(all) != 3 {
		t.Errorf("%+v %v", all, err)
	}
}

// Who opens an incident of a host that fails now takes over the mesh's, and lowers its impact only on purpose.
func TestOpeningDoesNotLowerWhatIsMeasured(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	r.measure("NC041", "ping", mesh.Down, mesh.MajorOutage, "08:00:00")
	r.at("08:05:00")
	opened := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Mail is delayed", Hosts: []string{"NC041"}, Text: "A cable.", Impact: incident.Minor,
	}))
	impact := func(want incident.Impact) {
		t.Helper()
		all, err := r.editor.ListIncidents(t.Context(), 10, 0)
		if err != nil || len(all) != 1 || all[0].ID != opened.ID || all[0].Impact != want {
			t.Errorf("%+v %v", all, err)
		}
	}
	impact(incident.Critical)
	if want := "its impact stays critical"; !strings.Contains(opened.Note, want) {
		t.Errorf("%q lacks %q", opened.Note, want)
	}
	r.written(r.editor.UpdateIncident(t.Context(), editorial.Update{
		ID: opened.ID, Text: "Few use it.", Impact: incident.Minor,
	}))
	impact(incident.Minor)
}

// A merge keeps the title and the worse impact of the incident that goes on.
func TestAMergeKeepsTheTitle(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	slow := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Slow", Hosts: []string{"NC036"}, Text: "We look into it.", Impact: incident.Minor,
	}))
	r.measure("NC041", "ping", mesh.Down, mesh.MajorOutage, "08:00:00")
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	into := all[0]
	r.written(r.editor.MergeIncident(t.Context(), editorial.Merger{ID: slow.ID, Into: into.ID}))
	got, _, err := r.editor.ShowIncident(t.Context(), into.ID)
	if err != nil || got.Title != into.Title || len(got.Hosts) != 2 || got.Impact != incident.Critical {
		t.Errorf("%+v %v", got, err)
	}
	// The other way, what is called minor is as bad as what continues in it.
	open := func(title string, impact incident.Impact) string {
		return r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
			Title: title, Hosts: []string{"NC036"}, Text: "We look into it.", Impact: impact,
		})).ID
	}
	minor, major := open("Late", incident.Minor), open("Away", incident.Major)
	r.written(r.editor.MergeIncident(t.Context(), editorial.Merger{ID: major, Into: minor}))
	if got, _, err = r.editor.ShowIncident(t.Context(), minor); err != nil || got.Title != "Late" ||
		got.Impact != incident.Major {
		t.Errorf("%+v %v", got, err)
	}
}

// Who wrote "resolved" while a check fails need not write it again before the post-mortem.
func TestAPostmortemWaitsForWhatFails(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	r.measure("NC041", "ping", mesh.Down, mesh.MajorOutage, "08:00:00")
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	note := editorial.Note{ID: all[0].ID, Text: "A cable."}
	refused := func(want string) {
		t.Helper()
		if _, err := r.editor.ExplainIncident(t.Context(), note); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	refused("is not resolved (investigating): write `incident resolve")
	r.at("08:03:00")
	r.written(r.editor.ResolveIncident(t.Context(), note))
	refused("was called resolved, but the mesh measures that these still fail: NC041 ping since 2025-06-11 08:00:00 UTC")
	r.measure("NC041", "ping", mesh.Up, mesh.Operational, "08:04:00")
	r.measure("NC041", "ping", mesh.Down, mesh.MajorOutage, "08:06:00")
	refused("was reopened (investigating), since these fail: NC041 ping since 2025-06-11 08:06:00 UTC")
	r.measure("NC041", "ping", mesh.Up, mesh.Operational, "08:08:00")
	r.written(r.editor.ResolveIncident(t.Context(), note))
	r.written(r.editor.ExplainIncident(t.Context(), note))
}

// An erasure names its text where there are several, and the refusal lists them without their words.
func TestAnErasureNamesItsText(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	id := r.written(r.editor.OpenIncident(t.Context(), editorial.Opening{
		Title: "Slow", Hosts: []string{"NC036"}, Text: "Zvezda-one",
	})).ID
	r.at("07:05:00")
	r.written(r.editor.UpdateIncident(t.Context(), editorial.Update{ID: id, Text: "Zvezda-two"}))
	text := "three"
	for _, c := range []editorial.Correction{{}, {Text: &text}} {
		c.ID, c.Erase = id, true
		_, err := r.editor.EditIncident(t.Context(), c)
		for _, want := range []string{
			"has 2 texts", "--update", "(open of 2025-06-11 07:00:00 UTC)", "(update of 2025-06-11 07:05:00 UTC)",
		} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Zvezda") {
				t.Errorf("%v lacks %q", err, want)
			}
		}
	}
	i, _, err := r.editor.ShowIncident(t.Context(), id)
	if err != nil || len(i.Updates) != 2 {
		t.Fatal(i, err)
	}
	r.written(r.editor.EditIncident(t.Context(), editorial.Correction{ID: id, Entry: i.Updates[1].ID, Erase: true}))
	r.written(r.editor.EditIncident(t.Context(), editorial.Correction{ID: id, Erase: true})) // there is one left
	if _, page, err := r.editor.ShowIncident(t.Context(), id); err != nil || strings.Contains(page, "Zvezda") {
		t.Error(page, err)
	}
}

// A transition that comes into the ledger between the command and its event does not make two incidents of one.
func TestACommandThatRacesWithTheMesh(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	r.measure("NC036", "Sending mail", mesh.Down, mesh.PartialOutage, "07:10:00")
	measured, err := r.editor.ListIncidents(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Catalog.Host("nc036")
	at, _ := r.clock()
	r.append(ledger.IncidentEvent{Change: incident.Change{ // as of a command that did not see it
		Event: "e1", ID: "mine", Action: incident.ActionOpen, State: incident.Investigating, Mesh: at.Add(3 * time.Second),
		Hosts: []incident.Subject{{ID: h.Identity(), Name: h.Name}},
	}})
	all, err := r.editor.ListIncidents(t.Context(), 10, 0)
	if err != nil || len(all) != 1 || all[0].ID != "mine" || len(all[0].Windows) != 1 || all[0].Measured != "ongoing" {
		t.Fatalf("%+v %v", all, err)
	}
	w := webtest.Get(t, r.public(), "/incidents/"+measured[0].ID)
	if w.Header().Get("Location") != "/incidents/mine" {
		t.Errorf("the first address answers %d", w.Code)
	}
}

// Commands are refused with the field that is wrong, and with what is possible.
func TestRefusedCommandsNameTheField(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	valid := editorial.Opening{Title: "T", Text: "x", Hosts: []string{"NC036"}}
	for field, change := range map[string]func(*editorial.Opening){
		"title": func(o *editorial.Opening) { o.Title = "a\nb" }, "text": func(o *editorial.Opening) { o.Text = " " },
		"hosts":       func(o *editorial.Opening) { o.Hosts = nil },
		"checks":      func(o *editorial.Opening) { o.Checks = []string{"x"} },
		"impact":      func(o *editorial.Opening) { o.Impact = "huge" },
		"next_update": func(o *editorial.Opening) { o.NextUpdate = "-5m" },
		"template":    func(o *editorial.Opening) { o.Template = "x" },
		"tags":        func(o *editorial.Opening) { o.Tags = []string{"a b"} },
	} {
		o := valid
		change(&o)
		if _, err := r.editor.OpenIncident(t.Context(), o); err == nil || errkind.Field(err) != field {
			t.Errorf("%s: %v (field %q)", field, err, errkind.Field(err))
		}
	}
	if len(r.texts) > 0 || len(r.records) != 1 {
		t.Errorf("%d texts and %d events are stored of refused commands", len(r.texts), len(r.records))
	}
	_, err := r.editor.UpdateIncident(t.Context(), editorial.Update{ID: "x", Text: "x"})
	if errkind.Of(err) != errkind.NotFound {
		t.Error(err)
	}
	o := valid
	o.Preview = true
	if out, err := r.editor.OpenIncident(t.Context(), o); err != nil || !strings.Contains(out.Page, "investigating") ||
		len(r.texts) > 0 || len(r.records) != 1 {
		t.Errorf("a preview writes: %+v %v", out, err)
	}
}

// A view that is built again from the ledger and the texts has the same incidents.
func TestARebuiltViewHasTheSameIncidents(t *testing.T) {
	r := newRoom(t, "2025-06-11T07:00:00Z")
	r.measure("NC036", "Sending mail", mesh.Down, mesh.PartialOutage, "07:10:00")
	one := editorial.Opening{Title: "T", Text: "one", Hosts: []string{"NC036"}}
	two := editorial.Opening{Title: "U", Text: "two", Hosts: []string{"NC041"}}
	opened := r.written(r.editor.OpenIncident(t.Context(), one))
	other := r.written(r.editor.OpenIncident(t.Context(), two))
	text := "corrected"
	r.written(r.editor.EditIncident(t.Context(), editorial.Correction{ID: other.ID, Text: &text}))
	r.written(r.editor.MergeIncident(t.Context(), editorial.Merger{ID: other.ID, Into: opened.ID}))
	before, page, err := r.editor.ShowIncident(t.Context(), opened.ID)
	if err != nil || len(before.Hosts) != 2 || !strings.Contains(page, "corrected") {
		t.Fatalf("%+v %v", before, err)
	}
	again := r.rebuilt()
	i, err := again.Incident(t.Context(), opened.ID)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := r.clock()
	if got := i.Page(now); got != page {
		t.Errorf("rebuilt:\n%s\nbefore:\n%s", got, page)
	}
}
