package enroller

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// errUnknownAgent reports that an agent has credentials that this mesh signed and the ledger does not know: it joined
// after the backup that the coordinator was restored from.
var errUnknownAgent = errors.New("the ledger does not know its credentials")

// forgetUnknown is how long an agent is reported that no longer asks. Agents ask every hour.
const forgetUnknown = 3 * time.Hour

// unknownAgents are the hosts whose agents ask with credentials that the ledger does not know. Nothing else would tell
// an operator why such an agent's batches are ignored, or why its credentials expire.
type unknownAgents struct {
	warn     func(subject, text string) // may be nil
	hostName func(key string) string    // as the catalog spells it

	mu       sync.Mutex
	lastSeen map[string]time.Time // by the key of the host
}

// record records whether the agent that asked is unknown, and updates the warning.
func (u *unknownAgents) record(now time.Time, host string, unknown bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lastSeen, host)
	if unknown {
		u.lastSeen[host] = now
	}
	maps.DeleteFunc(u.lastSeen, func(_ string, at time.Time) bool { return now.Sub(at) > forgetUnknown })
	if u.warn == nil {
		return
	}
	text := ""
	if len(u.lastSeen) > 0 {
		names := slices.Sorted(maps.Keys(u.lastSeen))
		for i, key := range names {
			names[i] = u.hostName(key)
		}
		text = "agents with credentials that the ledger does not know, as after a restore: " +
			strings.Join(names, ", ") + "; let each join again: `coordinator invite HOST`"
	}
	u.warn("unknown agents", text)
}
