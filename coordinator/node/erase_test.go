package node_test

import (
	"bytes"
	"context"
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
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
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
