// Package persist writes a state in memory to bytes and reads it back, both by one walk over its fields, so that no
// field is written that is not read. The walk names each field in the same order in both directions; what it reads into
// has the same structure, for instance because the same catalog built it. The bytes have no names and no types: they
// belong to the program that wrote them, and callers put its version beside them.
package persist

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

// ErrMalformed reports bytes that the walk did not write.
var ErrMalformed = errors.New("the saved state does not fit: it is damaged or of another version")

// Walk is one walk over a state. After its first error it reads zero values. It is not safe for concurrent use.
type Walk struct {
	reading bool
	data    []byte // what was written, or what is left to read
	failed  bool
}

// Writer returns a walk that writes.
func Writer() *Walk { return &Walk{} }

// Reader returns a walk that reads what a Writer wrote.
func Reader(data []byte) *Walk { return &Walk{reading: true, data: data} }

// Reading reports whether the walk reads.
func (w *Walk) Reading() bool { return w.reading }

// Bytes returns what was written.
func (w *Walk) Bytes() []byte { return w.data }

// Fail records that what was read does not fit.
func (w *Walk) Fail() { w.failed, w.data = true, nil }

// Err returns ErrMalformed if something did not fit, or is left over after the whole walk.
func (w *Walk) Err() error {
	if w.failed || w.reading && len(w.data) > 0 {
		return ErrMalformed
	}
	return nil
}

// number writes an integer, or reads one.
func (w *Walk) number(n int64) int64 {
	if !w.reading {
		w.data = binary.AppendVarint(w.data, n)
		return n
	}
	n, size := binary.Varint(w.data)
	if size <= 0 {
		w.Fail()
		return 0
	}
	w.data = w.data[size:]
	return n
}

// Integer walks over an integer of any size.
func Integer[T ~int | ~int64 | ~uint8 | ~uint64](w *Walk, v *T) {
	if n := w.number(int64(*v)); w.reading {
		*v = T(n)
	}
}

// Bool walks over a bool.
func (w *Walk) Bool(v *bool) {
	n := int64(0)
	if *v {
		n = 1
	}
	if n = w.number(n); w.reading {
		*v = n != 0
	}
}

// Float walks over a number.
func (w *Walk) Float(v *float64) {
	if n := w.number(int64(math.Float64bits(*v))); w.reading {
		*v = math.Float64frombits(uint64(n))
	}
}

// Time walks over a time of any year, exact to the nanosecond. It reads UTC.
func (w *Walk) Time(v *time.Time) {
	known := !v.IsZero()
	w.Bool(&known)
	seconds, nanos := v.Unix(), int64(v.Nanosecond())
	if known {
		seconds, nanos = w.number(seconds), w.number(nanos)
	}
	if !w.reading {
		return
	}
	if *v = time.Unix(seconds, nanos).UTC(); known && (nanos < 0 || nanos >= int64(time.Second) || v.IsZero()) {
		w.Fail()
		known = false
	}
	if !known {
		*v = time.Time{}
	}
}

// Text walks over a text.
func Text[T ~string](w *Walk, v *T) {
	size := w.length(len(*v))
	if !w.reading {
		w.data = append(w.data, *v...)
		return
	}
	*v = T(w.data[:size])
	w.data = w.data[size:]
}

// length walks over how many bytes or elements follow. No more are read than bytes are left.
func (w *Walk) length(n int) int {
	size := w.number(int64(n))
	if w.reading && (size < 0 || size > int64(len(w.data))) {
		w.Fail()
		return 0
	}
	return int(size)
}

// Size walks over how many elements a structure has that both sides must have alike.
func (w *Walk) Size(n int) {
	if int64(n) != w.number(int64(n)) {
		w.Fail()
	}
}

// List walks over a slice. An empty one is read as nil.
func List[T any](w *Walk, v *[]T, each func(*T)) {
	size := w.length(len(*v))
	if w.reading {
		*v = nil
	}
	for i := 0; i < size && !w.failed; i++ {
		if w.reading {
			*v = append(*v, *new(T))
		}
		each(&(*v)[i])
	}
}

// Texts walks over a list of texts.
func Texts(w *Walk, v *[]string) { List(w, v, func(s *string) { Text(w, s) }) }

// Map walks over a map by its keys in order. An empty one is read as one that can be written to.
func Map[V any](w *Walk, v *map[string]V, each func(*V)) {
	keys, all := slices.Sorted(maps.Keys(*v)), *v
	if w.reading {
		all = map[string]V{}
	}
	List(w, &keys, func(key *string) {
		Text(w, key)
		value := all[*key]
		each(&value)
		if w.reading {
			all[*key] = value
		}
	})
	if w.reading {
		*v = all
	}
}

// Optional walks over a pointer to a value that belongs to it alone, or to none.
func Optional[T any](w *Walk, v **T, each func(*T)) {
	present := *v != nil
	w.Bool(&present)
	if w.reading {
		*v = nil
	}
	if !present {
		return
	}
	if w.reading {
		*v = new(T)
	}
	each(*v)
}
