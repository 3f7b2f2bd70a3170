package spool

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func machineClock() Clock {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(boot) == 0 {
		return processClock()
	}
	return Clock{Boot: string(boot), Uptime: func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // every Linux that Go supports has it
		return time.Duration(t.Nano())
	}}
}
