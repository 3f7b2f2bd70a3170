package editorial_test

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// An import keeps times and addresses, ties a post to the public host that its title begins with, and happens once.
func TestImport(t *testing.T) {
	f := &fake{}
	e := newEditor(f)
	at := time.Date(2020, 9, 21, 7, 5, 48, 0, time.UTC)
	post := func(source, title string) editorial.Imported {
		return editorial.Imported{Source: source, Title: title, Text: "Text.", Published: at, Permalinks: []string{"?p=7"}}
	}
	in := editorial.Import{DryRun: true, Posts: []editorial.Imported{
		post("1", "NC036: mail is back"), post("2", "NC0361 is another name"), post("3", "News"), post("1", "NC036: again"),
		post("4", strings.Repeat("x", 500)),
	}}
	in.Posts[2].Text = "Ask nc023, not NC0231."
	dry, err := e.ImportPosts(t.Context(), in)
	if err != nil || len(f.events) > 0 || len(f.texts) > 0 {
		t.Fatalf("a dry run writes %d events (%v)", len(f.events), err)
	}
	in.DryRun = false
	done, err := e.ImportPosts(t.Context(), in)
	if err != nil || len(f.events) != 3 || len(f.texts) != 3 {
		t.Fatalf("%d events (%v)", len(f.events), err)
	}
	first := f.events[0].(ledger.PostEvent)
	if !first.Published.Equal(at) || first.Permalinks[0] != "?p=7" || len(first.Hosts) != 1 ||
		first.Hosts[0] != "internal-7" || first.ID != done.Posts[0].ID || len(first.ID) != 26 {
		t.Errorf("%+v", first)
	}
	for n, want := range []editorial.ImportedPost{{Host: "NC036"}, {}, {Internal: []string{"NC023"}}, {Known: true}, {}} {
		p := done.Posts[n]
		if p.ID != dry.Posts[n].ID || p.Known != want.Known || !p.Known && p.Host != want.Host ||
			strings.Join(p.Internal, " ") != strings.Join(want.Internal, " ") || (p.Refused != "") != (n == 4) {
			t.Errorf("post %d: %+v, dry %+v", n, p, dry.Posts[n])
		}
	}
	f.post.ID = first.ID // it exists now, whatever became of it
	again, err := e.ImportPosts(t.Context(), editorial.Import{Posts: in.Posts[:1]})
	if err != nil || !again.Posts[0].Known || len(f.events) != 3 {
		t.Errorf("%+v %v", again, err)
	}
}
