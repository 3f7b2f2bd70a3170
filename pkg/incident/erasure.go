package incident

import (
	"slices"
	"time"
)

// Erasure removes one text of an incident for good. A text may hold a title and the words of an update: what of it
// stays is in another text.
type Erasure struct {
	ID    string `json:"id"`             // of the text
	Next  string `json:"next,omitempty"` // the text with what stays; "": nothing does
	Title bool   `json:"title,omitempty"`
	Body  bool   `json:"body,omitempty"` // which parts stay
}

// erase removes texts that an edit erases. Their entries then state that the text was removed.
func erase(i *Incident, c Change) {
	for _, e := range c.Erased {
		i.Titles, _ = e.without(i.Titles, e.Title)
		for n := range i.Entries {
			entry := &i.Entries[n]
			var erased bool
			if entry.Texts, erased = e.without(entry.Texts, e.Body); erased {
				entry.Erased = c.Mesh.Add(-c.Offset)
			}
		}
	}
}

// without returns the texts without the erased one, or with what stays of it in its place.
func (e Erasure) without(texts []Text, stays bool) (left []Text, erased bool) {
	n := slices.IndexFunc(texts, func(t Text) bool { return t.ID == e.ID })
	if n < 0 {
		return texts, false
	}
	left = slices.Clone(texts)
	if stays && e.Next != "" {
		left[n].ID = e.Next
		return left, false
	}
	return slices.Delete(left, n, n+1), true
}

// TextIDs returns the ids of the texts of an entry, the present one first.
func (e Entry) TextIDs() (ids []string) {
	for _, t := range e.Texts {
		ids = append(ids, t.ID)
	}
	return ids
}

// erasedText stands where people removed what was written.
const erasedText = "The text of this update was removed."

// wasErased reports whether the entry's text was removed, and replaced by none.
func (e Entry) wasErased() bool { return len(e.Texts) == 0 && !e.Erased.IsZero() }

// Corrected returns when the present text replaced the one before, or the text was removed, by the wall clock; zero if
// it is the first.
func (e Entry) Corrected() time.Time {
	switch {
	case e.wasErased():
		return e.Erased
	case len(e.Texts) == 0, len(e.Texts) == 1 && e.Erased.IsZero():
		return time.Time{}
	}
	return e.Texts[0].Wall()
}
