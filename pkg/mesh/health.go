package mesh

import "time"

// Health is how a coordinator itself does, for its operators.
type Health struct {
	Judging    bool      `json:"judging"`            // the judge takes what the stream has
	Judged     time.Time `json:"judged,omitzero"`    // the stream's time of the last message that the judge took
	Tick       time.Time `json:"tick,omitzero"`      // the stream's time of the last tick that it took
	Behind     uint64    `json:"behind"`             // messages of the stream that it has not taken yet
	ViewBehind uint64    `json:"view_behind"`        // events of the ledger that the view has not taken yet
	Warnings   []string  `json:"warnings,omitempty"` // what operators must mend, in words
}
