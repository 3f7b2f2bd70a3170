package vantage

import (
	"errors"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/spool"
)

const (
	memoryMax = 1000             // batches kept in memory while the disk is away: some megabytes, or half an hour of a ten-host mesh
	diskRetry = 10 * time.Second // until the disk is tried again
	writeMax  = 64               // batches written at once
	readRetry = time.Second      // after a read that found nothing
	readMax   = 32               // batches of history read at once: more than two seconds of it
)

// disk is the spool as the loop sees it. One job at a time works on it beside the loop, since a disk may take its time and a
// look must not wait for it.
type disk struct {
	unwritten  []*delivery // not on the disk, oldest first; those of the job first of all
	acked      []uint64    // the stream has them, and the spool does not know yet
	after      uint64      // what follows in the spool was not read, or is in hand
	job        *job
	stats      spool.Stats
	off        string    // why observations do not get onto the disk; empty: they do
	retryAt    time.Time // of writing to a disk that is off
	readAt     time.Time // of reading, after a read that found nothing
	unreadable bool      // the latest read failed
	spool      *spool.Spool
}

// job is some work on the spool, and what came of it.
type job struct {
	spool    *spool.Spool
	write    []*delivery
	acked    []uint64
	after    uint64
	read     int // records at most
	records  []spool.Record
	history  []spool.Record
	err      error // of writing
	readErr  error
	stats    spool.Stats
	finished bool
}

func (d *disk) busy() bool { return d.job != nil }

// openDisk opens the spool. That another agent has it is an error; where the disk cannot be used the agent works without.
func (v *vantage) openDisk() error {
	if v.Spool.Dir == "" {
		return nil
	}
	s, err := spool.Open(v.Spool)
	if errors.Is(err, spool.ErrLocked) {
		return err
	}
	v.disk.spool = s
	v.diskIs(err)
	if err == nil {
		v.disk.stats = s.Stats()
		if n := v.disk.stats.Damaged; n > 0 {
			v.Logger.Error().Uint64("records", n).Msg("records of the spool are damaged and lost")
		}
	}
	return nil
}

// diskIs notes that the disk works, or why not, and says so when that changes.
func (v *vantage) diskIs(err error) {
	was := v.disk.off
	v.disk.off = ""
	if err != nil {
		v.disk.off, v.disk.retryAt = err.Error(), time.Now().Add(diskRetry)
	}
	switch {
	case was == "" && err != nil:
		v.Logger.Error().Err(err).Msg("observations do not get onto the disk: they are kept in memory, as far as they fit")
	case was != "" && err == nil:
		v.Logger.Info().Msg("observations get onto the disk again")
	}
}

// off reports whether observations wait in memory, for want of a disk.
func (v *vantage) off() bool { return v.disk.spool == nil || v.disk.off != "" }

// keep has a batch written to the disk. Where memory is full, the oldest that is not in hand goes.
func (v *vantage) keep(d *delivery) {
	v.disk.unwritten = append(v.disk.unwritten, d)
	if len(v.disk.unwritten) <= memoryMax {
		return
	}
	writing := 0
	if v.disk.job != nil {
		writing = len(v.disk.job.write)
	}
	for i, old := range v.disk.unwritten[writing:] {
		if !old.inHand {
			v.dropped += uint64(old.count)
			v.disk.unwritten = slices.Delete(v.disk.unwritten, writing+i, writing+i+1)
			return
		}
	}
}

// forget leaves out what need not be written, since the stream has it already.
func (d *disk) forget() {
	if d.job == nil {
		d.unwritten = slices.DeleteFunc(d.unwritten, func(w *delivery) bool { return w.stored })
	}
}

// unread reports whether there is history on the disk that is not in hand.
func (v *vantage) unread() bool {
	return v.disk.spool != nil && v.disk.stats.Records > len(v.out.held)+len(v.disk.acked)
}

// diskAt is when the disk is tried again; zero: never.
func (v *vantage) diskAt() (at time.Time) {
	d := &v.disk
	if d.job != nil {
		return at
	}
	if d.off != "" && len(d.unwritten) > 0 {
		at = d.retryAt
	}
	if _, connected := v.Bus.Connected(); connected && v.unread() && !d.readAt.IsZero() {
		at = soonest(at, d.readAt)
	}
	return at
}

