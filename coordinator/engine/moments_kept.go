package engine

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/quota"
)

const (
	momentsKept = 49 * time.Hour // an hour more than the stream has messages for
	momentsMax  = 40_000         // saved states: somewhat more than one in momentLeast makes
	// momentsBytes bounds all files together. Since a state is saved when messages of half its size have come, all take
	// about a tenth of what the stream of observations takes, so that they are bounded as a part of it. Over the bound,
	// the states of long ago become sparser first, down to one in momentEvery, and then the oldest go: jumps there replay
	// more of the stream.
	momentsBytes = quota.StreamMax / 8
	// recentFor is for how long states stay about as dense as they were saved.
	recentFor = time.Hour
)

func (m moment) compare(o moment) int {
	return cmp.Or(m.at.Compare(o.at), cmp.Compare(m.sequence, o.sequence))
}

// add adds a state that was stored, and removes those over the bounds. The judge's own time never decreases: states
// that are later than its newest are of a stream that was recreated since.
func (m *Moments) add(s moment, replayed bool) {
	if !replayed {
		i := slices.IndexFunc(m.all, func(o moment) bool { return o.at.After(s.at) })
		for i >= 0 && i < len(m.all) {
			m.remove(i)
		}
	}
	if i, found := slices.BinarySearchFunc(m.all, s, moment.compare); found {
		m.all[i] = s // two jumps to one moment
	} else {
		m.all = slices.Insert(m.all, i, s)
	}
	m.trim()
}

// trim removes states over the bounds.
func (m *Moments) trim() {
	for from := m.outlived(); from > 0; from-- {
		m.remove(0)
	}
	total := int64(0)
	for _, one := range m.all {
		total += one.size
	}
	for len(m.all) > 1 && (len(m.all) > momentsMax || total > momentsBytes) {
		i := m.densest()
		total -= m.all[i].size
		m.remove(i)
	}
}

// outlived returns how many of the oldest states are older than what is kept. It adds up the times between the states
// and counts a long one, as of a stop, as twice momentEvery: a mesh time that jumps forwards makes no state old.
func (m *Moments) outlived() int {
	age := time.Duration(0)
	for i := len(m.all) - 1; i > 0; i-- {
		if age += min(m.all[i].at.Sub(m.all[i-1].at), 2*momentEvery); age > momentsKept {
			return i
		}
	}
	return 0
}

// densest returns the state that is missed least: the one that leaves the shortest time between its neighbours,
// compared with their age. If each would leave more than momentEvery, it is the oldest.
func (m *Moments) densest() int {
	newest, best, least := m.all[len(m.all)-1].at, 0, 0.0
	for i := 1; i < len(m.all)-1; i++ {
		between := m.all[i+1].at.Sub(m.all[i-1].at)
		if between > momentEvery {
			continue
		}
		if cost := float64(between) / float64(newest.Sub(m.all[i].at)+recentFor); best == 0 || cost < least {
			best, least = i, cost
		}
	}
	return best
}

// remove removes a state and its file.
func (m *Moments) remove(i int) {
	_ = os.Remove(filepath.Join(m.dir, m.all[i].name()))
	m.all = slices.Delete(m.all, i, i+1)
}
