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

// entry is where one record stands.
type entry struct {
	index  uint64
	offset uint32
	size   uint32
	count  uint32
}

// segment is one file. Its name is the index of its first record and a salt, which is part of every checksum in it:
// what stands in another file, or in a payload, is never taken for a record of this one.
type segment struct {
	path    string
	base    uint64
	salt    uint32
	file    *os.File // open for the active segment, and for the one that is read
	size    int64
	entries []entry
	left    int // entries that are not done
}

func (g *segment) close() {
	if g.file != nil {
		g.file.Close()
		g.file = nil
	}
}

// entry finds a record by its index, or nil.
func (g *segment) entry(index uint64) *entry {
	if i, ok := slices.BinarySearchFunc(g.entries, index, byIndex); ok {
		return &g.entries[i]
	}
	return nil
}

func (g *segment) after(index uint64) []entry {
	i, _ := slices.BinarySearchFunc(g.entries, index+1, byIndex)
	return g.entries[i:]
}

func byIndex(e entry, index uint64) int { return cmp.Compare(e.index, index) }

// write adds records, and takes back what was written of them when it fails.
func (g *segment) write(data []byte, sync bool) error {
	seal(data, g.salt)
	_, err := g.file.WriteAt(data, g.size)
	if err == nil && sync {
		err = g.file.Sync()
	}
	if err != nil {
		_ = g.file.Truncate(g.size) // what stays behind has an id that the stream knows
		return err
	}
	g.size += int64(len(data))
	return nil
}

// adopt takes the entries of what was just written.
func (g *segment) adopt(entries []entry) {
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
		return header{}, nil, errDamaged // somebody cut the file
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

// load takes stock of the segments that are there.
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
	s.takeStock()
	return nil
}

// scan reads a segment's records and marks.
func (s *Spool) scan(g *segment) error {
	file, err := os.Open(g.path)
	if err != nil {
		return err
	}
	defer file.Close()
	const readMax = 2*segmentMax + 2*RecordMax // no segment grows so far; what lies beyond is not ours
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
			// What is done only grows, so that the larger of two marks is the later one.
			if done, ok := decodeRanges(body, h.index); ok && done.total() >= s.done.total() {
				s.done, s.next = done, max(s.next, h.index)
			}
		case h.kind == kindRecord && h.index >= max(g.base, 1) && h.index < indexMax && !s.before(h.index):
			g.entries = append(g.entries, entry{index: h.index, offset: uint32(offset), size: uint32(headerSize + len(body)), count: h.count})
			s.next = max(s.next, h.index+1)
		}
	})
	return nil
}

// before reports whether an index is not past the last record that was found.
func (s *Spool) before(index uint64) bool {
	for _, g := range slices.Backward(s.segments) {
		if n := len(g.entries); n > 0 {
			return index <= g.entries[n-1].index
		}
	}
	return false
}

// takeStock counts what is left to do, and takes for done all that is not there.
func (s *Spool) takeStock() {
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

// countDamaged counts the places between records whose record is neither there nor done.
func (s *Spool) countDamaged() {
	last := uint64(0)
	for _, g := range s.segments {
		for _, e := range g.entries {
			if last != 0 {
				s.stats.Damaged += s.done.lacks(last+1, e.index)
			}
			last = e.index
		}
	}
}

// roll sees to it that there is an active segment with room.
func (s *Spool) roll() error {
	if g := s.active; g != nil && g.size < s.segmentBytes() && (g.size < tidy || s.stats.Records > 0) {
		return nil
	}
	return s.begin()
}

func (s *Spool) segmentBytes() int64 { return min(max(s.config.MaxBytes/16, segmentMin), segmentMax) }

// begin begins a new segment with a mark of what is done, so that nothing older is needed for that.
func (s *Spool) begin() error {
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

func (s *Spool) mark() []byte {
	h := header{kind: kindMark, index: s.next}
	return h.append(nil, "", s.done.encode())
}

// abandon leaves a segment that could not be written to. What is in it stays.
func (s *Spool) abandon() {
	if s.active != s.reading {
		s.active.close()
	}
	s.active = nil
}

// reclaim deletes the segments that have nothing left.
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
	_ = os.Remove(g.path) // it is tried again after the next start
}

// makeRoom drops the oldest segments until so many bytes fit.
func (s *Spool) makeRoom(n int64) {
	for len(s.segments) > 0 && s.bytes()+n > s.config.MaxBytes {
		g := s.segments[0]
		for _, e := range g.entries {
			if s.finish(e.index) {
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
