package ledger

import (
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
)

// Agent is the membership of a host's agent: the key that it joined with last.
type Agent struct {
	PublicKey string
	Enrolled  time.Time // mesh time
	Revoked   time.Time // mesh time; zero while the key is valid
}

// ErrNoAgent means that no agent of the host ever joined.
var ErrNoAgent = errkind.New(errkind.NotFound, "no agent of that host ever joined")
