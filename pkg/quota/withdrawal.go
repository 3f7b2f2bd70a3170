package quota

import (
	"time"
)

const (
	// TermMin is the term of an agent's first withdrawal. Each further withdrawal doubles the term, up to TermMax.
	TermMin = time.Hour
	TermMax = Window
	// forgiven is how long an agent must have kept within its budget for the next term to be the first again.
	forgiven = 7 * 24 * time.Hour
)

// Withdrawal records that an agent may not publish until a time.
type Withdrawal struct {
	Key    string    `json:"key"` // that the agent joined with; no other key is affected
	Times  int       `json:"times"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Used   int64     `json:"used"`
	Budget int64     `json:"budget"`
	Ended  bool      `json:"over,omitempty"` // the term has ended; kept for the length of the next one
}

// Withdraw returns an agent's next withdrawal. before is its previous one, or zero.
func Withdraw(before Withdrawal, key string, now time.Time, used, budget int64) Withdrawal {
	times := 1
	if before.Key == key && now.Sub(before.Until) < forgiven {
		times = before.Times + 1
	}
	return Withdrawal{Key: key, Times: times, Since: now, Until: now.Add(Term(times)), Used: used, Budget: budget}
}

// Forgiven reports whether a withdrawal that is over no longer makes the next one longer.
func (w Withdrawal) Forgiven(now time.Time) bool { return w.Ended && now.Sub(w.Until) >= forgiven }

// Term returns the length of an agent's nth withdrawal, counted from 1.
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

// Retained returns how many of an agent's oldest bytes stay when its excess is removed. What it published before it
// overspent is evidence, and replays must read it as it was judged; the newest bytes are the excess. Half a budget is
// more than a working agent needs, and leaves it room when it may publish again.
func Retained(budget int64) int64 { return budget / 2 }
