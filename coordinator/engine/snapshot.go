package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// shown is what readers see. A newer one replaces it and closes its channel.
type shown struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	changed  chan struct{}
}

// Current returns the catalog that the judge works by and its snapshot, as immutable values that belong together.
func (e *Engine) Current() (*catalog.Catalog, *mesh.Snapshot) {
	s := e.shown.Load()
	return s.catalog, s.snapshot
}

// Changed returns a channel that is closed when Current has something newer.
func (e *Engine) Changed() <-chan struct{} { return e.shown.Load().changed }

// Ready reports whether agents may connect: the replay is over and they can get the catalog.
func (e *Engine) Ready() bool { return e.ready.Load() }

// show makes the judge's state visible if it changed and the last snapshot is old enough. It reports whether it did.
func (e *Engine) show(ctx context.Context) bool {
	if !e.dirty || !e.present || time.Since(e.shownAt) < showEvery {
		return false
	}
	e.dirty, e.shownAt = false, time.Now()
	snapshot := e.judge.Snapshot()
	if err := e.coverage.describe(ctx, e.judge, e.judging, snapshot, e.offset); err != nil && ctx.Err() == nil {
		e.config.Logger.Error().Err(err).Msg("maintenance unreadable")
	}
	e.config.SnapshotMade(snapshot, e.offset)
	describeExclusions(snapshot, e.decoder.filter, e.offset)
	snapshot.ShowWallTime(e.offset)
	old := e.shown.Swap(&shown{e.judging, snapshot, make(chan struct{})})
	close(old.changed)
	return true
}
