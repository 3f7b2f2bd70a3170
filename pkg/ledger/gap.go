package ledger

import (
	"fmt"
	"time"
)

// Gap is a range of a stream's messages that were stored and are gone, because the stream's files were damaged.
type Gap struct {
	Stream      string `json:"stream"`
	First, Last uint64 // sequences
	// The wall times of the messages around it. After is zero if nothing older is left.
	After, Before time.Time
	// Tail means that the stream ended with the lost messages: later ones got their sequences again.
	Tail bool
}

// Messages is how many messages the gap has at most.
func (g Gap) Messages() uint64 { return g.Last - g.First + 1 }

// Overlaps reports whether the gap may hide what happened between two wall times.
func (g Gap) Overlaps(from, to time.Time) bool { return g.After.Before(to) && g.Before.After(from) }

// String describes the gap for operators.
func (g Gap) String() string {
	const layout = "2006-01-02 15:04:05Z"
	span := "from before " + g.Before.UTC().Format(layout)
	if !g.After.IsZero() {
		span = "between " + g.After.UTC().Format(layout) + " and " + g.Before.UTC().Format(layout)
	}
	count := "1 message"
	switch n := g.Messages(); {
	case g.Tail:
		count = "its end"
	case n > 1:
		count = fmt.Sprintf("%d messages", n)
	}
	return fmt.Sprintf("stream %s lost %s, %s (sequence %d to %d)", g.Stream, count, span, g.First, g.Last)
}
