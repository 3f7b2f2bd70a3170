package spool

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/probemesh/probemesh/pkg/privatefile"
)

// entry is the position of one record in its segment.
type entry struct {
	index  uint64
	offset uint32
	size   uint32
	count  uint32
}

// segment is one file. Its name is the index of its first record and a salt. The salt is part of every checksum in
// the file, so that bytes of another segment, or of a payload that contains one, are never mistaken for a record of
// this segment.
type segment struct {
	path    string
	base    uint64
	salt    uint32
	file    *os.File // open in the active segment and in the one being read
	size    int64
	entries []entry
	left    int // entries that are not done; at zero the segment can be deleted
}

func (g *segment) close() {
	if g.file != nil {
		g.file.Close()
		g.file = nil
	}
}

// entry returns the record of the index, or nil.
func (g *segment) entry(index uint64) *entry {
	if i, ok := slices.BinarySearchFunc(g.entries, index, byIndex); ok {
		return &g.entries[i]
	}
	return nil
}

// after returns the entries beyond the index.
func (g *segment) after(index uint64) []entry {
	i, _ := slices.BinarySearchFunc(g.entries, index+1, byIndex)
	return g.entries[i:]
}

func byIndex(e entry, index uint64) int { return cmp.Compare(e.index, index) }

// write appends encoded records or marks. Where it fails it removes what was written of them.
func (g *segment) write(data []byte, sync bool) error {
	seal(data, g.salt)
	_, err := g.file.WriteAt(data, g.size)
	if err == nil && sync {
		err = g.file.Sync()
	}
	if err != nil {
		_ = g.file.Truncate(g.size) // if that fails too, the records may be read again: the stream recognizes their ids
		return err
	}
	g.size += int64(len(data))
	return nil
}

// appendEntries adds the entries of the records that were just written.
func (g *segment) appendEntries(entries []entry) {
	written := entries[len(entries)-1].offset + entries[len(entries)-1].size
	for i := range entries {
		entries[i].offset += uint32(g.size) - written
	}
	g.entries = append(g.entries, entries...)
	g.left += len(entries)
}

func (g *segment) read(e entry) (header, []byte, error) {
	if g.file == nil {
		file, err := os.Open(g.path)
		if err != nil {
			return header{}, nil, err
		}
		g.file = file
	}
	data := make([]byte, e.size)
	if _, err := g.file.ReadAt(data, int64(e.offset)); err == io.EOF {
		return header{}, nil, errDamaged // the file was cut since the spool was opened
	} else if err != nil {
		return header{}, nil, err
	}
	h, body, ok := parse(data, g.salt)
	if !ok || h.index != e.index {
		return header{}, nil, errDamaged
	}
	return h, body, nil
}

const nameFormat = "%016x-%08x.seg"

// load finds the segments of earlier processes and reads them.
func (s *Spool) load() error {
	files, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		g := &segment{path: filepath.Join(s.config.Dir, f.Name())}
		if n, err := fmt.Sscanf(f.Name(), nameFormat, &g.base, &g.salt); n == 2 && err == nil && f.Type().IsRegular() {
			s.segments = append(s.segments, g)
		}
	}
	slices.SortFunc(s.segments, func(a, b *segment) int { return cmp.Compare(a.base, b.base) })
	for _, g := range s.segments {
		if err := s.scan(g); err != nil {
			return err
		}
	}
	s.countWaiting()
	return nil
}

// scan reads a segment: it remembers where its records are, and the newest mark.
func (s *Spool) scan(g *segment) error {
	file, err := os.Open(g.path)
	if err != nil {
		return err
	}
	defer file.Close()
	const readMax = 2*segmentMax + 2*RecordMax // no segment grows so large; what is beyond is not the spool's
	data, err := io.ReadAll(io.LimitReader(file, readMax))
	if err != nil {
		return err
	}
	g.size = int64(len(data))
	if g.base < indexMax {
		s.next = max(s.next, g.base)
	}
	walk(data, g.salt, func(offset int, h header, body []byte) {
		switch {
		case h.kind == kindMark:
			// More and more is done, so the larger of two marks is the later one.
			if done, ok := decodeRanges(body, h.index); ok && done.total() >= s.done.total() {
				s.done, s.next = done, max(s.next, h.index)
			}
		case h.kind == kindRecord && h.index >= max(g.base, 1) && h.index < indexMax && !s.alreadyRead(h.index):
			size := uint32(headerSize + len(body))
			g.entries = append(g.entries, entry{index: h.index, offset: uint32(offset), size: size, count: h.count})
			s.next = max(s.next, h.index+1)
		}
	})
	return nil
}

