package spool

import (
	"hash/fnv"
	"time"
)

// Clock tells how old a record is without the wall clock, as long as the machine is not started anew.
type Clock struct {
	Boot   string               // differs each time the machine is started
	Uptime func() time.Duration // since then, times of sleep included
}

// processClock is the clock of a machine that does not tell when it was started: another process is another boot.
func processClock() Clock {
	began := time.Now()
	return Clock{Boot: began.String(), Uptime: func() time.Duration { return time.Since(began) }}
}

// boot is the boot as a number.
func (c Clock) boot() uint64 {
	h := fnv.New64a()
	h.Write([]byte(c.Boot))
	return h.Sum64()
}

// opened is when a record was opened, as this process tells time, and whether only the wall clock could tell. A wall
// clock that is wrong by as much as it was does no harm.
func (c Clock) opened(h header, now time.Time) (at time.Time, reckoned bool) {
	age := c.Uptime() - time.Duration(h.uptime)
	if h.boot != c.boot() {
		age, reckoned = now.Round(0).Sub(time.UnixMicro(h.wall)), true
	}
	return now.Add(-max(age, 0)), reckoned
}
