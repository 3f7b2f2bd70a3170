package node_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// Marks of what people wrote, which a search of the data directory finds.
var (
	firstText  = ledger.Text{Title: "Zvezda-title-one", Body: "Zvezda-body-one " + strings.Repeat("long ", 5000)}
	secondText = ledger.Text{Title: "Zvezda-title-two", Body: "Zvezda-body-two"}
	keptText   = ledger.Text{Title: "Altair-title", Body: "Altair-body"}
)

const erased, kept = "Zvezda-", "Altair-"

// run opens a node and runs it until the function returns.
func run(t *testing.T, c node.Config, do func(client *admin.Client)) {
	t.Helper()
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	do(admin.NewClient(c.Data))
}

// filesWith returns the files below the directory that contain the text.
func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a coordinator that runs replaces files
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(data, []byte(text)) {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// messagesWith counts the messages of a stopped coordinator's streams that contain the text, as a reader gets them.
func messagesWith(t *testing.T, c node.Config, text string) (n int) {
	t.Helper()
	b, close := openStreams(t, c)
	defer close()
	count := func(data []byte) {
		if bytes.Contains(data, []byte(text)) {
			n++
		}
	}
	var texts []string
	err := b.ReadLedger(t.Context(), 1, func(r bus.Record) error {
		count(r.Data)
		for _, part := range strings.Split(string(r.Data), `"text":{"id":"`)[1:] {
			texts = append(texts, part[:strings.IndexByte(part, '"')])
		}
		return nil
	})
	if err != nil || len(texts) != 3 {
		t.Fatal(texts, err)
	}
	for _, id := range texts {
		if data, err := b.Texts().Get(t.Context(), id); err == nil {
			count(data)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = b.Follow(ctx, bus.Start{Sequence: 1}, func(m bus.Message) error { count(m.Data); return nil })
	return n
}

// eraseIncident writes about an incident what is erased then: a correction, a title, and the opening text, whose title
// stays. It returns the incident's id.
func eraseIncident(t *testing.T, client *admin.Client) (id string) {
	t.Helper()
	incidents := admin.NewIncidentClient(client)
	write := func(action string, command any) editorial.Written {
		t.Helper()
		out, err := incidents.Write(t.Context(), action, command)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	erase := func(c editorial.Correction) {
		t.Helper()
		c.ID, c.Erase = id, true
		if out := write("edit", c); out.Removal == nil || *out.Removal != (editorial.Removal{}) {
			t.Errorf("erased: %+v", out)
		}
	}
	text := func(s string) *string { return &s }
	id = write("open", editorial.Opening{
		Title: "Zvezda-title-first", Text: "Altair-opening", Hosts: []string{"NC036"},
	}).ID
	erase(editorial.Correction{Title: text("Altair-title of the incident")}) // its record holds the opening text, too
	write("update", editorial.Update{ID: id, Text: "Zvezda-password"})
	i, err := incidents.Show(t.Context(), id)
	if err != nil || len(i.Updates) != 2 || i.Title != "Altair-title of the incident" ||
		i.Updates[0].Text != "Altair-opening" {
		t.Fatalf("%+v %v", i, err)
	}
	write("edit", editorial.Correction{ID: id, Text: text("Zvezda-still-there")})
	refused := editorial.Correction{ID: id, Erase: true} // with two texts it must name one
	if _, err := incidents.Write(t.Context(), "edit", refused); err == nil ||
		!strings.Contains(err.Error(), "has 2 texts: name the one to erase, with --update: ") {
		t.Errorf("a text is erased that nobody named: %v", err)
	}
	erase(editorial.Correction{Text: text("Altair-corrected"), Entry: entryWith(t, client, id, "Zvezda-still-there")})
	write("update", editorial.Update{ID: id, Text: "Zvezda-gone"})
	erase(editorial.Correction{Entry: entryWith(t, client, id, "Zvezda-gone")})
	again := editorial.Correction{ID: id, Entry: entryWith(t, client, id, "was removed"), Erase: true}
	if _, err := incidents.Write(t.Context(), "edit", again); err == nil ||
		!strings.Contains(err.Error(), "was removed at") {
		t.Errorf("a removed text is removed again: %v", err)
	}
	return id
}

// entryWith returns the id of the incident's update with a text.
func entryWith(t *testing.T, client *admin.Client, id, text string) string {
	t.Helper()
	i, err := admin.NewIncidentClient(client).Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range i.Updates {
		if strings.Contains(u.Text, text) {
			return u.ID
		}
	}
	t.Fatalf("no update has %q: %+v", text, i.Updates)
	return ""
}

// eraseMaintenance plans a maintenance and erases its announcement and what was said when it began.
func eraseMaintenance(t *testing.T, client *admin.Client) (id string) {
	t.Helper()
	id, err := client.PlanMaintenance(t.Context(), editorial.MaintenancePlan{
		Title: "Altair-disk", Text: "Zvezda-announced", Hosts: []string{"NC036"}, Start: time.Now().Add(time.Hour),
		End: time.Now().Add(2 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := client.ChangeMaintenance(t.Context(), editorial.MaintenanceChange{
		ID: id, Action: maintenance.Start, Text: "Zvezda-begun",
	})
	if err != nil {
		t.Fatal(err)
	}
	text := "Altair-announced"
	refused := editorial.MaintenanceEdit{ID: id, Erase: true}
	if _, err := admin.EditMaintenance(t.Context(), client, refused); err == nil ||
		!strings.Contains(err.Error(), "has 2 texts: name the one to erase, with --update: ") {
		t.Errorf("a text is erased that nobody named: %v", err)
	}
	for _, e := range []editorial.MaintenanceEdit{
		{Update: entry.Updates[0].ID, Text: &text, Erase: true}, {Update: entry.Updates[1].ID, Erase: true},
	} {
		e.ID = id
		out, err := admin.EditMaintenance(t.Context(), client, e)
		if err != nil || out.Removal == nil || *out.Removal != (editorial.Removal{}) || out.Entry.Title != "Altair-disk" {
			t.Errorf("erased: %+v %v", out, err)
		}
	}
	return id
}

// What people wrote about an incident and a maintenance is erased as posts are, and what stands in the same records
// stays.
func TestErasedUpdatesAreNowhere(t *testing.T) {
	c := config(t)
	var incident, planned string
	reads := func(client *admin.Client) {
		t.Helper()
		i, err := admin.NewIncidentClient(client).Show(t.Context(), incident)
		for _, want := range []string{
			"Altair-title of the incident", "Altair-opening", "Altair-corrected", "The text of this update was removed.",
		} {
			if err != nil || !strings.Contains(i.Page, want) {
				t.Errorf("the incident lacks %q: %v %s", want, err, i.Page)
			}
		}
		all, err := client.Maintenances(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != planned || all[0].Updates[0].Text.Body != "Altair-announced" ||
			!all[0].Updates[1].Text.Erased || all[0].Updates[1].Text.Body != "" {
			t.Errorf("%+v %v", all, err)
		}
		if text := lostTexts(t, client); text != "" {
			t.Errorf("nothing is lost, and the warning is %q", text)
		}
	}
	run(t, c, func(client *admin.Client) {
		incident, planned = eraseIncident(t, client), eraseMaintenance(t, client)
		reads(client)
		if found := filesWith(t, c.Data, erased); len(found) > 0 {
			t.Errorf("while the coordinator runs the text is in %v", found)
		}
	})
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(c.Data, "view.db"+suffix))
	}
	run(t, c, reads)
	if found := filesWith(t, c.Data, erased); len(found) > 0 {
		t.Errorf("after the view was rebuilt the text is in %v", found)
	}
}

// A person publishes, edits and removes a post. The text is nowhere in the data directory then: not while the
// coordinator runs, after a restart, nor after the view was rebuilt. The other post stays.
func TestARemovedTextIsNowhere(t *testing.T) {
	c := config(t)
	var id, other string
	wantPosts := func(client *admin.Client) {
		t.Helper()
		posts, err := client.Posts(t.Context())
		if err != nil || len(posts) != 2 {
			t.Fatal(posts, err)
		}
		for _, p := range posts {
			switch {
			case p.ID == id && (p.Removed.IsZero() || len(p.Texts) > 0):
				t.Errorf("a removed post is %+v", p)
			case p.ID == other && (!p.Removed.IsZero() || len(p.Texts) != 1 || p.Texts[0].Text != keptText):
				t.Errorf("the other post is %+v", p)
			}
		}
	}
	run(t, c, func(client *admin.Client) {
		var err error
		if id, err = client.PublishPost(t.Context(), draft(firstText)); err != nil {
			t.Fatal(err)
		}
		if other, err = client.PublishPost(t.Context(), draft(keptText)); err != nil {
			t.Fatal(err)
		}
		err = client.EditPost(t.Context(), editorial.Edit{ID: id, Title: &secondText.Title, Text: &secondText.Body})
		if err != nil {
			t.Fatal(err)
		}
		posts, err := client.Posts(t.Context())
		if err != nil || len(posts) != 2 || len(posts[1].Texts) != 2 || posts[1].Texts[0].Text != secondText ||
			posts[1].Texts[1].Text != firstText || posts[1].Texts[1].Public {
			t.Fatalf("an edit does not keep the text before: %+v %v", posts, err)
		}
		if found := filesWith(t, c.Data, erased); len(found) < 2 {
			t.Fatalf("the search finds nothing to erase: %v", found)
		}
		removal, err := client.RemovePost(t.Context(), id)
		if err != nil || removal.Pending || removal.Replicated {
			t.Fatalf("%+v %v", removal, err)
		}
		wantPosts(client) // reads show a write as soon as it is answered
		if found := filesWith(t, c.Data, erased); len(found) > 0 {
			t.Errorf("while the coordinator runs the text is in %v", found)
		}
		if err := client.EditPost(t.Context(), editorial.Edit{ID: id, Title: &secondText.Title}); err == nil {
			t.Error("a removed post is edited")
		}
	})
	for _, step := range []string{"stopped", "restarted", "rebuilt"} {
		if found := filesWith(t, c.Data, erased); len(found) > 0 {
			t.Errorf("%s: the text is in %v", step, found)
		}
		if n := messagesWith(t, c, erased); n > 0 {
			t.Errorf("%s: the text is in %d messages", step, n)
		}
		if n, found := messagesWith(t, c, kept), filesWith(t, c.Data, kept); n == 0 || len(found) == 0 {
			t.Errorf("%s: the other post's text is lost: %d messages, %v", step, n, found)
		}
		if step == "restarted" {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(filepath.Join(c.Data, "view.db"+suffix))
			}
		}
		run(t, c, wantPosts)
	}
}

func draft(t ledger.Text) editorial.Draft {
	return editorial.Draft{Title: t.Title, Text: t.Body, Tags: []string{"smtp"}, Hosts: []string{"nc036"}}
}
