package editorial

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// erasesText reports whether a correction removes the words of an entry: all erasures do, but those of a title alone.
func (f Correction) erasesText() bool {
	return f.Erase && (f.Title == nil || f.Text != nil || f.Entry != "")
}

// entryOf returns the id of the entry that a correction is of. What erases must name it if there are several: nobody
// can take it back.
func entryOf(i *incident.Incident, f Correction) (string, error) {
	var ids, listed []string
	for _, e := range i.Entries {
		if e.ID == f.Entry && len(e.Texts) == 0 && !e.Erased.IsZero() {
			return "", conflict("the text of update %s was removed at %s: write an update", e.ID, clock(e.Erased))
		}
		if len(e.Texts) > 0 {
			ids = append(ids, e.ID)
			listed = append(listed, fmt.Sprintf("%s (%s of %s)", e.ID, e.Action, clock(e.Wall())))
		}
	}
	switch {
	case len(ids) == 0:
		return "", conflict("nobody wrote about incident %s yet: write `incident update %s`", i.ID, i.ID)
	case f.Entry == "" && f.Erase && len(ids) > 1:
		return "", errkind.In("entry", invalid("incident %s has %d texts: name the one to erase, with --update: %s", i.ID,
			len(ids), strings.Join(listed, ", ")))
	case f.Entry == "":
		return ids[len(ids)-1], nil
	case !slices.Contains(ids, f.Entry):
		return "", errkind.New(errkind.NotFound, fmt.Sprintf("incident %s has no update %q: its updates are %s", i.ID,
			f.Entry, strings.Join(listed, ", ")))
	}
	return f.Entry, nil
}

// erase adds to a correction that what it replaces is removed for good.
func (r *request) erase(f Correction) error {
	var titles, words []string
	if f.Title != nil {
		for _, t := range r.before.Titles {
			titles = append(titles, t.ID)
		}
	}
	if f.erasesText() {
		n := slices.IndexFunc(r.before.Entries, func(e incident.Entry) bool { return e.ID == r.change.Entry })
		words = r.before.Entries[n].TextIDs()
	}
	r.kept = map[string]ledger.Text{}
	for _, id := range append(slices.Clone(titles), words...) {
		if slices.Contains(r.erased(), id) {
			continue // it has the title and the words
		}
		e := incident.Erasure{ID: id}
		var stays ledger.Text
		for _, t := range r.before.Titles {
			if t.ID == id && !t.Missing && !slices.Contains(titles, id) {
				e.Title, stays.Title = true, t.Title
			}
		}
		for _, entry := range r.before.Entries {
			for _, t := range entry.Texts {
				if t.ID == id && !t.Missing && !slices.Contains(words, id) {
					e.Body, stays.Body = true, t.Body
				}
			}
		}
		if e.Title || e.Body {
			r.kept[id] = stays
		}
		r.change.Erased = append(r.change.Erased, e)
	}
	if len(r.change.Erased) == 0 {
		return conflict("incident %s has no text that can be erased", r.before.ID)
	}
	return nil
}

// erased lists the ids of the texts that the change erases.
func (r *request) erased() (ids []string) {
	for _, e := range r.change.Erased {
		ids = append(ids, e.ID)
	}
	return ids
}

// event stores the texts of a change and returns its event.
func (e IncidentEditor) event(ctx context.Context, r request) (ledger.IncidentEvent, error) {
	event := ledger.IncidentEvent{Change: r.change}
	event.Erased = slices.Clone(r.change.Erased)
	for n := range event.Erased {
		stays, ok := r.kept[event.Erased[n].ID]
		if !ok {
			continue
		}
		ref, err := e.editor.store(ctx, stays)
		if err != nil {
			return event, err
		}
		event.Erased[n].Next, event.Kept = ref.ID, append(event.Kept, *ref)
	}
	if r.text == nil {
		return event, nil
	}
	var err error
	event.Text, err = e.editor.store(ctx, *r.text)
	return event, err
}
