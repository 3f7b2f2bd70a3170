package judge

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// An agent draws an epoch at each start, and never uses one again. A server that is copied with its agent's state
// gives two agents one identity: batches of two epochs then alternate, and each agent reports on the network of a
// different place.
const (
	// earlierEpochs is how many epochs of a vantage are remembered: enough for an agent that restarts repeatedly.
	earlierEpochs = 8
	// epochReturns is how many batches of a superseded epoch show a second agent. Fewer may be late deliveries.
	epochReturns = 3
	// identityShared is how long a vantage abstains after the last of them.
	identityShared = time.Minute

	sharedWhy = "two agents use this identity"
)

// batchWindow detects batches of one epoch that were seen before.
type batchWindow struct {
	epoch   uint64
	highest uint64 // sequence of the newest batch
	seen    uint64 // bit n: the batch highest-n was seen
}

// add records a batch, and reports whether it is new. Batches may overtake one another within a window of
// 64.
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
	batchWindow
	returns     int // batches of it that came since, without a minute between two of them
	first, last time.Time
}

// accept reports whether the batch is new and from the vantage's current epoch, which is the newest one. Batches of
// earlier epochs are ignored, unless the newest epoch fell silent.
func (j *Judge) accept(v *vantage, b *mesh.Batch) bool {
	switch {
	case v.seen == 0:
		v.batchWindow = batchWindow{b.Epoch, b.Sequence, 1}
		return true
	case b.Epoch == v.epoch:
		return v.add(b.Sequence)
	}
	i := slices.IndexFunc(v.earlier, func(e earlierEpoch) bool { return e.epoch == b.Epoch })
	if i >= 0 {
		return j.epochReturned(v, i, b.Sequence)
	}
	v.follow(batchWindow{b.Epoch, b.Sequence, 1}, j.now)
	return true
}

// epochReturned handles a batch of a superseded epoch, and reports whether that epoch becomes the current one again.
func (j *Judge) epochReturned(v *vantage, i int, sequence uint64) bool {
	e := &v.earlier[i]
	if !e.add(sequence) {
		return false
	}
	if e.returns == 0 || j.now.Sub(e.last) > identityShared {
		e.returns, e.first = 0, j.now
	}
	e.returns, e.last = min(e.returns+1, math.MaxInt32), j.now
	if j.now.Sub(v.last) > j.rule.Silence {
		// The newer agent is gone, and this one is still running.
		back := e.batchWindow
		v.earlier = slices.Delete(v.earlier, i, i+1)
		v.follow(back, v.last)
		return true
	}
	// An agent that was stopped opens no more batches, but its last ones may come late, and in a burst.
	if e.returns >= epochReturns && j.now.Sub(e.first) >= j.rule.Silence {
		if !j.sharesIdentity(v) {
			v.sharedSince = e.first
		}
		v.sharedUntil = j.now.Add(identityShared)
	}
	return false
}

// follow makes next the vantage's current epoch, and remembers the previous one with the time of its last batch.
func (v *vantage) follow(next batchWindow, heard time.Time) {
	if len(v.earlier) == earlierEpochs {
		oldest := 0
		for i, e := range v.earlier {
			if e.last.Before(v.earlier[oldest].last) {
				oldest = i
			}
		}
		v.earlier = slices.Delete(v.earlier, oldest, oldest+1)
	}
	v.earlier = append(v.earlier, earlierEpoch{batchWindow: v.batchWindow, first: heard, last: heard})
	v.batchWindow = next
}

// sharesIdentity reports whether two agents use the vantage's identity.
func (j *Judge) sharesIdentity(v *vantage) bool { return j.now.Before(v.sharedUntil) }

// sharedAdvisory returns the advisory for operators on a shared identity.
func (j *Judge) sharedAdvisory(s mesh.VantageState) string {
	return fmt.Sprintf("two agents have used its identity since %s, as happens when a server is copied: stop one, "+
		"run `coordinator revoke %s`, and join each machine again under its own name", j.clock(s.IdentityShared, time.TimeOnly), s.Name)
}
