package spool

import (
	"hash/fnv"
	"time"
)

// Clock measures how old a record is without the wall clock, which may be set, as long as the machine is not restarted.
type Clock struct {
	Boot   string               // differs after each start of the machine
	Uptime func() time.Duration // since the start, including times of sleep
}

// processClock is for machines that cannot report when they were started: each process counts as another start.
func processClock() Clock {
	began := time.Now()
	return Clock{Boot: began.String(), Uptime: func() time.Duration { return time.Since(began) }}
}

// boot returns Boot as a number.
func (c Clock) boot() uint64 {
	h := fnv.New64a()
	h.Write([]byte(c.Boot))
	return h.Sum64()
}

// opened returns when a record was opened, by this process's clock, and whether that relies on the wall clock because
// the machine was restarted. Only the difference of the wall clock's readings counts, so one that is always wrong by
// the same does no harm.
func (c Clock) opened(h header, now time.Time) (at time.Time, byWallClock bool) {
	age := c.Uptime() - time.Duration(h.uptime)
	if h.boot != c.boot() {
		age, byWallClock = now.Round(0).Sub(time.UnixMicro(h.wall)), true
	}
	return now.Add(-max(age, 0)), byWallClock
}
