package main

import (
	"os"
	"runtime"
)

// limitProcs has the agent run on one processor at a time, unless $GOMAXPROCS says otherwise. All its work fits into a hundredth of
// one; with more, Go wakes threads that look for work and find none, which was a sixth of what an agent at rest took.
func limitProcs() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
