package probe

import (
	"context"
	"errors"

	"golang.org/x/sync/semaphore"
)

const (
	// exchangeBytes is what one HTTP exchange may hold in memory: 64 kB of headers, a record of TLS in each direction,
	// the windows that a body is searched in, and the stacks of net/http's goroutines.
	exchangeBytes = 160 << 10
	// MemoryMax is how much all exchanges of an agent may hold at once: 256 of them. Its unit allows 128 MiB in all.
	MemoryMax = 256 * exchangeBytes
)

// errMemory says that a probe did not get memory for an answer before its time was over: our fault, not the host's.
var errMemory = errors.New("not asked: this agent is reading as many answers at once as its memory allows")

// Memory is what all probes of one program may hold in memory of the answers they read, so that servers which send
// much and finish nothing cannot exhaust it together. It is safe for concurrent use. A nil *Memory is unbounded.
type Memory struct{ free *semaphore.Weighted }

// NewMemory bounds it to so many bytes.
func NewMemory(bytes int64) *Memory { return &Memory{semaphore.NewWeighted(bytes)} }

// exchange waits for the memory of one exchange until ctx is done, and reports whether it had to. The caller calls
// release when the exchange is over.
func (m *Memory) exchange(ctx context.Context) (release func(), waited bool, err error) {
	switch {
	case m == nil:
		return func() {}, false, nil
	case m.free.TryAcquire(exchangeBytes):
	case m.free.Acquire(ctx, exchangeBytes) != nil:
		return nil, true, errMemory
	default:
		waited = true
	}
	return func() { m.free.Release(exchangeBytes) }, waited, nil
}
