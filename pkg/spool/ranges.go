package spool

import (
	"encoding/binary"
	"slices"
)

// span is the indexes from first to last, both included.
type span struct{ first, last uint64 }

// ranges is a set of indexes: ordered spans with gaps between them. Acknowledgements come nearly in order, so there
// are few.
type ranges []span

// rangesMax bounds the spans of a mark. Each outage that begins before the backlog of the one before was sent adds one.
const rangesMax = 512

// place returns the position of the first span that does not end before the index.
func (r ranges) place(index uint64) int {
	i, _ := slices.BinarySearchFunc(r, index, func(s span, index uint64) int {
		if s.last < index {
			return -1
		}
		return 1
	})
	return i
}

func (r ranges) has(index uint64) bool {
	i := r.place(index)
	return i < len(r) && r[i].first <= index
}

// total returns how many indexes the set has.
func (r ranges) total() (n uint64) {
	for _, s := range r {
		n += s.last - s.first + 1
	}
	return n
}

// missing returns how many indexes from first to below next are not in the set.
func (r ranges) missing(first, next uint64) uint64 {
	n := next - first
	for _, s := range r[r.place(first):] {
		if s.first >= next {
			break
		}
		n -= min(s.last+1, next) - max(s.first, first)
	}
	return n
}

// add adds an index that is not in the set.
func (r *ranges) add(index uint64) {
	i := r.place(index)
	after := i < len(*r) && (*r)[i].first == index+1
	before := i > 0 && (*r)[i-1].last+1 == index
	switch {
	case before && after:
		(*r)[i-1].last = (*r)[i].last
		*r = slices.Delete(*r, i, i+1)
	case before:
		(*r)[i-1].last = index
	case after:
		(*r)[i].first = index
	default:
		*r = slices.Insert(*r, i, span{index, index})
	}
}

// complement returns every index from 1 to below next that is not in sorted.
func complement(sorted []uint64, next uint64) ranges {
	var out ranges
	from := uint64(1)
	for _, index := range sorted {
		if from < index {
			out = append(out, span{from, index - 1})
		}
		from = index + 1
	}
	if from < next {
		out = append(out, span{from, next - 1})
	}
	return out
}

// encode encodes the distances between the spans' ends as varints. It leaves out the newest spans beyond rangesMax,
// whose records are sent again after a restart.
func (r ranges) encode() []byte {
	var out []byte
	at := uint64(0)
	for _, s := range r[:min(len(r), rangesMax)] {
		out = binary.AppendUvarint(out, s.first-at)
		out = binary.AppendUvarint(out, s.last-s.first)
		at = s.last
	}
	return out
}

// decodeRanges decodes what encode encoded. It rejects an index that is not below next.
func decodeRanges(data []byte, next uint64) (ranges, bool) {
	var out ranges
	at := uint64(0)
	for len(data) > 0 {
		gap, n := binary.Uvarint(data)
		if n <= 0 || len(out) >= rangesMax {
			return nil, false
		}
		length, m := binary.Uvarint(data[n:])
		if m <= 0 || gap == 0 || gap >= next || length >= next || at+gap+length >= next {
			return nil, false
		}
		out = append(out, span{at + gap, at + gap + length})
		at, data = at+gap+length, data[n+m:]
	}
	return out, next <= indexMax
}
