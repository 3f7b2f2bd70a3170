package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// An account gets what was said since it is in the catalog, of the kinds that it asks for, once and in order.
func TestAnnouncements(t *testing.T) {
	accounts := []catalog.Announce{{URL: catalog.SecretText{Text: "x://${TOKEN}@y"}, What: []string{"incidents"}}}
	entry := func(kind archive.Kind, id, text string, at ...time.Duration) archive.Entry {
		e := archive.Entry{Kind: kind, ID: id, Title: "Mail\u202e is late", At: noon}
		for n, when := range at {
			e.Updates = append(e.Updates, archive.Update{
				ID: string(rune('a' + n)), At: noon.Add(when), State: "investigating", Text: text,
			})
		}
		return e
	}
	public := []archive.Entry{
		entry(archive.Incident, "1", "We **look** into it.", -time.Hour, time.Minute, 2*time.Minute),
		entry(archive.Post, "2", "News.", time.Minute),
		entry(archive.Incident, "3", strings.Repeat("long ", 500), 90*time.Second),
	}
	s := notify.NewState(nil)
	if due := notify.Announce(accounts, s, public, noon); len(due) > 0 {
		t.Fatalf("before the account is known: %v", due)
	}
	name := notify.AccountName(accounts[0])
	s.Add(ledger.NotifyEvent{ID: "b", Action: ledger.NotifyBegun, Channel: name, At: noon})
	due := notify.Announce(accounts, s, public, noon.Add(3*time.Minute))
	if len(due) != 3 || due[0].Announced.Path != "/incidents/1" || due[1].Announced.Path != "/incidents/3" {
		t.Fatalf("%+v", due)
	}
	if a := due[0].Announced; a.Title != "Mail is late – investigating" || a.Text != "We look into it." {
		t.Errorf("%+v", a)
	}
	if n := len([]rune(due[1].Announced.Text)); n > 200 {
		t.Errorf("%d characters", n)
	}
	for _, m := range due {
		s.Add(ledger.NotifyEvent{ID: m.ID, Action: ledger.NotifySent, Channel: m.Channel, At: noon.Add(3 * time.Minute)})
	}
	if again := notify.Announce(accounts, s, public, noon.Add(4*time.Minute)); len(again) > 0 {
		t.Errorf("announced again: %+v", again)
	}
	late := []archive.Entry{entry(archive.Incident, "9", "Old.", time.Minute)}
	if due := notify.Announce(accounts, s, late, noon.Add(24*time.Hour)); len(due) > 0 {
		t.Errorf("announced a day later: %+v", due)
	}
}
