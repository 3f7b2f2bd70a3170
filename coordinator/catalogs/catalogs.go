// Package catalogs decides which catalog is in force and hands it to the agents. With a file, the file is in force at
// start and whenever it changes; without one, Apply is the only way. Every catalog that comes into force is an event
// of the ledger, then a mark on the stream, by which all judges switch at the same place, and then the answer that
// agents get.
package catalogs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what a Store needs of NATS.
type Bus interface {
	Mark(ctx context.Context, kind bus.Kind, id string, data []byte) (sequence uint64, err error)
	Timeline(ctx context.Context) (meshtime.Stream, error)
	Broadcast(ctx context.Context, data []byte) error
	AnswerCatalog(
		ctx context.Context, ready chan<- struct{}, catalog func(agent string, key *bus.SealKey) []byte,
	) error
}

// Ledger is what a Store needs of the ledger.
type Ledger interface {
	Append(ctx context.Context, events ...ledger.Event) error
}

// Config configures a Store.
type Config struct {
	Bus    Bus
	Ledger Ledger
	View   *view.View

	// Catalog is put in force at start, unless File is set; nil: the ledger's newest is.
	Catalog *catalog.Catalog
	// File is the catalog's file, which is watched. Empty: only Apply changes the catalog.
	File   string
	Getenv func(string) (string, bool) // for ${VAR} in the file, and for secrets
	// DigestKey is the key of the digests of secrets, which no agent gets.
	DigestKey []byte
	// Clock returns the present mesh time, and mesh time less the wall clock.
	Clock func() (at time.Time, offset time.Duration)

	// Problems replaces what operators must fix in the file; nil: nothing. It must be set.
	Problems func([]string)
	// Warn sets a warning for operators by subject, and an empty text clears it; it may be nil.
	Warn func(subject, text string)
	// Snapshot returns the present verdicts. A change of the file that loses something that is down waits. It may be
	// nil: then no change waits for that.
	Snapshot func() *mesh.Snapshot
	Logger   zerolog.Logger
}

// Store is the catalog in force. It is safe for concurrent use.
type Store struct {
	config Config

	answering     chan struct{} // closed when agents' questions are answered
	rosterChanged chan struct{} // a pending signal for publishKeys
	secrets       *vault

	changing sync.Mutex // one change at a time; locked while the ledger and the bus are written

	mu        sync.Mutex // of the fields below; never locked for longer than a copy
	loaded    reading    // of the file: put in force or rejected last
	rejection string     // why the file is not in force; empty: it is, or there is none
	current   *catalog.Catalog
	faced     faced // current, for agents
}

// Open puts the catalog in force that the coordinator starts with, and marks it on the stream. A file with mistakes
// is a file.Mistakes error only if the ledger has no catalog to run with.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Warn == nil {
		c.Warn = func(string, string) {}
	}
	s := &Store{
		config: c, answering: make(chan struct{}), rosterChanged: make(chan struct{}, 1),
	}
	s.secrets = &vault{getenv: c.Getenv, digestKey: c.DigestKey, warn: c.Warn, keyless: map[string]time.Time{}}
	first, source, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	faced, err := s.record(ctx, first, source)
	if err != nil {
		return nil, err
	}
	s.setCurrent(first, faced)
	return s, s.mark(ctx, first)
}

// choose returns the catalog to start with, and where it comes from: the file, else the built-in one, else the
// ledger's newest.
func (s *Store) choose(ctx context.Context) (c *catalog.Catalog, source string, err error) {
	stored, err := s.config.View.Catalog(ctx)
	if err != nil && !errors.Is(err, view.ErrNoCatalog) {
		return nil, "", err
	}
	var lines catalogfile.Lines
	c, source = s.config.Catalog, "built in"
	if s.config.File != "" {
		s.loaded, source = load(s.config.File), s.config.File
		if c, lines, err = s.parse(s.loaded); err != nil && stored.Catalog == nil {
			return nil, "", err
		}
		s.setFileProblems(err)
	}
	switch {
	case c != nil:
		identified, err := catalog.Identify(stored.Catalog, c)
		switch {
		case err == nil:
			c = identified.Catalog
			if s.config.File != "" && stored.Catalog != nil && c.Revision != stored.Catalog.Revision {
				warnRenames(s, identified, lines)
			}
		case stored.Catalog == nil || s.config.File == "":
			return nil, "", errkind.Wrap(errkind.Invalid, err)
		default:
			s.setFileProblems(err)
			c = stored.Catalog
		}
	case stored.Catalog != nil:
		c = stored.Catalog
		if catalog.NameFamilies(c) { // an early version stored hosts without address families
			catalog.Seal(c)
			source = "upgrade"
		}
		if now := s.secrets.withDigests(c); now.Revision != c.Revision {
			c, source = now, secretSource
		}
	default:
		// Without any catalog, the coordinator starts with an empty one and waits for `apply`.
		c, source = &catalog.Catalog{Page: catalog.Page{Title: "Status"}, Rule: catalog.DefaultRule()}, "empty"
		catalog.Seal(c)
	}
	return c, source, nil
}

