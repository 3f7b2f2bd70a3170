package view_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// textLog is a Log in memory with the texts of posts beside it.
type textLog struct {
	*log
	texts map[string][]byte
}

func newTextLog() *textLog { return &textLog{newLog(), map[string][]byte{}} }

func (l *textLog) Text(_ context.Context, id string) ([]byte, error) {
	if data, ok := l.texts[id]; ok {
		return data, nil
	}
	return nil, ledger.ErrNoText
}

// written returns the event of a post with the text, which the log then has.
func (l *textLog) written(t testing.TB, e ledger.PostEvent, title, body string) ledger.PostEvent {
	t.Helper()
	data, hash, err := ledger.SealText(ledger.Text{Title: title, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	n := len(l.texts)
	e.Event, e.Text = fmt.Sprintf("event-%d", n), &ledger.TextRef{ID: fmt.Sprintf("text-%d", n), Hash: hash}
	if e.Action == "" {
		e.Action = ledger.PostPublished
	}
	l.texts[e.Text.ID] = data
	return e
}

var (
	everybody = archive.Readers{Hosts: []string{"aaaaaaaaaaaa"}, Now: time.Unix(2e9, 0)}
	operators = archive.Readers{Everything: true}
)

// library is a view with a few posts, of June and July 2025, and an incident of two hosts.
func library(t *testing.T, file string) (*store, *textLog) {
	l := newTextLog()
	s := openLog(t, file, l)
	at := func(day int) time.Time { return time.Date(2025, 6, day, 12, 0, 0, 0, time.UTC) }
	s.append(t,
		l.written(t, ledger.PostEvent{ID: "p1", Mesh: at(1), Tags: []string{"smtp", "spam"}, Category: "mail",
			Hosts: []string{"aaaaaaaaaaaa"}}, "NC036 virus flood", "Five *hijacked* accounts sent mail.\n\nWe shut them."),
		l.written(t, ledger.PostEvent{ID: "p2", Mesh: at(2), Tags: []string{"smtp"}, Category: "mail",
			Hosts: []string{"bbbbbbbbbbbb"}}, "Internal relay", "The hijacked relay is internal."),
		l.written(t, ledger.PostEvent{ID: "p3", Mesh: at(35), Category: "news"}, "Café news", "Accounts sent mail to all."),
		l.written(t, ledger.PostEvent{ID: "p4", Mesh: at(36), Published: time.Date(2020, 9, 21, 7, 5, 48, 0, time.UTC),
			Permalinks: []string{"/2020/09/21/mail", "?p=7"}}, "An old post", "With {{braces}} and \"quotes\"."),
	)
	for n, host := range []string{"NC036", "NC023"} {
		tr := transition(fmt.Sprintf("1-%d", n), host, "smtp", mesh.Down, at(10).Unix())
		tr.Transition.HostID, tr.Transition.Public = []string{"aaaaaaaaaaaa", "bbbbbbbbbbbb"}[n], true
		tr.Transition.From, tr.Transition.To, tr.Transition.Cause = mesh.Operational, mesh.MajorOutage, "cut"
		s.append(t, tr)
	}
	return s, l
}

func ids(found []archive.Found) (out []string) {
	for _, f := range found {
		id := f.Entry.ID
		if f.Entry.Kind == archive.Incident {
			id = "incident"
		}
		out = append(out, id)
	}
	return out
}

func TestSearch(t *testing.T) {
	s, _ := library(t, filepath.Join(t.TempDir(), "view.db"))
	june := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		query archive.Query
		r     archive.Readers
		want  []string
	}{
		{"everything, newest first", archive.Query{}, everybody, []string{"p3", "incident", "p1", "p4"}},
		{"of operators", archive.Query{}, operators, []string{"p3", "incident", "p2", "p1", "p4"}},
		{"of nobody", archive.Query{}, archive.Readers{}, []string{"p3", "p4"}},
		{"a word", archive.Query{Text: "hijacked"}, everybody, []string{"p1"}},
		{"a word of an internal host", archive.Query{Text: "relay"}, everybody, nil},
		{"a word for operators", archive.Query{Text: "relay"}, operators, []string{"p2"}},
		{"the name of an internal host within an incident", archive.Query{Text: "NC023"}, everybody, nil},
		{"the name of a public host within an incident", archive.Query{Text: "nc036 MAJOR"}, everybody, []string{"incident"}},
		{"both words", archive.Query{Text: "accounts mail"}, everybody, []string{"p3", "p1"}},
		{"a phrase", archive.Query{Text: `"accounts sent mail"`}, everybody, []string{"p3", "p1"}},
		{"a phrase in another order", archive.Query{Text: `"mail sent accounts"`}, everybody, nil},
		{"across markup", archive.Query{Text: `"five hijacked accounts"`}, everybody, []string{"p1"}},
		{"without accents", archive.Query{Text: "cafe"}, everybody, []string{"p3"}},
		{"signs", archive.Query{Text: `hijacked* OR -(" ^`}, everybody, nil},
		{"signs alone", archive.Query{Text: `*"-^():`}, everybody, []string{"p3", "incident", "p1", "p4"}},
		{"a tag", archive.Query{Tag: "smtp"}, everybody, []string{"p1"}},
		{"a category", archive.Query{Category: "news"}, everybody, []string{"p3"}},
		{"a kind", archive.Query{Kind: archive.Incident}, everybody, []string{"incident"}},
		{"a host", archive.Query{Host: "aaaaaaaaaaaa"}, everybody, []string{"incident", "p1"}},
		{"a time", archive.Query{From: june, To: june.AddDate(0, 1, 0)}, everybody, []string{"incident", "p1"}},
		{"all of it", archive.Query{Text: "shut", Tag: "spam", Category: "mail", Kind: archive.Post, Host: "aaaaaaaaaaaa",
			From: june, To: june.AddDate(0, 0, 1)}, everybody, []string{"p1"}},
	} {
		test.query.Limit = 10
		page, err := s.view.Archive().Find(t.Context(), test.query, test.r)
		if err != nil || !slices.Equal(ids(page.Found), test.want) {
			t.Errorf("%s: %v (%v), want %v", test.name, ids(page.Found), err, test.want)
		}
	}
	page, err := s.view.Archive().Find(t.Context(), archive.Query{Text: `"hijacked accounts"`, Limit: 1}, everybody)
	want := []archive.Fragment{
		{Text: "Five "}, {Text: "hijacked accounts", Marked: true}, {Text: " sent mail. We shut them."},
	}
	if err != nil || len(page.Found) != 1 || !slices.Equal(page.Found[0].Excerpt, want) {
		t.Errorf("excerpt %+v (%v)", page.Found, err)
	}
}

// A reader who turns pages reads every entry once, though others are published meanwhile.
func TestPagesDoNotMove(t *testing.T) {
	l := newTextLog()
	s := openLog(t, filepath.Join(t.TempDir(), "view.db"), l)
	at := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	for n := range 25 { // three of each moment
		e := ledger.PostEvent{ID: fmt.Sprintf("p%02d", n), Mesh: at.Add(time.Duration(n/3) * time.Hour)}
		s.append(t, l.written(t, e, "Title", "word"))
	}
	var got []string
	q := archive.Query{Text: "word", Limit: 4}
	for range 10 {
		page, err := s.view.Archive().Find(t.Context(), q, everybody)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page.Found)...)
		e := ledger.PostEvent{ID: fmt.Sprintf("new-%d", len(got)), Mesh: at.AddDate(1, 0, 0)}
		s.append(t, l.written(t, e, "T", "word"))
		if q.After = page.Next; q.After == (archive.Cursor{}) {
			break
		}
		if q.After, err = archive.ParseCursor(q.After.String()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	if len(got) != 25 || len(slices.Compact(got)) != 25 || got[0] != "p00" {
		t.Error(got)
	}
}

func TestTheArchiveCounts(t *testing.T) {
	s, _ := library(t, filepath.Join(t.TempDir(), "view.db"))
	months, err := s.view.Archive().Months(t.Context(), everybody)
	want := []archive.Count{
		{Month: archive.Month{Year: 2025, Month: 7}, Entries: 1}, {Month: archive.Month{Year: 2025, Month: 6}, Entries: 2},
		{Month: archive.Month{Year: 2020, Month: 9}, Entries: 1},
	}
	if err != nil || !slices.Equal(months, want) {
		t.Error(months, err)
	}
	tags, err := s.view.Archive().Tags(t.Context(), everybody)
	for i := range tags {
		tags[i].Month = archive.Month{}
	}
	if err != nil || !slices.Equal(tags, []archive.Count{{Name: "smtp", Entries: 1}, {Name: "spam", Entries: 1}}) {
		t.Error(tags, err)
	}
	if c, err := s.view.Archive().Categories(t.Context(), operators); err != nil || len(c) != 2 || c[0].Entries != 2 {
		t.Error(c, err)
	}
	if id, err := s.view.Archive().AtPermalink(t.Context(), "?p=7"); err != nil || id != "p4" {
		t.Error(id, err)
	}
	latest, err := s.view.Archive().Latest(t.Context(), archive.Query{}, everybody, 2)
	if err != nil || len(latest) != 2 || latest[0].ID == "p4" || latest[1].ID == "p4" {
		t.Error(latest, err)
	}
}

// The text of a removed post is in no file of the view: not in the index, nor in the log of SQLite.
func TestARemovedPostIsErasedFromTheIndex(t *testing.T) {
	file := filepath.Join(t.TempDir(), "view.db")
	s, l := library(t, file)
	body := "Quokka " + strings.Repeat("wombat quokka numbat ", 500) // several pages of the file
	s.append(t, l.written(t, ledger.PostEvent{ID: "gone", Mesh: time.Unix(2e9, 0)}, "Quokka title", body))
	s.append(t, l.written(t, ledger.PostEvent{ID: "gone", Action: ledger.PostEdited, Mesh: time.Unix(2e9, 0)},
		"Bandicoot", "Bilby quokkas"))
	if found := filesOf(t, file, "quokka", "Quokka", "wombat", "andicoot"); len(found) == 0 {
		t.Fatal("the search of the files finds nothing")
	}
	found := func(word string) int {
		page, err := s.view.Archive().Find(t.Context(), archive.Query{Text: word, Limit: 5}, operators)
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Found)
	}
	if found("wombat") > 0 || found("bilby") != 1 {
		t.Error("the text before the edit is found, or that after is not")
	}
	delete(l.texts, "text-4")
	delete(l.texts, "text-5")
	s.append(t, ledger.PostEvent{Event: "removal", ID: "gone", Action: ledger.PostRemoved, Mesh: time.Unix(2e9, 0)})
	if err := s.view.Posts().TruncateLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	words := []string{"quokka", "Quokka", "uokka", "wombat", "ombat", "numbat", "umbat", "bilby", "Bilby", "andicoot"}
	if found := filesOf(t, file, words...); len(found) > 0 {
		t.Errorf("still in the files: %v", found)
	}
	if found("quokka") > 0 || found("hijacked") != 2 {
		t.Error("the removed post is found, or others are lost")
	}
}

// filesOf returns which of the words are in the view's files.
func filesOf(t *testing.T, file string, words ...string) (found []string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if bytes.Contains(data, []byte(word)) {
				found = append(found, word+suffix)
			}
		}
	}
	return found
}

// Whatever is typed is a query.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{
		"mail", `"a b" c*`, "NEAR(a b, 3)", "title:x", `""`, "a AND NOT b", "-", "\x00", "ↈ", "𞤀", "ª", "ª\u0301",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := library(t, filepath.Join(t.TempDir(), "view.db"))
		if _, err := s.view.Archive().Find(t.Context(), archive.Query{Text: text, Limit: 5}, everybody); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
