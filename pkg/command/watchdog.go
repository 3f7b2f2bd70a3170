package command

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog reports to systemd that the program's main loop is running: the first call of Alive reports that the service
// is ready, later ones that it is alive, once in each third of the unit's WatchdogSec. If systemd did not start the
// program it reports nothing. Only one goroutine, the loop's, may use it.
type Watchdog struct {
	ready bool
	every time.Duration // zero: the unit has no WatchdogSec
	next  time.Time
}

// watchdogShare is how many reports fit into WatchdogSec: with three, one or two may be late without a restart.
const watchdogShare = 3

// NewWatchdog reads the unit's WatchdogSec from the environment.
func NewWatchdog() *Watchdog {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		limit = 0 // the variable is not a number, or it is another process's: nobody waits for a report
	}
	return &Watchdog{every: limit / watchdogShare}
}

// Alive is called on every turn of the loop. It ignores a report that cannot be sent: systemd decides what its absence
// means.
func (w *Watchdog) Alive(now time.Time) {
	if !w.ready {
		w.ready, w.next = true, now.Add(w.every)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		return
	}
	if w.every > 0 && !now.Before(w.next) {
		w.next = now.Add(w.every)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
	}
}
