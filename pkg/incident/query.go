package incident

import "time"

// Query selects incidents, newest first.
type Query struct {
	Since         time.Time // those that are open or were resolved since
	From, Until   time.Time // those that were opened from the one time on, and before the other; zero: no bound
	Limit, Offset int       // at most Limit, after the first Offset
	// Public selects what the public may see, of the hosts with these keys: those that are public.
	Public bool
	Hosts  []string
}
