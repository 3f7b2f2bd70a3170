package quota

import (
	"slices"
	"time"
)

// step is the time resolution of a Tally: an agent is charged for at most one hour more than Window.
const step = time.Hour

const steps = int(Window/step) + 1

// Tally counts the bytes that each agent published in the last Window. It holds some 400 bytes an agent, and there are no more
// agents than were ever enrolled. It is not safe for concurrent use.
type Tally struct {
	agents map[string]*[steps]int64 // bytes by hour, at the hour's number modulo steps
	hour   int64                    // the latest, since 1970
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{agents: map[string]*[steps]int64{}} }

// Add charges an agent for a message that the stream received at the time. A time before the latest counts as the latest.
func (t *Tally) Add(at time.Time, agent string, bytes int64) {
	t.advance(at)
	used := t.agents[agent]
	if used == nil {
		used = &[steps]int64{}
		t.agents[agent] = used
	}
	used[slot(t.hour)] += bytes
}

// Trim lowers the agent's count to this many bytes, the newest first, which is what was removed from the stream.
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

// Agents lists the agents that published something, by name.
func (t *Tally) Agents() []string {
	out := make([]string, 0, len(t.agents))
	for agent := range t.agents {
		out = append(out, agent)
	}
	slices.Sort(out)
	return out
}

// advance drops the counts that are older than Window.
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

func slot(hour int64) int { return int(((hour % int64(steps)) + int64(steps)) % int64(steps)) }
