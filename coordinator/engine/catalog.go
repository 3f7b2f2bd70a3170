package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/wire"
)

// startCatalog puts the catalog in force that the engine starts with.
func (e *Engine) startCatalog(ctx context.Context) error {
	stored, err := e.View.Catalog(ctx)
	if err != nil && !errors.Is(err, view.ErrNoCatalog) {
		return err
	}
	c, source := e.Catalog, "built in"
	if e.File != "" {
		e.reading, source = read(e.File), e.File
		if c, err = e.parse(e.reading); err != nil && stored.Catalog == nil {
			return err
		}
		e.wrong(err)
	}
	switch {
	case c != nil:
	case stored.Catalog != nil:
		c = stored.Catalog
		if catalog.NameFamilies(c) { // the version before stored it
			catalog.Seal(c)
			source = "upgrade"
		}
	default:
		// An empty one: the coordinator waits for `apply`.
		c, source = &catalog.Catalog{Page: catalog.Page{Title: "Status"}, Rule: catalog.DefaultRule()}, "empty"
		catalog.Seal(c)
	}
	packed, err := e.record(ctx, c, source)
	if err != nil {
		return err
	}
	e.hold(c, packed)
	return nil
}

// record writes the catalog to the ledger, unless it is the last one there, and packs it for agents. One that cannot be packed
// is not written: nobody could work by it.
func (e *Engine) record(ctx context.Context, c *catalog.Catalog, source string) (packed []byte, err error) {
	if packed, err = e.pack(ctx, c); err != nil {
		return nil, err
	}
	stored, err := e.View.Catalog(ctx)
	switch {
	case err != nil && !errors.Is(err, view.ErrNoCatalog):
		return nil, err
	case err == nil && stored.Catalog.Revision == c.Revision:
		return packed, nil
	}
	at, offset := e.clock.now()
	return packed, e.Ledger.Append(ctx, ledger.CatalogEvent{Source: source, Catalog: c, Mesh: at.UTC(), Offset: offset})
}

// hold makes the catalog the one that agents are given.
func (e *Engine) hold(c *catalog.Catalog, packed []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inForce, e.packed = c, packed
}

func (e *Engine) held() *catalog.Catalog {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inForce
}

func (e *Engine) answerCatalog(string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.packed
}

// reading is what a file held, or why it could not be read.
type reading struct{ source, failure string }

func read(file string) reading {
	source, err := os.ReadFile(file)
	if err != nil {
		return reading{failure: err.Error()}
	}
	return reading{source: string(source)}
}

func (e *Engine) parse(r reading) (*catalog.Catalog, error) {
	if r.failure != "" {
		return nil, fmt.Errorf("read the catalog: %s", r.failure)
	}
	return catalog.Parse(e.File, []byte(r.source), e.Getenv)
}

// wrong notes what is wrong with the catalog's file, for operators; nil: nothing.
func (e *Engine) wrong(err error) {
	var problems []string
	if err != nil {
		mistakes := strings.Split(err.Error(), "\n")
		e.Logger.Error().Str("file", e.File).Strs("mistakes", mistakes).Msg("the catalog's file is not put in force; the catalog before stays")
		for _, mistake := range mistakes {
			problems = append(problems, "the catalog's file is wrong, and the catalog in force stays: "+mistake)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problems = problems
}

const watchEvery = time.Second

// watch puts the catalog's file in force whenever it changes, and tries again where that failed.
func (e *Engine) watch(ctx context.Context) error {
	if e.File == "" {
		return nil
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := e.reading
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if now := read(e.File); now != last && e.reload(ctx, now) {
			last = now
		}
	}
}

// reload puts the catalog in force that the file holds. It reports whether it is done with it: put in force, or wrong.
func (e *Engine) reload(ctx context.Context, r reading) (done bool) {
	c, err := e.parse(r)
	if err != nil {
		e.wrong(err)
		return true
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	if c.Revision != e.held().Revision {
		err = e.put(ctx, c, e.File)
	}
	e.wrong(err)
	return err == nil
}

// put puts a catalog in force: first in the ledger, then on the stream for the judges, then agents are given it. The caller
// holds changing, and may call it again after an error.
func (e *Engine) put(ctx context.Context, c *catalog.Catalog, source string) error {
	packed, err := e.record(ctx, c, source)
	if err != nil {
		return err
	}
	if err := e.markCatalog(ctx, c); err != nil {
		return err
	}
	e.hold(c, packed)
	e.Logger.Info().Str("catalog", c.Revision).Str("source", source).Int("hosts", len(c.Hosts)).Msg("a catalog is put in force")
	data, err := wire.EncodeControl(wire.Control{Catalog: c.Revision})
	if err == nil {
		err = e.Bus.Broadcast(ctx, data)
	}
	if err != nil {
		e.Logger.Warn().Err(err).Msg("agents could not be told of the catalog; they ask for it every minute")
	}
	return nil
}

// ErrNeedsPrune says that a catalog would end the watch over hosts, and that nobody said that it should.
var ErrNeedsPrune = errkind.New(errkind.Conflict,
	"the catalog no longer has hosts that are watched: add --prune to stop watching them")

// Apply puts a catalog in force and lists what that changes. Where a file is the truth it is refused.
func (e *Engine) Apply(ctx context.Context, c *catalog.Catalog, source string, prune bool) ([]catalog.Change, error) {
	if e.File != "" {
		return nil, errkind.New(errkind.Conflict,
			"this coordinator follows the file "+e.File+": edit that, it is put in force when it changes")
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	before := e.held()
	changes := catalog.Compare(before, c)
	var gone []string
	for _, change := range changes {
		if change.Gone && change.Check == "" {
			gone = append(gone, change.Host)
		}
	}
	if len(gone) > 0 && !prune {
		return nil, fmt.Errorf("%w: %s", ErrNeedsPrune, strings.Join(gone, ", "))
	}
	if c.Revision == before.Revision {
		return nil, nil
	}
	return changes, e.put(ctx, c, source)
}
