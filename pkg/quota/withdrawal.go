package quota

import "time"

const (
	// TermMin is the term of an agent's first withdrawal. Each further withdrawal doubles the term, up to TermMax: a
	// fault that is mended within the hour costs little, and one that is not stops filling the stream.
	TermMin = time.Hour
	TermMax = Window
	// forgivenAfter is how long an agent must stay within its budget before its next term is TermMin again.
	forgivenAfter = 7 * 24 * time.Hour
)

// Withdrawal records that an agent may not publish until a time.
type Withdrawal struct {
	Key    string    `json:"key"`   // with which the agent joined; no other key is affected
	Times  int       `json:"times"` // how often this key was withdrawn without being forgiven
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Used   int64     `json:"used"`           // bytes in Window when it was withdrawn
	Budget int64     `json:"budget"`         // bytes
	Ended  bool      `json:"over,omitempty"` // the term has ended; stored because it decides the next one's length
}

// Withdraw returns an agent's next withdrawal. before is its previous one, or zero.
func Withdraw(before Withdrawal, key string, now time.Time, used, budget int64) Withdrawal {
	times := 1
	if before.Key == key && now.Sub(before.Until) < forgivenAfter {
		times = before.Times + 1
	}
	return Withdrawal{Key: key, Times: times, Since: now, Until: now.Add(Term(times)), Used: used, Budget: budget}
}

// Forgiven reports whether a withdrawal that has ended no longer makes the next one longer.
func (w Withdrawal) Forgiven(now time.Time) bool { return w.Ended && now.Sub(w.Until) >= forgivenAfter }

// Term returns the length of an agent's nth withdrawal, counted from 1.
func Term(times int) time.Duration {
	term := TermMin
	for range times - 1 {
		if term >= TermMax { // times may be large enough to overflow
			break
		}
		term *= 2
	}
	return min(term, TermMax)
}

// Retained returns how many of an agent's oldest bytes stay in the stream when its excess is removed. What the agent
// published before it exceeded its budget is evidence, which replays must find; the newest bytes are the excess. Half a
// budget is more than a working agent uses, and leaves it room when it may publish again.
func Retained(budget int64) int64 { return budget / 2 }
