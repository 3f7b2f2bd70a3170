package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/errkind"
)

// PostAction is what a person did to a post.
type PostAction string

// The actions. A post that was removed stays removed.
const (
	PostPublished PostAction = "published"
	PostEdited    PostAction = "edited"
	PostRemoved   PostAction = "removed"
)

// PostEvent is a post that was published, edited or removed. Its text is not in the ledger, which nothing is ever
// deleted from: the event has the id of a record in Texts, and a hash.
type PostEvent struct {
	Event    string     `json:"event"` // random: a repeat of the event has the same
	ID       string     `json:"id"`    // of the post
	Action   PostAction `json:"action"`
	Text     *TextRef   `json:"text,omitempty"` // nil: the text is as before
	Tags     []string   `json:"tags,omitempty"`
	Category string     `json:"category,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"` // internal ids
	// ShowBefore lets the public read the text before the edit too; operators always can.
	ShowBefore bool `json:"show_before,omitempty"`
	// Published is when a post was published that was written elsewhere before; zero: when the event happened.
	Published time.Time `json:"published,omitzero"`
	// Permalinks are the addresses that such a post had, as archive.Permalink writes them: they lead to the new one.
	Permalinks []string      `json:"permalinks,omitempty"`
	Mesh       time.Time     `json:"mesh"`
	Offset     time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// Wall returns when the event happened by the wall clock.
func (e PostEvent) Wall() time.Time { return e.Mesh.Add(-e.Offset) }

func (e PostEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	return encode("post."+e.ID, "post-"+e.Event, e)
}

// TextRef names a text. The hash is keyed by a salt that is erased with the text: without it, nobody can verify a
// guess of what an erased text was.
type TextRef struct {
	ID   string `json:"id"`
	Hash string `json:"hash"`
}

// Text is what a person wrote.
type Text struct {
	Title string `json:"title"`
	Body  string `json:"body"` // Markdown
}

// storedText is a text as Texts have it.
type storedText struct {
	Version int             `json:"v"`
	Salt    []byte          `json:"salt"`
	Text    json.RawMessage `json:"text"`
}

// ErrTextDamaged means that a text is not the one that the ledger names.
var ErrTextDamaged = errors.New("the text does not match its hash")

// SealText encodes a text for Texts, and returns its hash.
func SealText(t Text) (data []byte, hash string, err error) {
	stored := storedText{Version: 1, Salt: make([]byte, 32)}
	if _, err := rand.Read(stored.Salt); err != nil {
		return nil, "", fmt.Errorf("make a salt: %w", err)
	}
	if stored.Text, err = json.Marshal(t); err != nil {
		return nil, "", fmt.Errorf("encode a text: %w", err)
	}
	if data, err = json.Marshal(stored); err != nil {
		return nil, "", fmt.Errorf("encode a text: %w", err)
	}
	return data, stored.hash(), nil
}

// OpenText decodes a text and verifies its hash.
func OpenText(data []byte, hash string) (t Text, err error) {
	var stored storedText
	if err := json.Unmarshal(data, &stored); err != nil {
		return t, fmt.Errorf("decode a text: %w", err)
	}
	if !hmac.Equal([]byte(stored.hash()), []byte(hash)) {
		return t, ErrTextDamaged
	}
	if err := json.Unmarshal(stored.Text, &t); err != nil {
		return t, fmt.Errorf("decode a text: %w", err)
	}
	return t, nil
}

func (s storedText) hash() string {
	mac := hmac.New(sha256.New, s.Salt)
	mac.Write(s.Text)
	return hex.EncodeToString(mac.Sum(nil))
}

// Texts is where a Log that has posts keeps their texts. A Projection reads them while it applies events.
type Texts interface {
	// Text returns a text as SealText encoded it, or ErrNoText.
	Text(ctx context.Context, id string) ([]byte, error)
}

// ErrNoText means that a text was erased, or lost.
var ErrNoText = errors.New("no such text")

// Post is a post as the events left it. Times are by the wall clock.
type Post struct {
	ID        string    `json:"id"`
	Published time.Time `json:"published"`
	Edited    time.Time `json:"edited,omitzero"`
	Removed   time.Time `json:"removed,omitzero"`
	Tags      []string  `json:"tags,omitempty"`
	Category  string    `json:"category,omitempty"`
	Hosts     []string  `json:"hosts,omitempty"` // internal ids
	// Texts are the present text and those before it, newest first. A removed post has none.
	Texts []PostText `json:"texts,omitempty"`
}

// PostText is one text of a post.
type PostText struct {
	Text
	At      time.Time `json:"at"`
	Public  bool      `json:"public"`            // the public may read it
	Missing bool      `json:"missing,omitempty"` // it is lost, though nobody removed the post
}

// ErrNoPost means that there is no post with the id.
var ErrNoPost = errkind.New(errkind.NotFound, "no such post")

// Entry is the post as the archive lists it. ok is false if there is nothing to read: it was removed, or its text is
// lost.
func (p Post) Entry() (e archive.Entry, ok bool) {
	if !p.Removed.IsZero() || len(p.Texts) == 0 || p.Texts[0].Missing {
		return e, false
	}
	e = archive.Entry{
		Kind: archive.Post, ID: p.ID, Title: p.Texts[0].Title, At: p.Published, Updated: p.Published, Hosts: p.Hosts,
		Tags: p.Tags, Category: p.Category,
	}
	u := archive.Update{ID: p.ID, At: p.Published, Edited: p.Edited, Text: p.Texts[0].Body}
	if !p.Edited.IsZero() {
		e.Updated = p.Edited
	}
	for _, before := range p.Texts[1:] {
		if before.Public && !before.Missing {
			u.Before = append(u.Before, archive.Earlier{At: before.At, Title: before.Title, Text: before.Body})
		}
	}
	e.Updates = []archive.Update{u}
	return e, true
}
