package ledger

import (
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
)

// Agent is the membership of a host's agent: the key that it joined with last.
type Agent struct {
	Name      string // by which NATS knows it: what its host was called when it joined
	HostID    string // of its host; may be empty
	PublicKey string
	// Next is the name that the agent may connect by instead, since its host was renamed; empty if there is none. Its
	// credentials with that name, and with Name once it has that, are issued after the second Since of the wall clock,
	// in seconds since 1970, and those with former names before. Zero: it never had another name.
	Next     string
	Since    int64
	Enrolled time.Time // mesh time
	Revoked  time.Time // mesh time; zero while the key is valid
}

// ErrNoAgent means that no agent of the host ever joined.
var ErrNoAgent = errkind.New(errkind.NotFound, "no agent of that host ever joined")
