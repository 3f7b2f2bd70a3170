package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/markdown"
)

// Announcement is one thing that was said in public, for one account.
type Announcement struct {
	Title, Text string
	Path        string // of its page
	At          time.Time
}

// announcedWithin is how old what is announced may be: news of yesterday is none.
const announcedWithin = 6 * time.Hour

// announcedMax bounds an announcement in characters without its link, which fits every service that people read.
const announcedMax = 400

// AccountName names an account of the catalog. It stays the same wherever the account is in the list.
func AccountName(a catalog.Announce) string {
	sum := sha256.Sum256([]byte(a.URL.Text))
	return "announce-" + hex.EncodeToString(sum[:4])
}

// announcedAs are the words of catalog.AnnounceKinds for kinds of entries.
var announcedAs = map[archive.Kind]string{archive.Incident: "incidents", archive.Post: "posts"}

// Announce returns the messages that are due for the accounts, the oldest first. An account gets
// nothing from before it was in the catalog. It does not get an update either once a later one of the same entry was
// published there: followers take the newest post for the present state.
func Announce(accounts []catalog.Announce, s State, public []archive.Entry, now time.Time) (due []Message) {
	for _, a := range accounts {
		name := AccountName(a)
		begun, known := s.begun[name]
		if !known {
			continue
		}
		for _, e := range public {
			if !slices.Contains(a.What, announcedAs[e.Kind]) {
				continue
			}
			alert := Alert{ID: string(e.Kind) + "-" + e.ID}
			for _, u := range slices.Backward(e.Updates) {
				id := messageID(alert, u.ID, name)
				if s.wasSent(id) {
					break
				}
				if u.At.Before(begun) || now.Sub(u.At) > announcedWithin {
					continue
				}
				due = append(due, Message{
					ID: id, Channel: name, Step: u.ID, Alert: alert, Announced: newAnnouncement(e, u),
				})
			}
		}
	}
	slices.Reverse(due) // of one time, the update that was written first
	slices.SortStableFunc(due, func(a, b Message) int { return a.Announced.At.Compare(b.Announced.At) })
	return due
}

func newAnnouncement(e archive.Entry, u archive.Update) *Announcement {
	text := markdown.Line(u.Text)
	if !u.Plain {
		text = markdown.Summary(u.Text)
	}
	title := markdown.Line(e.Title)
	if u.State != "" {
		title += " – " + strings.ReplaceAll(u.State, "_", " ")
	}
	return &Announcement{
		Title: shorten(title, announcedMax/2), Text: shorten(text, announcedMax/2),
		Path: e.Path(), At: u.At,
	}
}

// composeAnnouncement makes what an account gets.
func composeAnnouncement(m Message, base string) channel.Message {
	body := m.Announced.Title + "\n\n" + m.Announced.Text
	if base != "" {
		body += "\n\n" + base + m.Announced.Path
	}
	return channel.Message{
		ID: m.ID, Thread: m.ID, Type: "announcement", Subject: shorten(m.Announced.Title, subjectMax), Body: body,
		At: m.Announced.At,
	}
}
