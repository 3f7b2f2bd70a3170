package main

import (
	"os"
	"runtime"
)

// limitProcs has the agent run on one processor at a time, unless $GOMAXPROCS is set. All its work fits into a
// hundredth of one. With more, the Go scheduler wakes threads that look for work and find none, which was a sixth of
// the CPU time of an agent at rest.
func limitProcs() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
