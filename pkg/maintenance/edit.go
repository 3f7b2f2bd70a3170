package maintenance

import (
	"slices"
	"time"
)

// Edits is what people correct of a maintenance, beside its times.
type Edits struct {
	Of       string   // the change whose text is replaced; "": none
	Text     Text     // in its place
	Erase    bool     // what is replaced is removed for good
	Tags     []string // as they are from then on
	Category string
}

// Edit corrects the maintenance by a change of the action Edit. The times of the change take effect as those of other
// changes do, and what people wrote is replaced at all times.
func (m *Maintenance) Edit(c Change, e Edits) {
	m.Tags, m.Category = e.Tags, e.Category
	n := slices.IndexFunc(m.Changes, func(c Change) bool { return c.ID == e.Of })
	if e.Of != "" && n >= 0 {
		of := &m.Changes[n]
		was := of.Text
		if was.At.IsZero() {
			was.At = of.At
		}
		if e.Erase {
			of.Before, e.Text.Erased = nil, true
		} else if was.Body != "" || was.Title != "" || was.Missing {
			of.Before = slices.Insert(of.Before, 0, was)
		}
		e.Text.At = c.At
		of.Text, of.Corrected = e.Text, c.At
	}
	m.Changes = append(m.Changes, c)
}

// Texts lists the ids of the texts of a change: the present one, and those before.
func (c Change) Texts() (ids []string) {
	for _, t := range append([]Text{c.Text}, c.Before...) {
		if t.ID != "" {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// moves reports whether the change is an Edit of times. Other edits are no entry of a timeline.
func (c Change) moves() bool {
	return c.Action == Edit && (!c.From.IsZero() || !c.Until.IsZero())
}

// Changed returns when the update was written, or corrected last.
func (u Update) Changed() time.Time { return later(u.At, u.Corrected) }

// TextRemoved stands where people removed what was written.
const TextRemoved = "The text of this update was removed."
