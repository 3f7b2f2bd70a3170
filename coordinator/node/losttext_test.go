package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// textIDs returns the ids of the texts of a stopped coordinator's ledger, in their order.
func textIDs(t *testing.T, c node.Config) (ids []string) {
	t.Helper()
	b, close := openStreams(t, c)
	defer close()
	err := b.ReadLedger(t.Context(), 1, func(r bus.Record) error {
		for _, part := range strings.Split(string(r.Data), `"text":{"id":"`)[1:] {
			ids = append(ids, part[:strings.IndexByte(part, '"')])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// lostTexts returns the warning of texts that are lost; "" if there is none.
func lostTexts(t *testing.T, client *admin.Client) string {
	t.Helper()
	state, err := client.State(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(state.Problems, func(p string) bool { return strings.Contains(p, "texts that people wrote") })
	if i < 0 {
		return ""
	}
	return state.Problems[i]
}

// A text that is lost, and one that another replaced, are warned of, and the post says so once the view is rebuilt. One
// that was removed, and one that was written again, are not.
func TestLostTextsAreWarnedOf(t *testing.T) {
	c := config(t)
	var posts []string
	run(t, c, func(client *admin.Client) {
		for _, title := range []string{"lost", "replaced", "removed", "whole"} {
			id, err := client.PublishPost(t.Context(), draft(ledger.Text{Title: title, Body: title}))
			if err != nil {
				t.Fatal(err)
			}
			posts = append(posts, id)
		}
		if _, err := client.RemovePost(t.Context(), posts[2]); err != nil {
			t.Fatal(err)
		}
	})
	warned := func(client *admin.Client) string { return lostTexts(t, client) }
	run(t, c, func(client *admin.Client) {
		if text := warned(client); text != "" {
			t.Errorf("nothing is lost, and the warning is %q", text)
		}
	})
	ids := textIDs(t, c)
	b, close := openStreams(t, c)
	for _, id := range ids[:2] {
		if _, err := b.Texts().Erase(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	forged, _, err := ledger.SealText(ledger.Text{Title: "forged", Body: "forged"})
	if err == nil {
		err = b.Texts().Put(t.Context(), ids[1], forged)
	}
	close()
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, func(client *admin.Client) {
		if text := warned(client); !strings.HasPrefix(text, "2 texts") || !strings.Contains(text, posts[0]) ||
			!strings.Contains(text, posts[1]) {
			t.Errorf("the warning is %q", text)
		}
		for _, id := range posts[:2] {
			title := "again"
			if err := client.EditPost(t.Context(), editorial.Edit{ID: id, Title: &title, Text: &title}); err != nil {
				t.Fatal(err)
			}
		}
	})
	run(t, c, func(client *admin.Client) {
		if text := warned(client); text != "" {
			t.Errorf("they are written again, and the warning is %q", text)
		}
	})
}
