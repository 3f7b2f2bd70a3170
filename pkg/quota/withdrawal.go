package quota

import (
	"time"
)

const (
	// TermMin is how long an agent may not publish the first time that it overspends. Each time after that it is twice as long, to
	// TermMax.
	TermMin = time.Hour
	TermMax = Window
	// forgiven is how long an agent must have kept within its budget for the next term to be the first again.
	forgiven = 7 * 24 * time.Hour
)

// Withdrawal records that an agent may not publish until a time.
type Withdrawal struct {
	Key    string    `json:"key"` // that the agent joined with; another key is not concerned
	Times  int       `json:"times"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Used   int64     `json:"used"`
	Budget int64     `json:"budget"`
	Over   bool      `json:"over,omitempty"` // the term has ended; kept for the length of the next one
}

// Withdraw is the next withdrawal of an agent, after the one before, which may be none.
func Withdraw(before Withdrawal, key string, now time.Time, used, budget int64) Withdrawal {
	times := 1
	if before.Key == key && now.Sub(before.Until) < forgiven {
		times = before.Times + 1
	}
	return Withdrawal{Key: key, Times: times, Since: now, Until: now.Add(Term(times)), Used: used, Budget: budget}
}

// Forgotten reports whether a withdrawal that is over no longer makes the next one longer.
func (w Withdrawal) Forgotten(now time.Time) bool { return w.Over && now.Sub(w.Until) >= forgiven }

// Term is how long the withdrawal is that is an agent's so many times, from 1.
func Term(times int) time.Duration {
	term := TermMin
	for range times - 1 {
		if term >= TermMax {
			break
		}
		term *= 2
	}
	return min(term, TermMax)
}

// Keep is how many of an agent's oldest bytes stay when its excess is removed. What it published before it began to overspend is
// evidence, and the stream is replayed as it was judged; what came last is the excess. Half a budget is more than an agent needs
// that works, and leaves it room when it comes back.
func Keep(budget int64) int64 { return budget / 2 }
