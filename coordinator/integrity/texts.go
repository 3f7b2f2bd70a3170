package integrity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Texts reads what people wrote.
type Texts interface {
	Each(ctx context.Context, fn func(id string, data []byte) error) error
}

// Events reads the ledger.
type Events interface {
	ReadLedger(ctx context.Context, from uint64, fn func(bus.Record) error) error
}

// textsSubject is the subject of the warning of texts that are lost.
const textsSubject = "lost-texts"

// reference is a text that the ledger names.
type reference struct{ subject, hash string }

// checkTexts looks for texts that the ledger names, that nobody removed, and that are gone or not the ones of their
// hashes. Pages mark them; this tells operators.
func (g *Guard) checkTexts(ctx context.Context) error {
	if g.Texts == nil {
		return nil
	}
	named, err := references(ctx, g.Events)
	if err != nil || len(named) == 0 {
		return err
	}
	lost := maps.Clone(named)
	err = g.Texts.Each(ctx, func(id string, data []byte) error {
		if of, known := named[id]; known {
			if _, err := ledger.OpenText(data, of.hash); err == nil {
				delete(lost, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(lost) > 0 { // some may have been removed meanwhile
		still, err := references(ctx, g.Events)
		if err != nil {
			return err
		}
		maps.DeleteFunc(lost, func(id string, _ reference) bool { _, named := still[id]; return !named })
	}
	g.reportTexts(lost)
	return nil
}

// reportTexts logs texts that are newly lost, and updates the warning.
func (g *Guard) reportTexts(lost map[string]reference) {
	of := map[string]int{}
	for id, r := range lost {
		of[r.subject]++
		g.mu.Lock()
		known := g.logged["text "+id]
		g.logged["text "+id] = true
		g.mu.Unlock()
		if !known {
			g.Logger.Error().Str("text", id).Str("of", r.subject).Msg("text lost or damaged")
		}
	}
	text := ""
	if len(lost) > 0 {
		subjects := slices.Sorted(maps.Keys(of))
		list := strings.Join(subjects[:min(len(subjects), listed)], ", ")
		if more := len(subjects) - listed; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		what := "texts that people wrote are"
		if len(lost) == 1 {
			what = "text that people wrote is"
		}
		text = fmt.Sprintf("%d %s lost or damaged, of %s; the page says so in its place; write again what is lost "+
			"(`coordinator post edit`, `coordinator incident edit`), or restore the last backup", len(lost), what, list)
	}
	g.Warn(textsSubject, text)
}

// concernsTexts reports whether an event may name a text or remove one: most events do neither, and are not decoded.
func concernsTexts(event []byte) bool {
	return bytes.Contains(event, []byte(`"text":{"id":`)) || bytes.Contains(event, []byte(`"action":"removed"`)) ||
		bytes.Contains(event, []byte(`"erased":[`))
}

// writtenEvent is what is known here of an event that a person made.
type writtenEvent struct {
	Event  string          `json:"event"`
	Action string          `json:"action"`
	Entry  string          `json:"entry"` // of an incident, whose text is corrected
	Of     string          `json:"of"`    // of a maintenance, the same
	Text   *ledger.TextRef `json:"text"`
	Erased []struct {
		ID   string `json:"id"`
		Next string `json:"next"`
	} `json:"erased"`
	Kept []ledger.TextRef `json:"kept"`
}

// follow updates the references by what an event erases. present has the latest text of each thing.
func (e writtenEvent) follow(subject string, out map[string]reference, present map[string]string) {
	for _, ref := range e.Kept {
		out[ref.ID] = reference{subject, ref.Hash}
	}
	for _, erased := range e.Erased {
		delete(out, erased.ID)
		for thing, id := range present {
			if id == erased.ID {
				present[thing] = erased.Next
			}
		}
	}
}

// references returns the texts that the ledger names, by id, without those of what was removed and those that were
// written again since.
func references(ctx context.Context, l Events) (map[string]reference, error) {
	present, removed := map[string]string{}, map[string]bool{} // the latest text of each thing that has one
	out := map[string]reference{}
	err := l.ReadLedger(ctx, 1, func(r bus.Record) error {
		if !concernsTexts(r.Data) {
			return nil
		}
		var e writtenEvent
		if json.Unmarshal(r.Data, &e) != nil {
			return nil // of a newer version
		}
		removed[r.Subject] = removed[r.Subject] || e.Action == string(ledger.PostRemoved)
		e.follow(r.Subject, out, present)
		if e.Text == nil {
			return nil
		}
		thing := r.Subject
		if !strings.HasPrefix(thing, "post.") { // a post has one text, others one for each event
			thing += "." + cmp.Or(e.Entry, e.Of, e.Event)
		}
		delete(out, present[thing])
		present[thing], out[e.Text.ID] = e.Text.ID, reference{r.Subject, e.Text.Hash}
		return nil
	})
	maps.DeleteFunc(out, func(_ string, r reference) bool { return removed[r.subject] })
	return out, err
}
