package enroller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// errStranger says that an agent holds credentials that this mesh signed, of which the ledger knows nothing: it joined after the
// backup that the coordinator was restored from.
var errStranger = errors.New("its credentials are not in the ledger")

// otherKey is why an agent is given nothing that comes with another key than its host joined with last.
func (d *Enroller) otherKey(ctx context.Context, host, key string) error {
	gone, err := d.Members.EndedKeys(ctx)
	switch {
	case err != nil:
		return err
	case slices.Contains(gone, key):
		return fmt.Errorf("%s comes with a key that has ended", host)
	}
	return fmt.Errorf("%s: %w", host, errStranger)
}

// forgetStranger is how long one that asks no more is still named: agents ask every hour.
const forgetStranger = 3 * time.Hour

// strangers are the hosts whose agents speak with credentials that the ledger does not know. Operators are told, since such an
// agent counts for nothing, or its credentials will lapse some day, and nothing else says why.
type strangers struct {
	warn func(subject, text string) // may be nil

	mu    sync.Mutex
	heard map[string]time.Time
}

// note takes whether the agent that asked is one.
func (s *strangers) note(now time.Time, host string, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heard, host)
	if stranger {
		s.heard[host] = now
	}
	maps.DeleteFunc(s.heard, func(_ string, at time.Time) bool { return now.Sub(at) > forgetStranger })
	if s.warn == nil {
		return
	}
	text := ""
	if len(s.heard) > 0 {
		text = "agents with credentials that the ledger does not know, as after a restore: " +
			strings.Join(slices.Sorted(maps.Keys(s.heard)), ", ") + "; let each join again: `coordinator invite HOST`"
	}
	s.warn("strangers", text)
}
