package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// Removals is what people removed: a backup that was made before still has it. It contains no text.
type Removals struct {
	Version int       `json:"v"`
	Removed []Removal `json:"removed"`
}

// Removal is one removal, as the ledger has it.
type Removal struct {
	// Subject is that of the event: "post.<id>", "incident.<id>" or "maintenance.<id>", or "audit" of a token that was
	// revoked.
	Subject string          `json:"subject"`
	Event   json.RawMessage `json:"event"`
	Texts   []string        `json:"texts,omitempty"` // ids of the texts that were erased
}

// removalsName is the file of a backup with the removals until then.
const removalsName = "removals.json"

const (
	removalsMax     = 64 << 20 // bytes of the file
	removedAction   = "removed"
	editAction      = "edit"
	revokeAction    = "token.revoke"
	revokedAction   = "token.revoked" // of older records
	auditSubject    = "audit"
	appendAtOnce    = 100
	removalIDPrefix = "removal-"
)

// writtenEvent is what this package knows of an event that a person made.
type writtenEvent struct {
	Event  string `json:"event"`
	Action string `json:"action"`
	Object string `json:"object"` // of an audit event
	Text   *struct {
		ID string `json:"id"`
	} `json:"text"`
	Erased []struct {
		ID string `json:"id"`
	} `json:"erased"` // single texts of an incident or a maintenance
}

// revokes reports whether an audit event is the revocation of a token.
func (e writtenEvent) revokes() bool { return e.Action == revokeAction || e.Action == revokedAction }

// erased lists the ids of the single texts that the event erases.
func (e writtenEvent) erased() (ids []string) {
	for _, text := range e.Erased {
		ids = append(ids, text.ID)
	}
	return ids
}

// written decodes an event that a person made; others have no "event".
func written(data []byte) (e writtenEvent, ok bool) {
	// Most events are others': they are not decoded.
	if !bytes.Contains(data, []byte(`"event"`)) {
		return e, false
	}
	return e, json.Unmarshal(data, &e) == nil && e.Event != ""
}

// Ledger reads the ledger's events.
type Ledger interface {
	ReadLedger(ctx context.Context, from uint64, fn func(bus.Record) error) error
}

// listRemovals returns the removals that the ledger has.
func listRemovals(ctx context.Context, l Ledger) (Removals, error) {
	out := Removals{Version: 1, Removed: []Removal{}}
	texts := map[string][]string{}
	err := l.ReadLedger(ctx, 1, func(r bus.Record) error {
		e, ok := written(r.Data)
		switch {
		case !ok:
		case len(e.Erased) > 0:
			out.Removed = append(out.Removed, Removal{r.Subject, slices.Clone(r.Data), e.erased()})
		case e.Text != nil:
			texts[r.Subject] = append(texts[r.Subject], e.Text.ID)
		case e.Action == removedAction, r.Subject == auditSubject && e.revokes():
			out.Removed = append(out.Removed, Removal{r.Subject, slices.Clone(r.Data), slices.Clone(texts[r.Subject])})
		}
		return nil
	})
	return out, err
}

// writeRemovals writes the removals that the ledger has.
func writeRemovals(ctx context.Context, l Ledger, w io.Writer) error {
	all, err := listRemovals(ctx, l)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}

// ReadRemovals reads a file of removals, or that of a backup in a directory.
func ReadRemovals(path string) (*Removals, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, removalsName)
	}
	data, _, err := regularfile.Read(path, removalsMax)
	if err != nil {
		return nil, fmt.Errorf("read the removals: %w", err)
	}
	var out Removals
	if err := json.Unmarshal(data, &out); err != nil || out.Version != 1 {
		return nil, fmt.Errorf("%s is no list of removals: name the %s of a later backup", path, removalsName)
	}
	for _, r := range out.Removed {
		if !r.valid() {
			return nil, fmt.Errorf("%s is no list of removals: it has an event that removes nothing", path)
		}
	}
	return &out, nil
}

// valid reports whether the event removes a post or single texts, or revokes a token, and nothing else.
func (r Removal) valid() bool {
	e, ok := written(r.Event)
	if r.Subject == auditSubject {
		return ok && e.revokes() && bus.CheckName(e.Object) == nil && len(r.Texts) == 0
	}
	kind, id, _ := strings.Cut(r.Subject, ".")
	if !ok || bus.CheckName(id) != nil || slices.ContainsFunc(r.Texts, func(id string) bool {
		return bus.CheckName(id) != nil
	}) {
		return false
	}
	if kind == "incident" || kind == "maintenance" {
		return e.Action == editAction && len(e.Erased) > 0 && slices.Equal(e.erased(), r.Texts)
	}
	return kind == "post" && e.Action == removedAction
}

// entry is the event as it is appended to a ledger that lacks it.
func (r Removal) entry(id string) bus.Entry {
	var event bytes.Buffer
	_ = json.Compact(&event, r.Event) // it was decoded: see valid
	return bus.Entry{Subject: r.Subject, ID: removalIDPrefix + id, Data: event.Bytes()}
}

// removalStore is a coordinator's streams, as removals are applied to them.
type removalStore interface {
	Ledger
	Append(ctx context.Context, entries []bus.Entry) (last uint64, err error)
	Erase(ctx context.Context, id string) error
	// EraseTokens erases the records of the tokens with the ids.
	EraseTokens(ctx context.Context, ids map[string]bool) error
}

// apply removes what the backup still has. It returns how many removals the ledger lacked.
func (r *Removals) apply(ctx context.Context, s removalStore) (applied int, err error) {
	known, texts := map[string]bool{}, map[string][]string{}
	err = s.ReadLedger(ctx, 1, func(record bus.Record) error {
		if e, ok := written(record.Data); ok {
			known[e.Event] = true
			if texts[record.Subject] = append(texts[record.Subject], ""); e.Text != nil {
				texts[record.Subject] = append(texts[record.Subject], e.Text.ID)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var missing []bus.Entry
	tokens := map[string]bool{}
	for _, removal := range r.Removed {
		e, _ := written(removal.Event)
		if removal.Subject == auditSubject {
			tokens[e.Object] = true
		}
		inBackup, has := texts[removal.Subject]
		if len(e.Erased) > 0 { // not all that was written of it
			inBackup = nil
		}
		if has && !known[e.Event] {
			missing = append(missing, removal.entry(e.Event))
		}
		for _, id := range append(inBackup, removal.Texts...) {
			if id != "" {
				err = errors.Join(err, s.Erase(ctx, id))
			}
		}
	}
	if len(tokens) > 0 {
		err = errors.Join(err, s.EraseTokens(ctx, tokens))
	}
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(missing, appendAtOnce) {
		if _, err := s.Append(ctx, some); err != nil {
			return 0, err
		}
	}
	return len(missing), nil
}
