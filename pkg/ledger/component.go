package ledger

import "time"

// Component is when a host or a check came into the catalog, by the wall clock. One that is renamed stays the same.
type Component struct {
	Added time.Time `json:"added"`
	// Changed is when a catalog last changed what readers see of it: its name, its place or its audience.
	Changed time.Time `json:"changed"`
}
