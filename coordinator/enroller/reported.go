package enroller

import (
	"maps"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// Credential describes an agent's credential, as the agent reported it when it last asked for a new one. Agents ask
// at each connection and about once an hour. Times are of the wall clock.
type Credential struct {
	Asked        time.Time
	Issued, Ends time.Time // zero if the agent is too old to say so
}

// reportedCredentials are those of the agents that asked since this process started, by the names that NATS knows them
// by. It is safe for concurrent use.
type reportedCredentials struct {
	mu     sync.Mutex
	byName map[string]Credential
}

// record stores the credential that an agent reported. Only agents of the mesh are recorded, so only after renames can
// there be more of them than hosts: then the one that asked longest ago is removed.
func (r *reportedCredentials) record(name string, c Credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]Credential{}
	}
	if r.byName[name] = c; len(r.byName) <= catalog.HostsMax {
		return
	}
	oldest := name
	for other, c := range r.byName {
		if c.Asked.Before(r.byName[oldest].Asked) {
			oldest = other
		}
	}
	delete(r.byName, oldest)
}

// Credentials returns what agents said of their credentials since this process started, by the names that NATS knows
// them by: the keys of their hosts, or those of before a rename. An agent is there if it asked and belongs.
func (e *Enroller) Credentials() map[string]Credential {
	e.reported.mu.Lock()
	defer e.reported.mu.Unlock()
	return maps.Clone(e.reported.byName)
}
