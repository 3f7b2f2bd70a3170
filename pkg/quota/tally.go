package quota

import (
	"slices"
	"time"
)

// step is the time resolution of a Tally: it counts what an agent published up to one hour before Window too.
const step = time.Hour

const steps = int(Window/step) + 1

// Tally counts the bytes that each agent published in the last Window. It uses some 400 bytes for each agent that was
// ever enrolled. It is not safe for concurrent use.
type Tally struct {
	agents map[string]*[steps]int64 // bytes by hour, a ring: see slot
	hour   int64                    // the latest hour, counted since 1970
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{agents: map[string]*[steps]int64{}} }

// Add counts a message of an agent that the stream received at a time. A time before the latest one counts as that: the
// server's clock may be stepped back.
func (t *Tally) Add(at time.Time, agent string, bytes int64) {
	t.advance(at)
	used := t.agents[agent]
	if used == nil {
		used = &[steps]int64{}
		t.agents[agent] = used
	}
	used[slot(t.hour)] += bytes
}

// Trim lowers the agent's count to this many bytes after its newest messages were removed from the stream.
func (t *Tally) Trim(agent string, to int64) {
	used := t.agents[agent]
	if used == nil {
		return
	}
	excess := t.Used(agent) - to
	for i := int64(0); i < int64(steps) && excess > 0; i++ {
		from := &used[slot(t.hour-i)]
		n := min(*from, excess)
		*from, excess = *from-n, excess-n
	}
}

// Used returns how many bytes the agent published in the last Window.
func (t *Tally) Used(agent string) int64 {
	var sum int64
	if used := t.agents[agent]; used != nil {
		for _, n := range used {
			sum += n
		}
	}
	return sum
}

// Agents returns the agents that were ever counted, sorted.
func (t *Tally) Agents() []string {
	out := make([]string, 0, len(t.agents))
	for agent := range t.agents {
		out = append(out, agent)
	}
	slices.Sort(out)
	return out
}

// advance moves the ring on to the hour of a time, and clears the hours that it enters.
func (t *Tally) advance(at time.Time) {
	hour := at.Unix() / int64(step/time.Second)
	if hour <= t.hour {
		return
	}
	for i := max(t.hour+1, hour-int64(steps)+1); i <= hour; i++ {
		for _, used := range t.agents {
			used[slot(i)] = 0
		}
	}
	t.hour = hour
}

// slot returns an hour's index in the ring, also for hours before 1970.
func slot(hour int64) int { return int(((hour % int64(steps)) + int64(steps)) % int64(steps)) }
