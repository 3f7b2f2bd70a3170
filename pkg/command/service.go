package command

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog tells systemd that the loop which must not hang still turns: the first turn says that the service is ready, and
// one in every third of the unit's WatchdogSec that it lives. Where systemd did not start the program nothing is told. It
// belongs to the loop that calls it.
type Watchdog struct {
	ready bool
	every time.Duration // zero: the unit asks for none
	next  time.Time
}

// share of the unit's WatchdogSec between two words, so that one may be late.
const watchdogShare = 3

// NewWatchdog reads what the unit asks for from the environment.
func NewWatchdog() *Watchdog {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		limit = 0 // a variable that is no number, or of another process: nobody waits for a word
	}
	return &Watchdog{every: limit / watchdogShare}
}

// Turn is called in every turn of the loop. A word that does not arrive is no reason to stop: systemd decides.
func (w *Watchdog) Turn(now time.Time) {
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
