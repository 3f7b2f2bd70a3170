// Package health watches the mesh itself: it collects the warnings that operators must act on, notices silent agents,
// and measures how far the judge and the ledger's view are behind their streams.
package health

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
)

// judgingWithin is how long the engine may process nothing and still count as judging: five ticks of an idle mesh.
const judgingWithin = 10 * time.Second

// Progress is how far the engine has processed the stream of observations.
type Progress struct {
	Ready     bool      // the replay at start is over
	Sequence  uint64    // of the last message
	At        time.Time // the stream's time of the last message
	Tick      time.Time // the stream's time of the last tick
	Processed time.Time // when the last message was processed, by this machine's clock; zero: none yet
}

// Report is a coordinator's own health, for its operators.
type Report struct {
	Judging    bool      `json:"judging"`            // the judge keeps up with the stream
	Judged     time.Time `json:"judged,omitzero"`    // the stream's time of the last message that was judged
	Tick       time.Time `json:"tick,omitzero"`      // the stream's time of the last tick that was judged
	Behind     uint64    `json:"behind"`             // messages of the stream that are not judged yet
	ViewBehind uint64    `json:"view_behind"`        // events of the ledger that the view has not applied yet
	Warnings   []string  `json:"warnings,omitempty"` // what operators must fix
}

// Config configures a Checker.
type Config struct {
	Warnings     *Warnings
	Progress     func() Progress
	Streams      func(ctx context.Context) ([]bus.StreamInfo, error)
	ViewSequence func(ctx context.Context) (uint64, error) // the ledger's sequence that the view has reached
}

// Checker measures a coordinator's health. It is safe for concurrent use.
type Checker struct{ config Config }

// New makes a Checker.
func New(c Config) *Checker { return &Checker{c} }

// Judging reports whether the judge keeps up: the replay is over, and messages were processed within the last seconds.
func (c *Checker) Judging() bool { return judging(c.config.Progress()) }

func judging(p Progress) bool { return p.Ready && time.Since(p.Processed) < judgingWithin }

// Problems lists what operators must fix.
func (c *Checker) Problems() []string { return c.config.Warnings.List() }

// Streams returns the sizes of the streams.
func (c *Checker) Streams(ctx context.Context) ([]bus.StreamInfo, error) {
	return c.config.Streams(ctx)
}

// Report measures everything. With an error, the report contains what could be measured.
func (c *Checker) Report(ctx context.Context) (Report, error) {
	p := c.config.Progress()
	out := Report{Judging: judging(p), Judged: p.At, Tick: p.Tick, Warnings: c.Problems()}
	streams, err := c.config.Streams(ctx)
	if err != nil {
		return out, err
	}
	applied, err := c.config.ViewSequence(ctx)
	for _, s := range streams {
		switch s.Name {
		case "OBS":
			out.Behind = behind(s.Last, p.Sequence)
		case "LEDGER":
			out.ViewBehind = behind(s.Last, applied)
		}
	}
	return out, err
}

// behind returns last-processed. It is zero if processed is larger: the two are not read at the same moment.
func behind(last, processed uint64) uint64 { return last - min(last, processed) }
