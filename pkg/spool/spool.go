// Package spool keeps an agent's records on disk until the stream has them: a directory of segment files that
// survives a kill, a power cut and damage. Open it, Append what was seen, Read what is not acknowledged, oldest
// first, and Ack what the stream has; a segment without anything left is deleted. Records are checked when they are
// read: what is damaged is passed over and counted, and never delivered. One goroutine at a time may use a Spool.
package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config is where a spool is and how large it may grow.
type Config struct {
	Dir      string // made when it is missing; only this user may enter it
	MaxBytes int64  // the oldest records go when there are more; zero: DefaultMaxBytes
	Clock    Clock  // zero: this machine's
}

const (
	// DefaultMaxBytes is weeks of a ten-host mesh and a day of a hundred hosts, and a disk that cannot spare it is
	// full already.
	DefaultMaxBytes = 64 << 20
	// MinMaxBytes keeps a few records at least.
	MinMaxBytes = 64 << 10
	// RecordMax bounds one record's id and payload: four times what the bus lets a batch have.
	RecordMax = 1 << 20

	idMax      = 255
	segmentMax = 1 << 20  // bytes after which a new segment is begun: what goes at once when the spool is full
	segmentMin = 8 << 10  // of a very small spool
	tidy       = 64 << 10 // bytes after which a segment of acknowledged records is left for a new one, so that its space is given back
)

var (
	// ErrLocked says that another process uses the directory.
	ErrLocked = errors.New("another agent uses this directory")
	// ErrTooLarge says that a record is past RecordMax.
	ErrTooLarge = errors.New("a record is too large for the spool")
)

// Record is one thing to keep, and its payload is opaque.
type Record struct {
	Index   uint64    // its place, given by Append
	ID      string    // what the stream knows a repeat by
	Opened  time.Time // when the payload's time begins
	Count   int       // how many observations are lost with it
	Payload []byte

	Earlier  bool // it was appended before the spool was opened, perhaps by another process
	Reckoned bool // the machine was started anew since: Opened is told by the wall clock alone
}

// Stats is how full a spool is and what it lost since it was opened.
type Stats struct {
	Records int    // not acknowledged
	Bytes   int64  // on disk
	Dropped uint64 // observations in the records that went because the spool was full
	Damaged uint64 // records that could not be read
}

// Spool is an open spool.
type Spool struct {
	config   Config
	clock    Clock
	lock     *os.File
	segments []*segment // oldest first
	active   *segment   // the last of them, or nil: what an earlier process wrote is never written to again
	done     ranges     // the indexes that are acknowledged or lost, all below next
	next     uint64
	first    uint64 // next when the spool was opened
	reading  *segment
	stats    Stats
	buffer   []byte
}

// Open opens the directory and takes stock of what is there. Damage is no error.
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
	lock, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{config: c, clock: c.Clock, lock: lock, next: 1}
	if s.clock.Uptime == nil {
		s.clock = machineClock()
	}
	if err = tryLock(lock); err == nil {
		err = s.load()
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("spool %s: %w", c.Dir, err)
	}
	s.first = s.next
	return s, nil
}

// Close gives the directory back. Nothing that was appended is lost without it.
func (s *Spool) Close() error {
	var err error
	if s.active != nil {
		err = s.active.file.Sync()
	}
	for _, g := range s.segments {
		g.close()
	}
	return errors.Join(err, s.lock.Close())
}

// Stats tells how full the spool is.
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

// Append writes the records and returns when they are on the disk, with their indexes set. After an error none of
// them is in the spool, which may be tried again.
func (s *Spool) Append(records []Record) error {
	data, entries, err := s.encode(records)
	if err != nil || len(records) == 0 {
		return err
	}
	s.makeRoom(int64(len(data)))
	if err := s.roll(); err != nil {
		return err
	}
	if err := s.active.write(data, true); err != nil {
		s.abandon()
		return fmt.Errorf("spool: %w", err)
	}
	s.active.adopt(entries)
	s.next += uint64(len(records))
	s.stats.Records += len(records)
	s.reclaim()
	return nil
}

// encode gives the records their indexes. The offsets of the entries begin at zero.
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

// Ack says that the stream has these records. What is said twice, or of a record that is not there, changes nothing.
// An error leaves them acknowledged until the spool is opened again.
func (s *Spool) Ack(indexes ...uint64) error {
	changed := false
	for _, index := range indexes {
		changed = s.finish(index) || changed
	}
	if !changed {
		return nil
	}
	if s.stats.Records == 0 && s.active == nil {
		s.reclaim()
		return nil
	}
	if s.active == nil {
		err := s.begin()
		if err != nil {
			s.reclaim() // on a full disk there is room for a mark once something is gone
			err = s.begin()
		}
		if err != nil {
			return err
		}
	}
	// Without fsync: it survives a kill, and after a power cut a few records are sent again and known by their ids.
	if err := s.active.write(s.mark(), false); err != nil {
		s.abandon()
		return fmt.Errorf("spool: %w", err)
	}
	s.reclaim()
	return nil
}

// finish takes a record for done, and reports whether it was not.
func (s *Spool) finish(index uint64) bool {
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

// Read returns up to n records after the index that are not acknowledged, oldest first. An error is the disk's.
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
				s.finish(e.index)
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
	r.Opened, r.Reckoned = s.clock.opened(h, time.Now())
	return r, nil
}
