package judge

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// earlierEpochs is how many epochs of a vantage are remembered: enough for an agent that restarts repeatedly.
	earlierEpochs = 8
	// epochReturns is how many batches of a superseded epoch show a second agent. Fewer may be late deliveries.
	epochReturns = 3
	// identityShared is how long a vantage abstains after the last of them.
	identityShared = time.Minute
)

// identity detects two agents that use one vantage's identity, and batches that were seen before. An agent draws an
// epoch at each start and never uses one again. A server that is copied with its agent's state gives two agents one
// identity: batches of two epochs then alternate, and each agent reports on the network of a different place.
type identity struct {
	current     batchWindow
	earlier     []earlierEpoch
	sharedSince time.Time // when two agents were first seen
	sharedUntil time.Time // until when the vantage abstains because of that
}

// batchWindow detects batches of one epoch that were seen before.
type batchWindow struct {
	epoch   uint64
	highest uint64 // sequence of the newest batch
	seen    uint64 // bit n: the batch highest-n was seen
}

// add records a batch, and reports whether it is new. Batches may overtake one another within a window of 64; older
// ones count as seen.
func (w *batchWindow) add(sequence uint64) bool {
	if sequence > w.highest {
		w.seen = w.seen<<min(sequence-w.highest, 64) | 1
		w.highest = sequence
		return true
	}
	back := w.highest - sequence
	if back >= 64 || w.seen&(1<<back) != 0 {
		return false
	}
	w.seen |= 1 << back
	return true
}

// earlierEpoch is an epoch of a vantage that a newer one superseded.
type earlierEpoch struct {
	window      batchWindow
	returns     int // batches of it that came since, without a minute between two of them
	first, last time.Time
}

// shared reports whether two agents use the vantage's identity.
func (d *identity) shared(now time.Time) bool { return now.Before(d.sharedUntil) }

// accept reports whether the batch is new and from the vantage's current epoch, which is the newest one. Batches of
// earlier epochs are rejected, unless the newest epoch fell silent. heardAt is when the vantage's last batch was
// accepted.
func (d *identity) accept(env *environment, b *mesh.Batch, heardAt time.Time) bool {
	switch {
	case d.current.seen == 0:
		d.current = batchWindow{b.Epoch, b.Sequence, 1}
		return true
	case b.Epoch == d.current.epoch:
		return d.current.add(b.Sequence)
	}
	i := slices.IndexFunc(d.earlier, func(e earlierEpoch) bool { return e.window.epoch == b.Epoch })
	if i >= 0 {
		return d.acceptEarlier(env, i, b.Sequence, heardAt)
	}
	d.supersede(batchWindow{b.Epoch, b.Sequence, 1}, env.now)
	return true
}

// acceptEarlier handles a batch of a superseded epoch, and reports whether that epoch becomes the current one again.
func (d *identity) acceptEarlier(env *environment, i int, sequence uint64, heardAt time.Time) bool {
	e := &d.earlier[i]
	if !e.window.add(sequence) {
		return false
	}
	if e.returns == 0 || env.now.Sub(e.last) > identityShared {
		e.returns, e.first = 0, env.now
	}
	e.returns, e.last = min(e.returns+1, math.MaxInt32), env.now
	if env.now.Sub(heardAt) > env.rule.Silence {
		// The newer agent is gone, and this one is still running.
		back := e.window
		d.earlier = slices.Delete(d.earlier, i, i+1)
		d.supersede(back, heardAt)
		return true
	}
	// An agent that was stopped opens no more batches, but its last ones may come late, and in a burst.
	if e.returns >= epochReturns && env.now.Sub(e.first) >= env.rule.Silence {
		if !d.shared(env.now) {
			d.sharedSince = e.first
		}
		d.sharedUntil = env.now.Add(identityShared)
	}
	return false
}

// supersede makes next the vantage's current epoch, and remembers the previous one with the time of its last batch.
func (d *identity) supersede(next batchWindow, heardAt time.Time) {
	if len(d.earlier) == earlierEpochs {
		oldest := 0
		for i, e := range d.earlier {
			if e.last.Before(d.earlier[oldest].last) {
				oldest = i
			}
		}
		d.earlier = slices.Delete(d.earlier, oldest, oldest+1)
	}
	d.earlier = append(d.earlier, earlierEpoch{window: d.current, first: heardAt, last: heardAt})
	d.current = next
}
