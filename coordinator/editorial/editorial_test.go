package editorial_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// fake stores texts and events in memory. Its erasing can fail.
type fake struct {
	texts   map[string][]byte
	events  []ledger.Event
	post    ledger.Post
	failure error
	warned  chan string
}

func (f *fake) Put(_ context.Context, id string, data []byte) error {
	f.texts[id] = data
	return nil
}

func (f *fake) Erase(_ context.Context, id string) (bool, error) {
	if f.failure == nil {
		delete(f.texts, id)
	}
	return false, f.failure
}

func (f *fake) Append(_ context.Context, events ...ledger.Event) error {
	f.events = append(f.events, events...)
	return nil
}

func (f *fake) List(context.Context, int) ([]ledger.Post, error) { return []ledger.Post{f.post}, nil }
func (f *fake) Get(_ context.Context, id string) (ledger.Post, error) {
	if id != f.post.ID {
		return ledger.Post{}, ledger.ErrNoPost
	}
	return f.post, nil
}
func (f *fake) TextsOf(context.Context, string) ([]string, error) {
	return f.Removed(context.Background())
}
func (f *fake) Removed(context.Context) (ids []string, err error) {
	for id := range f.texts {
		ids = append(ids, id)
	}
	return ids, nil
}
func (f *fake) TruncateLog(context.Context) error { return nil }

func newEditor(f *fake) *editorial.Editor {
	f.texts = map[string][]byte{}
	c := &catalog.Catalog{Hosts: []catalog.Host{
		{ID: "internal-7", Name: "NC036", Public: true}, {ID: "internal-8", Name: "NC023"},
	}}
	return editorial.New(editorial.Config{
		Texts: f, Ledger: f, Posts: f, Catalog: func() *catalog.Catalog { return c },
		Clock: func() (time.Time, time.Duration) { return time.Unix(1000, 0), time.Second },
		Warn: func(_, text string) {
			if f.warned != nil {
				f.warned <- text
			}
		},
		Logger: zerolog.Nop(),
	})
}

// What cannot be published is refused with what is possible, and nothing of it is stored.
func TestDraftsAreBounded(t *testing.T) {
	valid := editorial.Draft{Title: "News", Text: "Text"}
	many := strings.Split(strings.Repeat("tag ", 11), " ")[:11]
	for _, test := range []struct {
		name   string
		change func(*editorial.Draft)
		says   string
		kind   errkind.Kind
	}{
		{"no title", func(d *editorial.Draft) { d.Title = "  " }, "at most 200", errkind.Invalid},
		{"long title", func(d *editorial.Draft) { d.Title = strings.Repeat("é", 201) }, "201 characters", errkind.Invalid},
		{"two lines", func(d *editorial.Draft) { d.Title = "a\nb" }, "one line", errkind.Invalid},
		{"no text", func(d *editorial.Draft) { d.Text = "\n" }, "Markdown", errkind.Invalid},
		{"long text", func(d *editorial.Draft) { d.Text = strings.Repeat("x", 64<<10+1) }, "at most 65536", errkind.Invalid},
		{"another encoding", func(d *editorial.Draft) { d.Text = "\xe9" }, "UTF-8", errkind.Invalid},
		{"an escape", func(d *editorial.Draft) { d.Text = "a\x1b[2J" }, "control characters", errkind.Invalid},
		{"a tag", func(d *editorial.Draft) { d.Tags = []string{"a b"} }, "a-z", errkind.Invalid},
		{"many tags", func(d *editorial.Draft) { d.Tags = many }, "at most 10", errkind.Invalid},
		{"a category", func(d *editorial.Draft) { d.Category = "../x" }, "a-z", errkind.Invalid},
		{"a host", func(d *editorial.Draft) { d.Hosts = []string{"NC999"} }, "coordinator status", errkind.NotFound},
	} {
		f, d := &fake{}, valid
		test.change(&d)
		_, err := newEditor(f).PublishPost(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), test.says) || errkind.Of(err) != test.kind {
			t.Errorf("%s: %v", test.name, err)
		}
		if len(f.texts) > 0 || len(f.events) > 0 {
			t.Errorf("%s is stored", test.name)
		}
	}
	f := &fake{}
	id, err := newEditor(f).PublishPost(t.Context(), editorial.Draft{
		Title: strings.Repeat("é", 200), Text: strings.Repeat("x", 64<<10), Tags: []string{"SMTP", "smtp"},
		Category: "Mail", Hosts: []string{"nc036"},
	})
	if err != nil || len(f.events) != 1 {
		t.Fatal(err)
	}
	e := f.events[0].(ledger.PostEvent)
	if e.ID != id || len(e.Tags) != 1 || e.Tags[0] != "smtp" || e.Category != "mail" || e.Hosts[0] != "internal-7" {
		t.Errorf("%+v", e)
	}
	text, err := ledger.OpenText(f.texts[e.Text.ID], e.Text.Hash)
	if err != nil || len(text.Body) != 64<<10 {
		t.Error(err)
	}
	changed := strings.Replace(string(f.texts[e.Text.ID]), "xx", "xy", 1)
	if _, err := ledger.OpenText([]byte(changed), e.Text.Hash); err == nil {
		t.Error("a changed text has the same hash")
	}
}

