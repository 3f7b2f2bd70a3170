package probe

import (
	"context"
	"errors"

	"golang.org/x/sync/semaphore"
)

const (
	// exchangeBytes is the most memory that one HTTP exchange uses: 64 kB of headers, one TLS record in each direction,
	// the windows in which a body is searched, and the stacks of net/http's goroutines.
	exchangeBytes = 160 << 10
	// MemoryMax is the memory of all concurrent exchanges of an agent: 256 of them, 40 MiB. The agent's systemd unit
	// limits the whole program to 128 MiB.
	MemoryMax = 256 * exchangeBytes
)

// errMemory reports that a probe waited for memory until its time was over: the agent's fault, not the target's.
var errMemory = errors.New("not asked: this agent is reading as many answers at once as its memory allows")

// Memory limits the memory that all probes of one program use for responses, so that many servers that send much and
// never finish cannot exhaust it together. It is safe for concurrent use. A nil *Memory is unlimited.
type Memory struct{ free *semaphore.Weighted }

// NewMemory returns a Memory of this many bytes.
func NewMemory(bytes int64) *Memory { return &Memory{semaphore.NewWeighted(bytes)} }

// exchange reserves the memory of one exchange, and waits for it until ctx is done if it must; waited reports whether
// it did. The caller calls release when the exchange is over.
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
