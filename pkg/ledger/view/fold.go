package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// fold is one transaction that applies events.
type fold struct {
	tx      *sql.Tx
	last    uint64           // sequence of the last event; 0: none yet
	digest  []byte           // of the last event
	current *catalog.Catalog // in force at the last event; nil: not read yet
	texts   ledger.Texts     // nil: none
	archive indexer
}

// apply applies one record. Events of kinds that this version does not know are skipped: a newer version wrote them,
// and its schema version makes it rebuild the view.
func (f *fold) apply(ctx context.Context, r ledger.Record) error {
	f.last, f.digest = r.Sequence, digestOf(r)
	kind, _, _ := strings.Cut(r.Subject, ".")
	var err error
	switch kind {
	case "transition":
		err = f.transition(ctx, r)
	case "catalog":
		err = f.catalog(ctx, r)
	case "post":
		err = postFold{f}.apply(ctx, r)
	case "maintenance":
		err = maintenanceFold{f}.apply(ctx, r)
	case "audit":
		err = auditFold{f}.apply(ctx, r)
	case "incident":
		err = incidentFold{f}.apply(ctx, r)
	case "agent":
		err = f.agent(ctx, r)
	case "notify":
		err = f.notify(ctx, r)
	case "pause":
		err = f.pause(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("event %d, %s: %w", r.Sequence, r.Subject, err)
	}
	return nil
}

func (f *fold) transition(ctx context.Context, r ledger.Record) error {
	var t mesh.Transition
	if err := json.Unmarshal(r.Data, &t); err != nil {
		return err
	}
	// The sentence is made again from the facts. Early versions quoted agents and probed servers in it, and no reader
	// of the view must repeat that text. The votes keep it, for operators.
	inForce, err := f.inForce(ctx)
	if err != nil {
		return err
	}
	identifyTransition(inForce, &t)
	t.Sentence = sentence.OfTransition(inForce, t)
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	done, err := f.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO transitions (sequence, id, judged, host, host_id, published, data)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
		r.Sequence, t.ID, t.Sequence, mesh.Key(t.Host), t.HostID, nanoseconds(t.Published), data)
	if err != nil {
		return err
	}
	// A repeat, which the log did not recognize because it remembers ids for some minutes only.
	if n, err := done.RowsAffected(); n == 0 || err != nil {
		return err
	}
	if err := (incidentFold{f}).add(ctx, t); err != nil {
		return err
	}
	if err := f.beginHostStanding(ctx, r.Sequence, t); err != nil {
		return err
	}
	return f.beginStanding(ctx, r.Sequence, t)
}

func (f *fold) catalog(ctx context.Context, r ledger.Record) error {
	var e ledger.CatalogEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	if e.Catalog == nil {
		return errors.New("the event has no catalog")
	}
	before, err := f.inForce(ctx)
	if err != nil {
		return err
	}
	at := e.At(r)
	if err := f.endStandings(ctx, before, e.Catalog, at); err != nil {
		return err
	}
	if err := f.rename(ctx, before, e.Catalog); err != nil {
		return err
	}
	if err := (incidentFold{f}).followAudience(ctx, e.Catalog, at, e.Offset); err != nil {
		return err
	}
	if err := f.setVisibility(ctx, e.Catalog, at); err != nil {
		return err
	}
	if err := f.noteComponents(ctx, before, e.Catalog, nanoseconds(at.Add(-e.Offset))); err != nil {
		return err
	}
	f.current = e.Catalog
	_, err = f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO catalogs (sequence, revision, at, data) VALUES (?, ?, ?, ?)`,
		r.Sequence, e.Catalog.Revision, nanoseconds(at), r.Data)
	return err
}

// inForce returns the last catalog before the event that is being applied; nil before the first.
func (f *fold) inForce(ctx context.Context) (*catalog.Catalog, error) {
	if f.current != nil {
		return f.current, nil
	}
	e, err := scanCatalog(f.tx.QueryRowContext(ctx, newestCatalog))
	if errors.Is(err, ErrNoCatalog) {
		return nil, nil
	}
	f.current = e.Catalog
	return e.Catalog, err
}