// Run answers agents, watches the file and publishes changes of the admitted agents' keys, until ctx ends or one of
// them fails.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.config.Bus.AnswerCatalog(ctx, s.answering, s.answerAgent) })
	g.Go(func() error { return s.watch(ctx) })
	g.Go(func() error { return secretWatcher{s}.run(ctx) })
	g.Go(func() error { return s.publishKeys(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// Answering is closed when agents' questions for the catalog are answered.
func (s *Store) Answering() <-chan struct{} { return s.answering }

// Current returns the catalog in force. The judge switches to it when it reads the mark on the stream, a moment later.
func (s *Store) Current() *catalog.Catalog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// KnownHost reports whether the catalog in force has the host, by its key.
func (s *Store) KnownHost(key string) bool { return s.Current().Host(key) != nil }

// setCurrent makes the catalog the one that agents are answered with.
func (s *Store) setCurrent(c *catalog.Catalog, f faced) {
	for _, w := range c.Warnings() {
		s.config.Logger.Warn().Str("catalog", c.Revision).Str("text", w).Msg("catalog warning")
	}
	s.secrets.use(f.catalog)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.faced = c, f
}

// activate puts a catalog in force. The ledger is first, since a mark whose catalog no ledger has cannot be judged
// by; agents are last. The caller has locked changing, and may call it again after an error.
func (s *Store) activate(ctx context.Context, c *catalog.Catalog, source string) error {
	faced, err := s.record(ctx, c, source)
	if err != nil {
		return err
	}
	if err := s.mark(ctx, c); err != nil {
		return err
	}
	s.setCurrent(c, faced)
	s.config.Logger.Info().Str("catalog", c.Revision).Str("source", source).Int("hosts", len(c.Hosts)).
		Msg("catalog in force")
	if err := s.announce(ctx, c); err != nil {
		s.config.Logger.Warn().Err(err).Msg("catalog not announced; agents ask for it every minute")
	}
	return nil
}

// record writes the catalog to the ledger, unless it is the newest one there, and returns it encoded for agents. A
// catalog that cannot be encoded, or that agents would refuse, is not written.
func (s *Store) record(ctx context.Context, c *catalog.Catalog, source string) (f faced, err error) {
	if f, err = s.encode(ctx, c); err != nil {
		return f, err
	}
	stored, err := s.config.View.Catalog(ctx)
	switch {
	case err != nil && !errors.Is(err, view.ErrNoCatalog):
		return f, err
	case err == nil && stored.Catalog.Revision == c.Revision:
		return f, nil
	}
	// The ledger's newest catalog is exempt: an earlier version put it in force, and without it no judge can start.
	if err := decodable(f.encoded); err != nil {
		return f, err
	}
	at, offset := s.config.Clock()
	event := ledger.CatalogEvent{Source: source, Catalog: c, Mesh: at.UTC(), Offset: offset}
	return f, s.config.Ledger.Append(ctx, event)
}

// mark writes the catalog's revision into the stream: the judge works by the catalog from there on.
func (s *Store) mark(ctx context.Context, c *catalog.Catalog) error {
	_, err := s.config.Bus.Mark(ctx, bus.CatalogMark, rand.Text(), []byte(c.Revision))
	return err
}

// announce notifies the agents that there is something new to ask for.
func (s *Store) announce(ctx context.Context, c *catalog.Catalog) error {
	data, err := wire.EncodeControl(wire.Control{Catalog: c.Revision})
	if err != nil {
		return fmt.Errorf("announce the catalog: %w", err)
	}
	return s.config.Bus.Broadcast(ctx, data)
}
