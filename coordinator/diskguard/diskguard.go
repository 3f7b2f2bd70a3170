// Package diskguard watches the disk of the data directory. It warns before the disk is full, and keeps a reserve of
// disk space that it releases when the disk is full, so that the coordinator works on until an operator frees space.
package diskguard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config configures a Guard.
type Config struct {
	Dir   string                     // the data directory
	Warn  func(subject, text string) // sets a subject's warning for operators; an empty text clears it
	Store Store                      // may be nil
}

// Store is what stops when the disk is full.
type Store interface {
	Stopped() bool
	Revive() error
}

// Checks in a row that find the store stopped before it is revived.
const (
	reviveAfter     = 8   // after a full disk: not while it still shuts down
	reviveSlowAfter = 240 // if the disk was never full: the store may only be slow
	settleChecks    = 32  // after a revival, until its success is known
)

// Bounds of what counts as little space.
const (
	reserveMax   = 64 << 20               // hours of observations of ten hosts
	reserveShare = 16                     // the reserve is at most this part of the disk
	lowMax       = 4 << 30                // bytes free, below which operators are warned ...
	lowShare     = 10                     // ... but at most this part of the disk
	fullMax      = 16 << 20               // bytes free, below which the disk counts as full ...
	fullShare    = 64                     // ... but at most this part of it
	checkEvery   = 250 * time.Millisecond // a disk fills within seconds
)

// The subjects of warnings.
const (
	diskSubject  = "disk"
	storeSubject = "store"
)

// File is the name of the reserve in the data directory. Its content is of no use.
const File = "reserve"

// level is how much space is left.
type level int

const (
	plenty level = iota
	low
	full
)

// levelOf returns the level of a disk. A full disk stays full until there is space for the reserve and some more, so
// that the level does not change with every message.
func levelOf(free, size uint64, reserved bool) level {
	switch {
	case free < fullBelow(size), !reserved && free < reserveSize(size)+lowBelow(size):
		return full
	case free < lowBelow(size):
		return low
	}
	return plenty
}

func lowBelow(size uint64) uint64    { return min(size/lowShare, lowMax) }
func fullBelow(size uint64) uint64   { return min(size/fullShare, fullMax) }
func reserveSize(size uint64) uint64 { return min(size/reserveShare, reserveMax) }

// Guard watches one directory.
type Guard struct {
	Config
	reserved bool // the reserve exists
	stopped  int  // checks in a row that found the store stopped
	wasFull  bool // the disk, since the store last worked
	last     level
}

// New returns a guard. It reserves nothing before Run.
func New(c Config) *Guard { return &Guard{Config: c} }

// Full reports whether the disk of the data directory has no space left, and releases the reserve of an earlier run
// then: a coordinator that starts needs some space before its guard runs.
func Full(dir string) bool {
	free, size, err := Usage(dir)
	if err == nil && free < fullBelow(size) && os.Remove(filepath.Join(dir, File)) == nil {
		free, size, err = Usage(dir)
	}
	return err == nil && free < fullBelow(size)
}

// Run watches until ctx ends, and then returns nil.
func (g *Guard) Run(ctx context.Context) error {
	g.open()
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		g.check()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (g *Guard) path() string { return filepath.Join(g.Dir, File) }

// open finds the reserve of an earlier run, or creates one.
func (g *Guard) open() {
	free, size, err := Usage(g.Dir)
	if err != nil {
		return
	}
	if info, err := os.Stat(g.path()); err == nil && uint64(info.Size()) == reserveSize(size) {
		g.reserved = true
		return
	}
	g.reserve(free, size)
}

// reserve creates the reserve if enough space stays free. Otherwise a later check tries again.
func (g *Guard) reserve(free, size uint64) {
	if g.reserved || free < reserveSize(size)+lowBelow(size) {
		return
	}
	f, err := os.OpenFile(g.path(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	err = errors.Join(fill(f, int64(reserveSize(size))), f.Close())
	if g.reserved = err == nil; !g.reserved {
		_ = os.Remove(g.path()) // a part of a reserve only uses space
	}
}

// check measures the space and acts on it.
func (g *Guard) check() {
	free, size, err := Usage(g.Dir)
	if err != nil {
		g.Warn(diskSubject, "the free space of the data directory is unknown: "+err.Error())
		return
	}
	now := levelOf(free, size, g.reserved)
	if now == full && g.reserved {
		// If that fails the reserve still exists, and the next check tries again.
		g.reserved = os.Remove(g.path()) != nil
	}
	if now == plenty {
		g.reserve(free, size)
	}
	g.warn(now, size)
	if g.Store != nil {
		g.revive(free, size)
	}
}

// warn updates the warning when the level changes. Its text contains no number that changes in between.
func (g *Guard) warn(now level, size uint64) {
	if now == g.last {
		return
	}
	g.last = now
	switch now {
	case plenty:
		g.Warn(diskSubject, "")
	case low:
		g.Warn(diskSubject, fmt.Sprintf("disk almost full: less than %d MB of %d MB are free under %s",
			lowBelow(size)>>20, size>>20, g.Dir))
	case full:
		g.Warn(diskSubject, fmt.Sprintf("disk full: free some space under %s; until then a reserve of %d MB is used",
			g.Dir, reserveSize(size)>>20))
	}
}

// revive restarts a store that stopped, once there is space.
func (g *Guard) revive(free, size uint64) {
	if !g.Store.Stopped() {
		g.stopped = 0
		g.wasFull = g.last == full
		g.Warn(storeSubject, "")
		return
	}
	g.wasFull = g.wasFull || g.last == full
	g.stopped++
	switch {
	case g.stopped < reviveAfter, !g.wasFull && g.stopped < reviveSlowAfter:
	case free < fullBelow(size):
		g.Warn(storeSubject, "the disk has no space for observations: "+
			"agents keep theirs until there is, and verdicts do not change")
	default:
		g.stopped = -settleChecks
		if err := g.Store.Revive(); err != nil {
			g.Warn(storeSubject, err.Error())
		}
	}
}
