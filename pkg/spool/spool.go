// Package spool stores an agent's records on disk until the stream has acknowledged them. Open a directory, Append
// records, Read those that are not acknowledged, oldest first, and Ack those that are. What Append returned for
// survives kill -9 and a power cut.
//
// A spool is a directory of segment files, and a segment is a sequence of records and marks, each with checksums. A
// mark lists all that is acknowledged. A segment is only ever appended to, and only by the process that made it:
// after a restart the spool begins a new one. Nothing repairs a damaged segment. A record that is incomplete or
// damaged, at the end of a segment or in its middle, is skipped and counted, and the records after it are still
// found. A segment is deleted when all its records are acknowledged, or when the spool is full and it is the oldest.
//
// One goroutine at a time may use a Spool.
package spool

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/probemesh/probemesh/pkg/dirlock"
)

// Config configures a spool.
type Config struct {
	Dir      string // made where it is missing, accessible to this user alone
	MaxBytes int64  // beyond it the oldest records are dropped; zero: DefaultMaxBytes
	Clock    Clock  // zero: this machine's
}

const (
	// DefaultMaxBytes is enough for weeks of a ten-host mesh or a day of a hundred hosts, and little enough for any
	// disk.
	DefaultMaxBytes = 64 << 20
	// MinMaxBytes is the least MaxBytes: enough for a few records.
	MinMaxBytes = 64 << 10
	// RecordMax bounds one record's id and payload. The bus accepts batches of a quarter of that.
	RecordMax = 1 << 20

	idMax      = 255
	segmentMax = 1 << 20 // bytes after which a new segment begins, which is what a full spool drops at once
	segmentMin = 8 << 10 // the same for a very small spool
	// tidyAfter is how large a segment may grow whose records are all acknowledged, before a new one replaces it to
	// free its space.
	tidyAfter = 64 << 10
)

var (
	// ErrLocked is returned by Open where another process uses the directory.
	ErrLocked = errors.New("another agent uses this directory")
	// ErrTooLarge is returned by Append for a record beyond RecordMax.
	ErrTooLarge = errors.New("a record is too large for the spool")
)

// Record is one record. Its payload is opaque to the spool.
type Record struct {
	Index   uint64    // its position, set by Append; indexes rise and are never used twice
	ID      string    // by which the stream recognizes a record that is sent twice
	Opened  time.Time // when the payload was made
	Count   int       // observations in it, for Stats.Dropped
	Payload []byte

	Earlier     bool // it was appended before the spool was opened, perhaps by another process
	ByWallClock bool // the machine was restarted since, so Opened relies on the wall clock
}

// Stats describes how full a spool is, and what it lost since it was opened.
type Stats struct {
	Records int    // not acknowledged
	Bytes   int64  // on disk
	Dropped uint64 // observations in the records that were dropped because the spool was full
	Damaged uint64 // records that are damaged or missing
}

// Spool is an open spool.
type Spool struct {
	config   Config
	clock    Clock
	lock     *dirlock.Lock
	segments []*segment // oldest first
	active   *segment   // the last of them, if this process made it and can write to it; else nil
	done     ranges     // indexes below next that are acknowledged, dropped or lost
	next     uint64
	first    uint64   // next when the spool was opened: records before it are of earlier processes
	reading  *segment // whose file is open for reading
	stats    Stats
	buffer   []byte // of encode, reused
}

