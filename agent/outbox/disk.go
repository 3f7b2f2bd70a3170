package outbox

import (
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/spool"
)

const (
	memoryMax = 1000             // batches in memory while the disk fails: half an hour of a ten-host mesh
	diskRetry = 10 * time.Second // until a disk that failed is tried again
	writeMax  = 64               // batches written at once
	readMax   = 32               // batches of history read at once: more than two seconds' worth at the limited rate
	readRetry = time.Second      // after a read that found nothing
)

// disk is the spool and what is to be written to it. One job at a time works on the spool in the background, since a
// disk may take seconds and the agent must not stop probing meanwhile.
type disk struct {
	config spool.Config
	log    zerolog.Logger
	spool  *spool.Spool // nil until it could be opened
	stats  spool.Stats  // after the latest job
	job    *job         // under way, or nil

	unwritten []*delivery // oldest first; those of the job come first
	acked     []uint64    // the stream has them, and the spool does not know yet
	// claimed are the records whose batches are queued or in flight, by index: a read must not return them once more.
	claimed   map[uint64]*delivery
	readAfter uint64 // every record up to this index was read or is claimed

	off        string    // why batches are not written to disk; empty while it works
	retryAt    time.Time // when a disk that is off is tried again
	readAt     time.Time // when to read again after a read that found nothing
	readFailed bool      // so that a failure is logged once
}

// job is one access to the spool and its result.
type job struct {
	spool *spool.Spool // nil: open it first
	write []*delivery
	acked []uint64
	after uint64
	read  int // records at most

	written  bool
	records  []spool.Record // that were written
	history  []spool.Record // that were read
	err      error          // of opening and writing
	readErr  error
	newStats spool.Stats
}

func newDisk(c Config) disk {
	return disk{config: c.Spool, log: c.Logger, claimed: map[uint64]*delivery{}}
}

// open opens the spool. Only a directory that another agent uses is an error.
func (d *disk) open() error {
	if d.config.Dir == "" {
		return nil
	}
	s, err := spool.Open(d.config)
	if errors.Is(err, spool.ErrLocked) {
		return err
	}
	d.spool = s
	d.setError(err, time.Now())
	if err == nil {
		d.stats = s.Stats()
		if n := d.stats.Damaged; n > 0 {
			d.log.Error().Uint64("records", n).Msg("spool records corrupt")
		}
	}
	return nil
}

// setError notes whether the disk works, and logs when that changes.
func (d *disk) setError(err error, now time.Time) {
	before := d.off
	d.off = ""
	if err != nil {
		d.off, d.retryAt = err.Error(), now.Add(diskRetry)
	}
	switch {
	case before == "" && err != nil:
		d.log.Error().Err(err).Msg("spool unavailable, batches wait in memory")
	case before != "" && err == nil:
		d.log.Info().Msg("spool recovered")
	}
}

// failing reports whether batches wait in memory because they cannot be written.
func (d *disk) failing() bool { return d.spool == nil || d.off != "" }

// add queues a batch for writing, and returns how many observations were dropped because the memory is full.
func (d *disk) add(b *delivery) (dropped int) {
	d.unwritten = append(d.unwritten, b)
	if len(d.unwritten) <= memoryMax {
		return 0
	}
	writing := 0
	if d.job != nil {
		writing = len(d.job.write) // finishJob counts on their place
	}
	for i, old := range d.unwritten[writing:] {
		if !old.queued {
			d.unwritten = slices.Delete(d.unwritten, writing+i, writing+i+1)
			return old.Count
		}
	}
	return 0
}

// done notes that the stream has a batch, or that it was given up.
func (d *disk) done(b *delivery) {
	b.stored, b.queued = true, false
	if b.index != 0 {
		delete(d.claimed, b.index)
		d.acked = append(d.acked, b.index)
	}
	d.skipStored()
}

// release makes a batch history: it is sent again once its turn comes.
func (d *disk) release(b *delivery) {
	b.queued = false
	if b.index != 0 {
		delete(d.claimed, b.index)
		d.readAfter = min(d.readAfter, b.index-1)
	}
}

// skipStored removes batches that need not be written any more, unless a job counts on their place.
func (d *disk) skipStored() {
	if d.job == nil {
		d.unwritten = slices.DeleteFunc(d.unwritten, func(b *delivery) bool { return b.stored })
	}
}

// nextUnwritten returns the oldest batch in memory that may be sent as history, or nil while the disk holds older ones.
func (d *disk) nextUnwritten() *delivery {
	if d.job != nil || d.unread() {
		return nil
	}
	for _, b := range d.unwritten {
		if !b.queued && !b.stored {
			b.queued = true
			return b
		}
	}
	return nil
}

// unread reports whether the spool holds history that is not in memory.
func (d *disk) unread() bool {
	return d.spool != nil && d.stats.Records > len(d.claimed)+len(d.acked)
}