// work begins a job when there is something to do.
func (v *vantage) work(now time.Time) {
	if v.disk.job != nil || v.Spool.Dir == "" {
		return
	}
	j := &job{spool: v.disk.spool, after: v.disk.after}
	if len(v.disk.unwritten) > 0 && (v.disk.off == "" || !now.Before(v.disk.retryAt)) {
		j.write = v.disk.unwritten[:min(len(v.disk.unwritten), writeMax)]
	}
	if v.wantsHistory(now) {
		j.read = readMax
	}
	if v.disk.off == "" || len(j.write)+j.read > 0 {
		j.acked = v.disk.acked
	}
	if len(j.write)+len(j.acked)+j.read > 0 {
		v.beginJob(j)
	}
}

// wantsHistory reports whether the next history should be read from the disk.
func (v *vantage) wantsHistory(now time.Time) bool {
	_, connected := v.Bus.Connected()
	return connected && len(v.out.history) == 0 && v.unread() && v.mayTell(now) && !now.Before(v.disk.readAt)
}

func (v *vantage) beginJob(j *job) {
	v.disk.job = j
	if len(j.acked) > 0 {
		v.disk.acked = nil
	}
	v.tasks.Go(func() {
		j.run(v.Spool)
		v.report(func() { v.worked(j) })
	})
}

func (j *job) run(c spool.Config) {
	if j.spool == nil {
		if j.spool, j.err = spool.Open(c); j.err != nil {
			return
		}
	}
	j.records = make([]spool.Record, len(j.write))
	for i, d := range j.write {
		j.records[i] = spool.Record{ID: d.id, Opened: d.opened, Count: d.count, Payload: d.data}
	}
	j.err = j.spool.Append(j.records)
	j.finished = j.err == nil
	j.err = errors.Join(j.err, j.spool.Ack(j.acked...))
	if j.read > 0 {
		j.history, j.readErr = j.spool.Read(j.after, j.read)
	}
	j.stats = j.spool.Stats()
}

// worked takes what came of a job.
func (v *vantage) worked(j *job) {
	d := &v.disk
	d.job, d.spool, d.stats = nil, j.spool, j.stats
	if j.finished {
		d.unwritten = d.unwritten[len(j.write):]
		for i, w := range j.write {
			v.written(w, j.records[i].Index)
		}
	}
	d.forget()
	if j.read > 0 {
		v.takeHistory(j)
	}
	if len(j.write) > 0 || j.err != nil { // a disk that is off is on again when it takes a batch
		v.diskIs(j.err)
	}
}

// written notes where on the disk a batch is.
func (v *vantage) written(w *delivery, index uint64) {
	w.index = index
	switch {
	case w.stored:
		v.disk.acked = append(v.disk.acked, index)
	case w.inHand:
		v.out.held[index] = w
	}
}

// takeHistory takes what was read, unless it is in hand.
func (v *vantage) takeHistory(j *job) {
	d := &v.disk
	if failed := j.readErr != nil; failed != d.unreadable {
		d.unreadable = failed
		v.Logger.Warn().Err(j.readErr).Bool("failed", failed).Msg("reading the spool")
	}
	for _, r := range j.history {
		d.after = max(d.after, r.Index)
		if v.out.held[r.Index] != nil || slices.Contains(d.acked, r.Index) {
			continue
		}
		h := &delivery{
			id: r.ID, opened: r.Opened, earlier: r.Earlier, data: r.Payload, count: r.Count, index: r.Index, inHand: true,
		}
		v.out.held[r.Index] = h
		v.out.history = append(v.out.history, h)
	}
	d.readAt = time.Time{}
	if len(j.history) == 0 {
		d.after, d.readAt = 0, time.Now().Add(readRetry) // what was released since is looked for from the beginning
	}
}

// leaveDisk writes what no job got to, and gives the spool back. No job is under way any more.
func (v *vantage) leaveDisk() {
	d := &v.disk
	if d.job != nil {
		v.worked(d.job) // nobody was there to hear of it
	}
	for d.spool != nil && d.off == "" && len(d.unwritten)+len(d.acked) > 0 {
		j := &job{spool: d.spool, write: d.unwritten, acked: d.acked}
		d.acked = nil
		j.run(v.Spool)
		v.worked(j)
	}
	if n := len(d.unwritten); n > 0 {
		v.Logger.Warn().Int("batches", n).Msg("the agent ends with batches that neither the disk nor the stream has")
	}
	if d.spool == nil {
		return
	}
	if err := d.spool.Close(); err != nil {
		v.Logger.Error().Err(err).Msg("the spool could not be closed")
	}
}

// waits is how many batches wait for the stream.
func (v *vantage) waits() int {
	return max(v.disk.stats.Records-len(v.disk.acked), 0) + len(v.disk.unwritten)
}

// lost is how many observations were dropped since the agent began.
func (v *vantage) lost() uint64 { return v.dropped + v.disk.stats.Dropped }