// Open opens the directory and finds the records in it. Damaged records are no error, see Stats.Damaged.
func Open(c Config) (*Spool, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxBytes < MinMaxBytes {
		return nil, fmt.Errorf("spool: %d bytes are too few; it needs %d at least", c.MaxBytes, MinMaxBytes)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := dirlock.Acquire(c.Dir)
	var inUse *dirlock.InUseError
	if errors.As(err, &inUse) {
		return nil, fmt.Errorf("spool: %w: %w", ErrLocked, err)
	}
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{config: c, clock: c.Clock, lock: lock, next: 1}
	if s.clock.Uptime == nil {
		s.clock = machineClock()
	}
	if err = s.load(); err != nil {
		_ = lock.Release()
		return nil, fmt.Errorf("spool %s: %w", c.Dir, err)
	}
	s.first = s.next
	return s, nil
}

// Close unlocks the directory for another process. Nothing that was appended is lost without it.
func (s *Spool) Close() error {
	var err error
	if s.active != nil {
		err = s.active.file.Sync()
	}
	for _, g := range s.segments {
		g.close()
	}
	return errors.Join(err, s.lock.Release())
}

// Stats returns how full the spool is and what it lost.
func (s *Spool) Stats() Stats {
	out := s.stats
	out.Bytes = s.bytes()
	return out
}

func (s *Spool) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// Append writes the records, sets their indexes, and returns when they are on the disk. After an error none of them
// is in the spool, and Append may be tried again.
func (s *Spool) Append(records []Record) error {
	data, entries, err := s.encode(records)
	if err != nil || len(records) == 0 {
		return err
	}
	s.makeRoom(int64(len(data)))
	if err := s.ensureActive(); err != nil {
		return err
	}
	if err := s.active.write(data, true); err != nil {
		s.closeActive()
		return fmt.Errorf("spool: %w", err)
	}
	s.active.appendEntries(entries)
	s.next += uint64(len(records))
	s.stats.Records += len(records)
	s.reclaim()
	return nil
}

// encode sets the records' indexes and encodes them. The offsets of the entries count from the beginning of the data.
func (s *Spool) encode(records []Record) ([]byte, []entry, error) {
	data, entries := s.buffer[:0], make([]entry, len(records))
	now, uptime := time.Now(), s.clock.Uptime()
	for i := range records {
		r := &records[i]
		if len(r.ID) > idMax || int64(len(r.ID)+len(r.Payload)) > min(RecordMax, s.config.MaxBytes/4) {
			return nil, nil, fmt.Errorf("%d bytes with an id of %d: %w", len(r.Payload), len(r.ID), ErrTooLarge)
		}
		r.Index = s.next + uint64(i)
		h := header{
			kind: kindRecord, index: r.Index, count: uint32(max(r.Count, 0)), id: uint8(len(r.ID)),
			wall: r.Opened.UnixMicro(), uptime: int64(uptime - now.Sub(r.Opened)), boot: s.clock.boot(),
		}
		at := len(data)
		data = h.append(data, r.ID, r.Payload)
		entries[i] = entry{index: r.Index, offset: uint32(at), size: uint32(len(data) - at), count: h.count}
	}
	if cap(data) <= segmentMax {
		s.buffer = data
	}
	return data, entries, nil
}

// Ack notes that the stream has these records. An index that is acknowledged already, or not there, changes nothing.
// After an error they are acknowledged for this process, and the next one may send them again.
func (s *Spool) Ack(indexes ...uint64) error {
	changed := false
	for _, index := range indexes {
		changed = s.markDone(index) || changed
	}
	if !changed {
		return nil
	}
	if s.stats.Records == 0 && s.active == nil {
		s.reclaim()
		return nil
	}
	if s.active == nil {
		err := s.newSegment()
		if err != nil {
			s.reclaim() // a full disk has room for the mark once acknowledged segments are deleted
			err = s.newSegment()
		}
		if err != nil {
			return err
		}
	}
	// Without fsync, which would cost more than the record itself: the mark survives a kill, and after a power cut a
	// few records are sent again, which the stream recognizes by their ids.
	if err := s.active.write(s.mark(), false); err != nil {
		s.closeActive()
		return fmt.Errorf("spool: %w", err)
	}
	s.reclaim()
	return nil
}

// markDone marks a record as acknowledged, dropped or lost, and reports whether it was not marked yet.
func (s *Spool) markDone(index uint64) bool {
	g, e := s.find(index)
	if e == nil || s.done.has(index) {
		return false
	}
	s.done.add(index)
	s.stats.Records--
	g.left--
	return true
}

func (s *Spool) find(index uint64) (*segment, *entry) {
	for _, g := range s.segments {
		if e := g.entry(index); e != nil {
			return g, e
		}
	}
	return nil, nil
}

// Read returns up to n records after the index that are not acknowledged, oldest first. It skips damaged records,
// counts them in Stats.Damaged, and never returns them; an error is the disk's.
func (s *Spool) Read(after uint64, n int) ([]Record, error) {
	var out []Record
	for _, g := range s.segments {
		for _, e := range g.after(after) {
			if len(out) >= n {
				return out, nil
			}
			if s.done.has(e.index) {
				continue
			}
			r, err := s.read(g, e)
			switch {
			case errors.Is(err, errDamaged):
				s.stats.Damaged++
				s.markDone(e.index)
			case err != nil:
				return out, fmt.Errorf("spool: %w", err)
			default:
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func (s *Spool) read(g *segment, e entry) (Record, error) {
	if s.reading != nil && s.reading != g && s.reading != s.active {
		s.reading.close()
	}
	s.reading = g
	h, body, err := g.read(e)
	if err != nil {
		return Record{}, err
	}
	r := Record{
		Index: e.index, ID: string(body[:h.id]), Payload: body[h.id:], Count: int(h.count), Earlier: e.index < s.first,
	}
	r.Opened, r.ByWallClock = s.clock.opened(h, time.Now())
	return r, nil
}
