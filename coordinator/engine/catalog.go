package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/wire"
)

// startCatalog puts the catalog in force that the engine starts with.
func (e *Engine) startCatalog(ctx context.Context) error {
	stored, err := e.Ledger.Catalog(ctx)
	if err != nil && !errors.Is(err, ledger.ErrNoCatalog) {
		return err
	}
	if stored.Catalog != nil {
		if err := e.hold(stored.Catalog); err != nil {
			return err
		}
	}
	c, source := e.Catalog, "built in"
	if e.File != "" {
		if c, err = e.parse(); err != nil && stored.Catalog == nil {
			return err
		}
		source = e.File
		e.wrong(err)
	}
	switch {
	case c == nil && stored.Catalog == nil:
		// An empty one: the coordinator waits for `apply`.
		c = &catalog.Catalog{Page: catalog.Page{Title: "Status"}, Rule: catalog.DefaultRule()}
		catalog.Seal(c)
		source = "empty"
	case c == nil || stored.Catalog != nil && c.Revision == stored.Catalog.Revision:
		return nil
	}
	if err := e.Ledger.Append(ctx, ledger.CatalogEvent{Source: source, Catalog: c}); err != nil {
		return err
	}
	return e.hold(c)
}

// hold makes the catalog the one that agents are given.
func (e *Engine) hold(c *catalog.Catalog) error {
	packed, err := wire.EncodeCatalog(c)
	if err != nil {
		return err
	}
	e.inForce, e.packed = c, packed
	return nil
}

func (e *Engine) answerCatalog(string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.packed
}

func (e *Engine) parse() (*catalog.Catalog, error) {
	source, err := os.ReadFile(e.File)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return catalog.Parse(e.File, source, e.Getenv)
}

// wrong notes what is wrong with the catalog's file, for operators; nil: nothing.
func (e *Engine) wrong(err error) {
	e.problems = nil
	if err == nil {
		return
	}
	e.problems = strings.Split(err.Error(), "\n")
	e.Logger.Error().Str("file", e.File).Strs("mistakes", e.problems).Msg("the catalog's file is wrong; the catalog in force stays")
}

// Problems are what operators must mend: the mistakes in the catalog's file.
func (e *Engine) Problems() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.problems...)
}

const watchEvery = time.Second

// watch puts the catalog's file in force whenever it changes.
func (e *Engine) watch(ctx context.Context) error {
	if e.File == "" {
		return nil
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := stamp(e.File)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := stamp(e.File)
		if now == last {
			continue
		}
		last = now
		e.reload(ctx)
	}
}

// stamp tells one version of a file from the next.
func stamp(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

func (e *Engine) reload(ctx context.Context) {
	c, err := e.parse()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wrong(err)
	if err != nil || c.Revision == e.inForce.Revision {
		return
	}
	if err := e.put(ctx, c, e.File); err != nil {
		e.wrong(err)
	}
}

// put puts a catalog in force: first in the ledger, then on the stream for the judges, then the agents are told. The caller holds mu.
func (e *Engine) put(ctx context.Context, c *catalog.Catalog, source string) error {
	if err := e.Ledger.Append(ctx, ledger.CatalogEvent{Source: source, Catalog: c}); err != nil {
		return err
	}
	if err := e.hold(c); err != nil {
		return err
	}
	if err := e.markCatalog(ctx, c); err != nil {
		return err
	}
	e.Logger.Info().Str("catalog", c.Revision).Str("source", source).Int("hosts", len(c.Hosts)).Msg("a catalog is put in force")
	data, err := wire.EncodeControl(wire.Control{Catalog: c.Revision})
	if err != nil {
		return err
	}
	return e.Bus.Tell(ctx, data)
}

// ErrNeedsPrune says that a catalog would end the watch over hosts, and that nobody said that it should.
var ErrNeedsPrune = errors.New("the catalog no longer has hosts that are watched: add --prune to stop watching them")

// Apply puts a catalog in force and lists what that changes. Where a file is the truth it is refused.
func (e *Engine) Apply(ctx context.Context, c *catalog.Catalog, source string, prune bool) ([]catalog.Change, error) {
	if e.File != "" {
		return nil, fmt.Errorf("this coordinator follows the file %s: edit that, it is put in force when it changes", e.File)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	changes := catalog.Compare(e.inForce, c)
	var gone []string
	for _, change := range changes {
		if change.Gone && change.Check == "" {
			gone = append(gone, change.Host)
		}
	}
	if len(gone) > 0 && !prune {
		return nil, fmt.Errorf("%w: %s", ErrNeedsPrune, strings.Join(gone, ", "))
	}
	if c.Revision == e.inForce.Revision {
		return nil, nil
	}
	return changes, e.put(ctx, c, source)
}

// KnownHost reports whether the catalog in force has the host.
func (e *Engine) KnownHost(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inForce.Host(key) != nil
}

// Enrolled notes in the ledger that an agent joined, and tells the judges.
func (e *Engine) Enrolled(ctx context.Context, host, publicKey string) error {
	if err := e.Ledger.Append(ctx, ledger.AgentEvent{Host: host, PublicKey: publicKey}); err != nil {
		return err
	}
	_, err := e.markRoster(ctx)
	return err
}
