package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// save backs a running coordinator up and returns the directory.
func save(t *testing.T, client *admin.Client) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "saved")
	if _, err := backup.Save(t.Context(), client, dir, "v1"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// restore restores a backup, and returns the config of a coordinator on the new data directory.
func restore(t *testing.T, saved string, o backup.Options) (node.Config, backup.Outcome) {
	t.Helper()
	a, err := backup.Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c := config(t)
	c.Data = filepath.Join(c.Data, "restored")
	done, err := backup.Restore(t.Context(), a, c.Data, func(ctx context.Context, dir string) (*server.Server, error) {
		on := c
		on.Data = dir
		return node.OpenBus(ctx, on)
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, done
}

// A post is removed after a backup. Restored with the removals of a later backup its text is nowhere, not after the
// start and not after the view is rebuilt, and the post is one that was removed. Without them it is back.
func TestARestoreAppliesRemovals(t *testing.T) {
	c := config(t)
	var id, before, after, token string
	run(t, c, func(client *admin.Client) {
		var err error
		if id, err = client.PublishPost(t.Context(), draft(firstText)); err != nil {
			t.Fatal(err)
		}
		if _, err = client.PublishPost(t.Context(), draft(keptText)); err != nil {
			t.Fatal(err)
		}
		if token, err = client.Tokens().Add(t.Context(), "deploy", operators.Write); err != nil {
			t.Fatal(err)
		}
		before = save(t, client)
		if err := client.Tokens().Revoke(t.Context(), "deploy"); err != nil {
			t.Fatal(err)
		}
		edit := editorial.Edit{ID: id, Title: &secondText.Title, Text: &secondText.Body}
		if err := client.EditPost(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
		if _, err := client.RemovePost(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		after = save(t, client)
	})
	if found := filesWith(t, after, erased); len(found) > 0 {
		t.Errorf("a backup after the removal has the text in %v", found)
	}
	removals, err := backup.ReadRemovals(after)
	if err != nil || len(removals.Removed) != 2 || len(removals.Removed[1].Texts) != 2 {
		t.Fatalf("%+v %v", removals, err)
	}
	back, _ := restore(t, before, backup.Options{})
	if found := filesWith(t, back.Data, erased); len(found) == 0 {
		t.Error("without removals the text is not back: this test proves nothing")
	}
	clean, done := restore(t, before, backup.Options{Removals: removals})
	if done.Removed != 2 {
		t.Errorf("%d posts and tokens were removed", done.Removed)
	}
	for revoked, on := range map[bool]node.Config{false: back, true: clean} {
		serveNode(t, on, func(url string, _ *admin.Client) {
			_, status := program{t, url, token, ""}.do("GET", "/api/v1/posts", "", nil)
			if (status == http.StatusUnauthorized) != revoked {
				t.Errorf("the token, revoked %v: status %d", revoked, status)
			}
		})
	}
	for _, step := range []string{"restored", "started", "rebuilt"} {
		if found := filesWith(t, clean.Data, erased); len(found) > 0 {
			t.Errorf("%s: the text is in %v", step, found)
		}
		if step == "started" {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(filepath.Join(clean.Data, "view.db"+suffix))
			}
		}
		run(t, clean, func(client *admin.Client) {
			posts, err := client.Posts(t.Context())
			if err != nil || len(posts) != 2 || posts[0].Texts[0].Text != keptText || posts[1].Removed.IsZero() ||
				len(posts[1].Texts) > 0 {
				t.Errorf("%s: %+v %v", step, posts, err)
			}
		})
	}
	// The same removals again: they are known.
	if _, done = restore(t, after, backup.Options{Removals: removals}); done.Removed != 0 {
		t.Errorf("%d posts were removed twice", done.Removed)
	}
}

// Single texts of an incident and a maintenance that were erased after a backup are erased when it is restored with the
// removals of a later one, and what else was written of them stays.
func TestARestoreErasesSingleTexts(t *testing.T) {
	c := config(t)
	var incident, planned, before, after string
	run(t, c, func(client *admin.Client) {
		write := func(action string, command any) editorial.Written {
			t.Helper()
			out, err := admin.NewIncidentClient(client).Write(t.Context(), action, command)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		incident = write("open", editorial.Opening{Title: "Altair", Text: "Altair-opening", Hosts: []string{"NC036"}}).ID
		write("update", editorial.Update{ID: incident, Text: "Zvezda-update"})
		var err error
		planned, err = client.PlanMaintenance(t.Context(), editorial.MaintenancePlan{
			Title: "Altair-disk", Text: "Zvezda-announced", Hosts: []string{"NC036"}, End: time.Now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		before = save(t, client)
		update := entryWith(t, client, incident, "Zvezda-update")
		write("edit", editorial.Correction{ID: incident, Entry: update, Erase: true})
		erase := editorial.MaintenanceEdit{ID: planned, Erase: true}
		if _, err := admin.EditMaintenance(t.Context(), client, erase); err != nil {
			t.Fatal(err)
		}
		after = save(t, client)
	})
	removals, err := backup.ReadRemovals(after)
	if err != nil || len(removals.Removed) != 2 {
		t.Fatalf("%+v %v", removals, err)
	}
	if back, _ := restore(t, before, backup.Options{}); len(filesWith(t, back.Data, erased)) == 0 {
		t.Error("without removals the texts are not back: this test proves nothing")
	}
	clean, done := restore(t, before, backup.Options{Removals: removals})
	if done.Removed != 2 {
		t.Errorf("%d removals were applied", done.Removed)
	}
	run(t, clean, func(client *admin.Client) {
		i, err := admin.NewIncidentClient(client).Show(t.Context(), incident)
		if err != nil || i.Title != "Altair" || len(i.Updates) != 2 || i.Updates[0].Text != "Altair-opening" ||
			i.Updates[1].Text != "The text of this update was removed." {
			t.Errorf("%+v %v", i, err)
		}
		all, err := client.Maintenances(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != planned || all[0].Updates[0].Text.Body != "" {
			t.Errorf("%+v %v", all, err)
		}
	})
	if found := filesWith(t, clean.Data, erased); len(found) > 0 {
		t.Errorf("the texts are in %v", found)
	}
}

func TestWhatIsNoListOfRemovalsIsRefused(t *testing.T) {
	list := func(subject, action string) string {
		return fmt.Sprintf(`{"v": 1, "removed": [{"subject": %q, "event": {"event": "e", "action": %q}}]}`, subject, action)
	}
	for name, text := range map[string]string{
		"no JSON": "x", "another version": `{"v": 2, "removed": []}`,
		"an event that publishes": list("post.a", "published"), "another event": list("catalog", "removed"),
		"a wildcard": list("post.>", "removed"),
	} {
		file := filepath.Join(t.TempDir(), "removals.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.ReadRemovals(file); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// The revocation of a token is a removal in the words of this version and of those before.
func TestRevocationsAreRemovals(t *testing.T) {
	for _, action := range []string{"token.revoke", "token.revoked"} {
		file := filepath.Join(t.TempDir(), "removals.json")
		text := fmt.Sprintf(
			`{"v": 1, "removed": [{"subject": "audit", "event": {"event": "e", "action": %q, "object": "o"}}]}`, action)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := backup.ReadRemovals(file); err != nil || len(all.Removed) != 1 {
			t.Errorf("%s: %v", action, err)
		}
	}
}

const secretMark = "xyzzy-"

// openCatalog is a catalog with secrets in the clear, as versions before references stored it.
func openCatalog(values string) *catalog.Catalog {
	check := func(name string, kind string, o catalog.Options) catalog.Check {
		return catalog.Check{
			Name: name, Kind: kind, Options: o, Interval: 10 * time.Second, Timeout: 3 * time.Second, Critical: true,
		}
	}
	c := &catalog.Catalog{
		Page: catalog.Page{Title: "Status"}, Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "a"}},
		Hosts: []catalog.Host{{
			Name: "NC036", Region: "a", Public: true, Addresses: []string{"192.0.2.1"},
			Checks: []catalog.Check{
				check("query", catalog.KindHTTP, catalog.HTTP{URL: "http://192.0.2.1/?key=" + secretMark + "query" + values}),
				check("path", catalog.KindHTTP, catalog.HTTP{URL: "http://192.0.2.1/" + secretMark + "path" + values + "/x"}),
				check("body", catalog.KindHTTP, catalog.HTTP{URL: "http://192.0.2.1/", Body: secretMark + "body" + values}),
				check("banner", catalog.KindTCP, catalog.TCP{Port: 25, Banner: "^220 " + secretMark + "banner" + values}),
				check("plain", catalog.KindHTTP, catalog.HTTP{URL: "http://192.0.2.1/", Body: "Welcome"}),
			},
		}, {
			Name: "NC037", Region: "a", Addresses: []string{"192.0.2.2"},
			Checks: []catalog.Check{check("gone", catalog.KindHTTP, catalog.HTTP{
				URL: "http://user:" + secretMark + "password" + values + "@192.0.2.2/?a=" + secretMark + "a" + values + "&b",
			})},
		}},
	}
	catalog.Seal(c)
	return c
}

// withReferences is the first host of openCatalog as it is written today. The second one left.
func withReferences() *catalog.Catalog {
	c := openCatalog("")
	c.Hosts = c.Hosts[:1]
	refer := func(i int, o catalog.Options, key, name string) {
		c.Hosts[0].Checks[i].Options = o
		c.Hosts[0].Checks[i].Secrets = []catalog.Reference{{Key: key, Name: name}}
	}
	refer(0, catalog.HTTP{URL: "http://192.0.2.1/?key=${QUERY}"}, "url", "${QUERY}")
	refer(1, catalog.HTTP{URL: "http://192.0.2.1/${PATH}/x"}, "url", "${PATH}")
	refer(2, catalog.HTTP{URL: "http://192.0.2.1/", Body: "file:/etc/body"}, "body", "file:/etc/body")
	refer(3, catalog.TCP{Port: 25, Banner: "^220 ${BANNER}"}, "banner", "${BANNER}")
	catalog.Seal(c)
	return c
}

// storeOpenSecrets writes catalogs with secrets, and what repeats them, to the streams of a stopped coordinator.
func storeOpenSecrets(t *testing.T, c node.Config) {
	t.Helper()
	b, close := openStreams(t, c)
	defer close()
	if err := b.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := func(subject, id string, v any) {
		t.Helper()
		data, err := json.Marshal(v)
		if err == nil {
			_, err = b.Append(t.Context(), []bus.Entry{{Subject: subject, ID: id, Data: data}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now().Add(-time.Hour).UTC()
	for i, values := range []string{"-first", "-second"} {
		e := ledger.CatalogEvent{Source: "old.yaml", Catalog: openCatalog(values)}
		if i > 0 {
			e.Mesh = at.Add(time.Duration(i) * time.Minute) // the first is of a version without mesh time
		}
		store("catalog", values, e)
	}
	store("transition.nc036", "t", mesh.Transition{
		ID: "7-nc036-1", Host: "NC036", Public: true, Check: "query", Was: mesh.Up, Verdict: mesh.Down,
		From: mesh.Operational, To: mesh.MajorOutage, Began: at.Add(3 * time.Minute), Published: at.Add(3 * time.Minute),
		Votes: []mesh.RegionVote{{Region: "a", Vote: mesh.Bad, Edges: []mesh.EdgeState{{
			Vantage: "nc037", Vote: mesh.Bad, Reason: "redirects to http://x.example/?key=" + secretMark + "query-second",
		}}}},
	})
	report := []byte(`{"v":1,"reason":"got ` + secretMark + `body-first"}`)
	if _, err := b.Mark(t.Context(), bus.Kind("padding"), "m", report); err != nil {
		t.Fatal(err)
	}
}

// history is what a coordinator's ledger and pages show of the past.
type history struct {
	Sequences   []uint64
	Revisions   []string
	Transitions []string
}

// historyOf reads the ledger of a stopped coordinator, and fails the test if a message has a secret. It reads until the
// first start.
func historyOf(t *testing.T, c node.Config, secrets bool) (h history) {
	t.Helper()
	b, close := openStreams(t, c)
	defer close()
	found := 0
	err := b.ReadLedger(t.Context(), 1, func(r bus.Record) error {
		if strings.Contains(string(r.Data), secretMark) {
			found++
		}
		switch {
		case r.Subject == "catalog":
			var e ledger.CatalogEvent
			if err := json.Unmarshal(r.Data, &e); err != nil {
				return err
			}
			h.Revisions = append(h.Revisions, e.Catalog.Revision)
			if e.Mesh.IsZero() != (secrets && e.Source == "old.yaml" && len(h.Revisions) < 3) && !secrets {
				t.Errorf("the catalog %s has no time any more", e.Catalog.Revision)
			}
		case strings.HasPrefix(r.Subject, "transition."):
			var tr mesh.Transition
			if err := json.Unmarshal(r.Data, &tr); err != nil {
				return err
			}
			h.Transitions = append(h.Transitions, tr.ID+tr.Published.String()+tr.Check)
		}
		h.Sequences = append(h.Sequences, r.Sequence)
		return nil
	})
	if err != nil || (found > 0) != secrets {
		t.Errorf("%d messages of the ledger have secrets, %v", found, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = b.Follow(ctx, bus.Start{Sequence: 1}, func(m bus.Message) error {
		if strings.Contains(string(m.Data), secretMark) != (secrets && m.Kind == "padding") {
			t.Errorf("an observation: %s", m.Data)
		}
		return nil
	})
	return h
}

// Catalogs of versions before references hold secrets. A restore that rewrites them leaves none, in any file, and the
// same history: sequences, revisions, transitions, checks. The current catalog is in force.
func TestARestoreRemovesSecretsOfEarlierVersions(t *testing.T) {
	c := config(t)
	run(t, c, func(*admin.Client) {})
	storeOpenSecrets(t, c)
	c.Catalog = nil // the one in the ledger stays in force
	var saved string
	run(t, c, func(client *admin.Client) { saved = save(t, client) })
	dirty, _ := restore(t, saved, backup.Options{})
	before := historyOf(t, dirty, true)
	if found := filesWith(t, dirty.Data, secretMark); len(found) == 0 {
		t.Fatal("the backup has no secrets: this test proves nothing")
	}
	clean, done := restore(t, saved, backup.Options{RewriteSecrets: true, Current: withReferences()})
	if found := filesWith(t, clean.Data, secretMark); len(found) > 0 {
		t.Errorf("secrets are in %v", found)
	}
	if w := done.Rewritten; w.Catalogs < 2 || w.References < 8 || w.Marks < 2 || w.Reports != 1 || w.Observations != 1 {
		t.Errorf("%+v", w)
	}
	after := historyOf(t, clean, false)
	if n := len(before.Revisions); len(after.Revisions) != n+1 {
		t.Fatalf("%d revisions became %d", n, len(after.Revisions))
	}
	if diff := cmp.Diff(before.Transitions, after.Transitions); diff != "" {
		t.Errorf("transitions (-before +after): %s", diff)
	}
	if !slices.Equal(before.Revisions, after.Revisions[:len(before.Revisions)]) {
		t.Errorf("revisions %v became %v", before.Revisions, after.Revisions)
	}
	if n := len(before.Sequences); !slices.Equal(before.Sequences, after.Sequences[:n]) {
		t.Error("sequences differ")
	}
	clean.Catalog = nil
	run(t, clean, func(client *admin.Client) {
		state, err := client.State(t.Context(), time.Time{})
		if err != nil || len(state.Catalog.Hosts) != 1 || len(state.Catalog.References()) != 4 {
			t.Errorf("in force is %+v, %v", state.Catalog, err)
		}
		transitions, err := client.Transitions(t.Context(), "nc036", 10)
		if err != nil || len(transitions) == 0 || !strings.Contains(transitions[0].Votes[0].Edges[0].Reason, "[secret]") {
			t.Errorf("%+v %v", transitions, err)
		}
	})
	if found := filesWith(t, clean.Data, secretMark); len(found) > 0 {
		t.Errorf("after a start secrets are in %v", found)
	}
}
