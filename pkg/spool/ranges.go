package spool

import (
	"encoding/binary"
	"slices"
)

// span is the indexes from the first to the last of them.
type span struct{ first, last uint64 }

// ranges is a set of indexes: spans in order that do not touch. Acknowledgements come nearly in order, so they are few.
type ranges []span

// rangesMax bounds a mark: a span more is begun only when the bus goes away again before what waited was sent.
const rangesMax = 512

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

// total is how many indexes are in.
func (r ranges) total() (n uint64) {
	for _, s := range r {
		n += s.last - s.first + 1
	}
	return n
}

// lacks is how many indexes from the first to below next are not in.
func (r ranges) lacks(first, next uint64) uint64 {
	n := next - first
	for _, s := range r[r.place(first):] {
		if s.first >= next {
			break
		}
		n -= min(s.last+1, next) - max(s.first, first)
	}
	return n
}

// add puts in one index that is not in yet.
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

// complement is every index from 1 to below next that is not among the sorted ones.
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

// encode writes distances, in varints. The newest spans are left out where there are too many: those records are sent
// again.
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

// decodeRanges reads what encode wrote, and refuses an index that is not below next.
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
