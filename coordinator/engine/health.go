package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// judgingWithin is how long the judge may take nothing and still count as judging: five ticks of an idle mesh.
const judgingWithin = 5 * tickIdle

// heard is how far the judge is, for readers outside the loop.
type heard struct {
	sequence uint64
	at       time.Time // the stream's
	tick     time.Time // the stream's, of the last tick
	when     time.Time // this machine's
}

// took notes that the loop is done with a message.
func (e *Engine) took(m message) {
	h := heard{sequence: m.Sequence, at: m.Time, when: time.Now()}
	if before := e.heard.Load(); before != nil {
		h.tick = before.tick
	}
	if m.Kind == bus.Tick || m.Kind == bus.ClockMark {
		h.tick = m.Time
	}
	e.heard.Store(&h)
}

// Judging reports whether the judge keeps up: the replay is over, and what the stream has was taken within the last seconds.
func (e *Engine) Judging() bool {
	h := e.heard.Load()
	return e.Ready() && h != nil && time.Since(h.when) < judgingWithin
}

// How much a stream may refuse in a row before it counts as one that takes nothing: two ticks, or what is tried each second for
// some seconds.
const (
	refusedTicks  = 2
	refusedWrites = 5
)

// refusals counts what a stream refused since it last took something.
type refusals struct{ atomic.Int64 }

func (r *refusals) note(err error) {
	if err == nil {
		r.Store(0)
	} else {
		r.Add(1)
	}
}

// Refused reports whether one of the streams takes nothing any more.
func (e *Engine) Refused() bool {
	return e.refusedTicks.Load() >= refusedTicks || e.refusedWrites.Load() >= refusedWrites
}

// Health returns the coordinator's own health. With an error, the result contains what could be read.
func (e *Engine) Health(ctx context.Context) (mesh.Health, error) {
	out := mesh.Health{Judging: e.Judging(), Warnings: e.Problems()}
	var sequence uint64
	if h := e.heard.Load(); h != nil {
		out.Judged, out.Tick, sequence = h.at, h.tick, h.sequence
	}
	streams, err := e.Streams(ctx)
	if err != nil {
		return out, err
	}
	taken, err := e.View.Sequence(ctx)
	for _, s := range streams {
		switch s.Name {
		case "OBS":
			out.Behind = less(s.Last, sequence)
		case "LEDGER":
			out.ViewBehind = less(s.Last, taken)
		}
	}
	return out, err
}

// less is a-b, or zero where b is past a: the two were read one after the other.
func less(a, b uint64) uint64 { return a - min(a, b) }

// Warn sets the subject's warning, which describes what operators must fix. An empty text clears it. Each change of
// the text is logged once.
func (e *Engine) Warn(subject, text string) {
	switch before := e.setWarning(subject, text); {
	case before == text:
	case text == "":
		e.Logger.Info().Str("subject", subject).Str("was", before).Msg("warning cleared")
	default:
		e.Logger.Warn().Str("subject", subject).Msg(text)
	}
}

func (e *Engine) setWarning(subject, text string) (before string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before = e.warnings[subject]
	if text == "" {
		delete(e.warnings, subject)
	} else {
		e.warnings[subject] = text
	}
	return before
}

// Problems are what operators must mend: the mistakes in the catalog's file, and the warnings.
func (e *Engine) Problems() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := slices.Clone(e.problems)
	for _, subject := range slices.Sorted(maps.Keys(e.warnings)) {
		out = append(out, e.warnings[subject])
	}
	return out
}

// silentNamed is how long an agent is silent before it is named: past a restart of it, and well within a minute.
const silentNamed = 30 * time.Second

// silences remembers which agents were named as silent, so that each silence is told once.
type silences struct {
	first    map[string]time.Time // when it was first looked for
	named    map[string]bool
	enrolled map[string]bool // by key; of others no word is due
}

// enrol notes who has joined.
func (s *silences) enrol(r *mesh.Roster) {
	s.enrolled = map[string]bool{}
	for _, key := range r.Vantages {
		s.enrolled[key] = true
	}
}

// step tells who has been silent for long enough to be named since the last step, who speaks again, and who is silent now.
// A silence counts from the last word, but not from before it was first looked for: this coordinator may have been away itself.
func (s *silences) step(at time.Time, vantages []mesh.VantageState) (fell, spoke, silent []mesh.VantageState) {
	first, named := map[string]time.Time{}, map[string]bool{}
	for _, v := range vantages {
		since, ok := s.first[v.Name]
		if !ok {
			since = at
		}
		first[v.Name] = since
		if v.Heard.After(since) {
			since = v.Heard
		}
		quiet := v.Silent || v.Heard.IsZero() && s.enrolled[mesh.Key(v.Name)]
		switch was := s.named[v.Name]; {
		case quiet && (was || at.Sub(since) >= silentNamed):
			named[v.Name] = true
			silent = append(silent, v)
			if !was {
				fell = append(fell, v)
			}
		case was:
			spoke = append(spoke, v)
		}
	}
	s.first, s.named = first, named
	return fell, spoke, silent
}

// nameSilent names agents that fell silent, and those that speak again, in the log and to operators. The offset is
// mesh time less the wall clock.
func (e *Engine) nameSilent(s *mesh.Snapshot, offset time.Duration) {
	fell, spoke, silent := e.silences.step(s.At, s.Vantages)
	for _, v := range fell {
		e.Logger.Warn().Str("agent", v.Name).Time("heard", v.Heard.Add(-offset)).Msg("an agent is silent")
	}
	for _, v := range spoke {
		e.Logger.Info().Str("agent", v.Name).Msg("an agent speaks again")
	}
	if len(fell) == 0 && len(spoke) == 0 && len(silent) == 0 {
		e.setWarning("silent", "")
		return
	}
	words := make([]string, len(silent))
	for i, v := range silent {
		words[i] = v.Name + " was never heard"
		if !v.Heard.IsZero() {
			words[i] = v.Name + " since " + v.Heard.Add(-offset).UTC().Format("15:04:05Z")
		}
	}
	text := ""
	if len(words) > 0 {
		text = "silent agents: " + strings.Join(words, ", ")
	}
	e.setWarning("silent", text)
}
