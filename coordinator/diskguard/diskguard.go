// Package diskguard watches the disk under the data directory. It warns before the disk is full, and holds a reserve that it gives
// back when it is, so that the coordinator can go on judging until somebody frees some space.
package diskguard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Config is what is watched, and who is told.
type Config struct {
	Dir   string                     // the data directory
	Warn  func(subject, text string) // told in words what to mend; an empty text says that it is over
	Store Store
}

// Store is what stops when the disk is full.
type Store interface {
	Stopped() bool
	Revive() error
}

// How often in a row a store is seen stopped before it is brought back: so that it is not met on its way down, and much longer
// where the disk was not seen full and the store may only be slow.
const (
	stoppedLooks = 8
	slowLooks    = 240
	settleLooks  = 32 // after it was brought back, until what it takes again is known
)

// Bounds of what counts as little.
const (
	reserveMax  = 64 << 20 // holds hours of a mesh of ten hosts
	reserveIn   = 16       // the reserve is at most this part of the disk
	lowMax      = 4 << 30
	lowIn       = 10 // a tenth
	fullMax     = 16 << 20
	fullIn      = 64
	lookEvery   = 250 * time.Millisecond // a disk fills within seconds
	subject     = "disk"
	reserveName = "reserve"
)

// File is the reserve's name in the data directory. It holds nothing.
const File = reserveName

// level is how little is left.
type level int

const (
	plenty level = iota
	low
	full
)

// judge is how little is left. What was full stays so until the reserve could be taken again with some to spare, so that it does
// not change with every message.
func judge(free, size uint64, held bool) level {
	switch {
	case free < enough(size), !held && free < reserve(size)+min(size/lowIn, lowMax):
		return full
	case free < min(size/lowIn, lowMax):
		return low
	}
	return plenty
}

// enough is room to go on with for a while.
func enough(size uint64) uint64 { return min(size/fullIn, fullMax) }

func reserve(size uint64) uint64 { return min(size/reserveIn, reserveMax) }

// Watcher is the watch over one directory.
type Watcher struct {
	Config
	held    bool // the reserve
	stopped int  // looks in a row that saw the store stopped
	wasFull bool // since the store was last seen at work
	last    level
}

// New takes the reserve, where there is room.
func New(c Config) *Watcher { return &Watcher{Config: c} }

// Run watches until ctx ends. It returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	w.open()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		w.look()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w *Watcher) path() string { return w.Dir + string(os.PathSeparator) + reserveName }

// open takes the reserve. One that an earlier run left is held already.
func (w *Watcher) open() {
	free, size, err := Of(w.Dir)
	if err != nil {
		return
	}
	if info, err := os.Stat(w.path()); err == nil && uint64(info.Size()) == reserve(size) {
		w.held = true
		return
	}
	w.take(free, size)
}

// take takes the reserve where enough stays free beside it. Without room it is left for later.
func (w *Watcher) take(free, size uint64) {
	if w.held || free < reserve(size)+min(size/lowIn, lowMax) {
		return
	}
	f, err := os.OpenFile(w.path(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	err = errors.Join(fill(f, int64(reserve(size))), f.Close())
	if w.held = err == nil; !w.held {
		_ = os.Remove(w.path()) // half a reserve is none
	}
}

// look sees how much is left and does what follows from it.
func (w *Watcher) look() {
	free, size, err := Of(w.Dir)
	if err != nil {
		w.Warn(subject, "how much room the data directory has cannot be told: "+err.Error())
		return
	}
	now := judge(free, size, w.held)
	if now == full && w.held {
		// An error leaves the reserve where it is: the next look tries again.
		w.held = os.Remove(w.path()) != nil
	}
	if now == plenty {
		w.take(free, size)
	}
	w.tell(now, free, size)
	if w.Store != nil {
		w.revive(free, size)
	}
}

// tell says it in words that do not change while the level does not.
func (w *Watcher) tell(now level, free, size uint64) {
	if now == w.last {
		return
	}
	w.last = now
	switch now {
	case plenty:
		w.Warn(subject, "")
	case low:
		w.Warn(subject, fmt.Sprintf("disk almost full: less than %d MB of %d MB are free under %s", min(size/lowIn, lowMax)>>20, size>>20, w.Dir))
	case full:
		w.Warn(subject, fmt.Sprintf("disk full: free some space under %s; until then judging goes on from a reserve of %d MB", w.Dir, reserve(size)>>20))
	}
}

// revive brings back a store that stopped, once there is room.
func (w *Watcher) revive(free, size uint64) {
	if !w.Store.Stopped() {
		w.stopped = 0
		w.wasFull = w.last == full
		w.Warn("store", "")
		return
	}
	w.wasFull = w.wasFull || w.last == full
	w.stopped++
	switch {
	case w.stopped < stoppedLooks, !w.wasFull && w.stopped < slowLooks:
	case free < enough(size):
		w.Warn("store", "the disk has no room for what agents say: they keep it until there is; verdicts stand still")
	default:
		w.stopped = -settleLooks
		if err := w.Store.Revive(); err != nil {
			w.Warn("store", err.Error())
		}
	}
}
