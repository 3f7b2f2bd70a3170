package ledger

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// Change is what a catalog changed when it came into force.
type Change struct {
	At       time.Time        `json:"at"` // by the wall clock
	Revision string           `json:"revision"`
	Source   string           `json:"source"` // the file, or who applied it
	Changes  []catalog.Change `json:"changes"`
}