// The same text has another hash each time: nobody can verify a guess of what an erased one was.
func TestTheHashOfATextIsSalted(t *testing.T) {
	_, first, err := ledger.SealText(ledger.Text{Title: "a", Body: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, second, err := ledger.SealText(ledger.Text{Title: "a", Body: "b"}); err != nil || first == second {
		t.Error("two hashes of one text are equal", err)
	}
}

// A text that cannot be erased now is reported as pending, warned of, and erased later.
func TestAFailedErasureIsRepeated(t *testing.T) {
	f := &fake{failure: errors.New("NATS is away"), warned: make(chan string, 10)}
	e := newEditor(f)
	f.post = ledger.Post{ID: "p", Texts: []ledger.PostText{{}}}
	f.texts["t"] = []byte("x")
	removal, err := e.RemovePost(t.Context(), "p")
	if err != nil || !removal.Pending || len(f.events) != 1 {
		t.Fatalf("%+v %v", removal, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	if text := <-f.warned; !strings.Contains(text, "NATS is away") {
		t.Errorf("warned of %q", text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.failure, f.post.Removed = nil, time.Unix(1, 0)
	if removal, err := e.RemovePost(t.Context(), "p"); err != nil || removal.Pending || len(f.texts) > 0 ||
		len(f.events) != 1 {
		t.Errorf("removed again: %+v %v, %d texts, %d events", removal, err, len(f.texts), len(f.events))
	}
	if _, err := e.RemovePost(t.Context(), "q"); !errors.Is(err, ledger.ErrNoPost) {
		t.Error(err)
	}
}

// reviving is NATS servers that are away at first. An earlier program erased the text, which their logs still have.
type reviving struct {
	fake
	erasures int
}

func (r *reviving) Erase(context.Context, string) (bool, error) {
	if r.erasures++; r.erasures == 1 {
		return false, errors.New("NATS is away")
	}
	return false, nil
}

func (r *reviving) Removed(context.Context) ([]string, error)    { return []string{"t"}, nil }
func (r *reviving) End(context.Context) (uint64, error)          { return 7, nil }
func (r *reviving) Passed(context.Context, uint64) (bool, error) { return false, nil }

func TestLogsAreWatchedAfterAFirstErasureThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, warnings := &reviving{}, map[string]string{}
		e := editorial.New(editorial.Config{
			Texts: servers, Logs: servers, Ledger: servers, Posts: servers,
			Warn: func(subject, text string) { warnings[subject] = text }, Logger: zerolog.Nop(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if servers.erasures != 2 || !strings.Contains(warnings["removed-texts-logs"], "until its next snapshot") {
			t.Errorf("%d erasures, warnings %q", servers.erasures, warnings)
		}
	})
}