// waiting is how many batches wait for the stream's acknowledgement.
func (d *disk) waiting() int {
	return max(d.stats.Records-len(d.acked), 0) + len(d.unwritten)
}

// working reports whether a job is under way, or should be.
func (d *disk) working() bool {
	return d.job != nil || d.config.Dir != "" && d.off == "" && len(d.unwritten)+len(d.acked) > 0
}

// nextWake returns when the disk is tried again; zero means never.
func (d *disk) nextWake(connected bool) (at time.Time) {
	if d.job != nil {
		return at // its event wakes the owner
	}
	if d.off != "" && len(d.unwritten) > 0 {
		at = d.retryAt
	}
	if connected && d.unread() {
		at = earlier(at, d.readAt)
	}
	return at
}

// nextJob returns the job to run now, which is then under way, or nil. It reads history where that is wanted.
func (d *disk) nextJob(now time.Time, readHistory bool) *job {
	if d.job != nil || d.config.Dir == "" {
		return nil
	}
	j := &job{spool: d.spool, after: d.readAfter}
	if len(d.unwritten) > 0 && (d.off == "" || !now.Before(d.retryAt)) {
		j.write = d.unwritten[:min(len(d.unwritten), writeMax)]
	}
	if readHistory && d.unread() && !now.Before(d.readAt) {
		j.read = readMax
	}
	if d.off == "" || len(j.write)+j.read > 0 { // a disk that fails is not tried for acknowledgements alone
		j.acked = d.acked
	}
	if len(j.write)+len(j.acked)+j.read == 0 {
		return nil
	}
	if len(j.acked) > 0 {
		d.acked = nil
	}
	d.job = j
	return j
}

// run does the job. It is the only part that runs in the background.
func (j *job) run(c spool.Config) {
	if j.spool == nil {
		if j.spool, j.err = spool.Open(c); j.err != nil {
			return
		}
	}
	j.records = make([]spool.Record, len(j.write))
	for i, b := range j.write {
		j.records[i] = spool.Record{ID: b.ID, Opened: b.Opened, Count: b.Count, Payload: b.Data}
	}
	j.err = j.spool.Append(j.records)
	j.written = j.err == nil
	j.err = errors.Join(j.err, j.spool.Ack(j.acked...))
	if j.read > 0 {
		j.history, j.readErr = j.spool.Read(j.after, j.read)
	}
	j.newStats = j.spool.Stats()
}

// finishJob applies a job's result and returns the history that it read.
func (d *disk) finishJob(j *job, now time.Time) (history []*delivery) {
	d.job, d.spool, d.stats = nil, j.spool, j.newStats
	if j.written {
		d.unwritten = d.unwritten[len(j.write):]
		for i, b := range j.write {
			b.index = j.records[i].Index
			switch {
			case b.stored: // while it was written
				d.acked = append(d.acked, b.index)
			case b.queued:
				d.claimed[b.index] = b
			}
		}
	}
	d.skipStored()
	if j.read > 0 {
		history = d.claim(j, now)
	}
	if len(j.write) > 0 || j.err != nil { // only a batch that was written proves that the disk works again
		d.setError(j.err, now)
	}
	return history
}

// claim returns the batches that a job read, but for those that are queued or done already.
func (d *disk) claim(j *job, now time.Time) (history []*delivery) {
	if failed := j.readErr != nil; failed != d.readFailed {
		d.readFailed = failed
		if failed {
			d.log.Warn().Err(j.readErr).Msg("spool read failed")
		} else {
			d.log.Info().Msg("spool read recovered")
		}
	}
	for _, r := range j.history {
		d.readAfter = max(d.readAfter, r.Index)
		if d.claimed[r.Index] != nil || slices.Contains(d.acked, r.Index) {
			continue
		}
		b := &delivery{
			Batch:   Batch{ID: r.ID, Opened: r.Opened, Count: r.Count, Data: r.Payload},
			earlier: r.Earlier, index: r.Index, queued: true,
		}
		d.claimed[r.Index] = b
		history = append(history, b)
	}
	d.readAt = time.Time{}
	if len(j.history) == 0 { // batches released meanwhile stand before readAfter: start over
		d.readAfter, d.readAt = 0, now.Add(readRetry)
	}
	return history
}

// close writes what no job wrote, and closes the spool. The background work has ended.
func (d *disk) close() {
	if d.job != nil {
		d.finishJob(d.job, time.Now()) // its event was never handled
	}
	for d.spool != nil && d.off == "" && len(d.unwritten)+len(d.acked) > 0 {
		j := &job{spool: d.spool, write: d.unwritten, acked: d.acked}
		d.acked = nil
		j.run(d.config)
		d.finishJob(j, time.Now())
	}
	if n := len(d.unwritten); n > 0 {
		d.log.Warn().Int("batches", n).Msg("batches lost: neither the disk nor the stream has them")
	}
	if d.spool == nil {
		return
	}
	if err := d.spool.Close(); err != nil {
		d.log.Error().Err(err).Msg("closing the spool failed")
	}
}