// alreadyRead reports whether a record of this index, or a later one, was found before.
func (s *Spool) alreadyRead(index uint64) bool {
	for _, g := range slices.Backward(s.segments) {
		if n := len(g.entries); n > 0 {
			return index <= g.entries[n-1].index
		}
	}
	return false
}

// countWaiting counts the records that wait. Every other index below next is done: it is acknowledged, dropped or lost.
func (s *Spool) countWaiting() {
	var left []uint64
	for _, g := range s.segments {
		for _, e := range g.entries {
			if !s.done.has(e.index) {
				left = append(left, e.index)
				g.left++
			}
		}
	}
	s.stats.Records = len(left)
	s.countDamaged()
	s.done = complement(left, s.next)
}

// countDamaged counts the indexes between records that are neither there nor done: damage destroyed their records.
// What was lost after the last record cannot be counted.
func (s *Spool) countDamaged() {
	last := uint64(0)
	for _, g := range s.segments {
		for _, e := range g.entries {
			if last != 0 {
				s.stats.Damaged += s.done.missing(last+1, e.index)
			}
			last = e.index
		}
	}
}

// ensureActive begins a new segment unless the active one has room.
func (s *Spool) ensureActive() error {
	if g := s.active; g != nil && g.size < s.segmentBytes() && (g.size < tidyAfter || s.stats.Records > 0) {
		return nil
	}
	return s.newSegment()
}

func (s *Spool) segmentBytes() int64 { return min(max(s.config.MaxBytes/16, segmentMin), segmentMax) }

// newSegment begins a segment with a mark, so that older segments can be deleted along with their marks.
func (s *Spool) newSegment() error {
	g := &segment{base: s.next, salt: rand.Uint32()}
	g.path = filepath.Join(s.config.Dir, fmt.Sprintf(nameFormat, g.base, g.salt))
	var err error
	if g.file, err = os.OpenFile(g.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err = g.write(s.mark(), true); err == nil {
		err = privatefile.SyncDir(s.config.Dir)
	}
	if err != nil {
		g.close()
		_ = os.Remove(g.path)
		return fmt.Errorf("spool: %w", err)
	}
	if s.active != nil && s.active != s.reading {
		s.active.close()
	}
	s.segments, s.active = append(s.segments, g), g
	return nil
}

// mark encodes what is done.
func (s *Spool) mark() []byte {
	h := header{kind: kindMark, index: s.next}
	return h.append(nil, "", s.done.encode())
}

// closeActive gives up the active segment after a write failed: its end is unknown. Its records stay.
func (s *Spool) closeActive() {
	if s.active != s.reading {
		s.active.close()
	}
	s.active = nil
}

// reclaim deletes the segments whose records are all done.
func (s *Spool) reclaim() {
	s.segments = slices.DeleteFunc(s.segments, func(g *segment) bool {
		gone := g != s.active && g.left == 0
		if gone {
			s.remove(g)
		}
		return gone
	})
}

func (s *Spool) remove(g *segment) {
	g.close()
	if s.reading == g {
		s.reading = nil
	}
	_ = os.Remove(g.path) // if it fails, the next process finds it and deletes it
}

// makeRoom drops the oldest segments, with what waits in them, until so many bytes fit.
func (s *Spool) makeRoom(n int64) {
	for len(s.segments) > 0 && s.bytes()+n > s.config.MaxBytes {
		g := s.segments[0]
		for _, e := range g.entries {
			if s.markDone(e.index) {
				s.stats.Dropped += uint64(e.count)
			}
		}
		if s.active == g {
			s.active = nil
		}
		s.remove(g)
		s.segments = s.segments[1:]
	}
}
