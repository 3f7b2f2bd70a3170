package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// EventKind is what an Event records.
type EventKind string

// The kinds of events.
const (
	Observed    EventKind = "observation" // a vantage reported a probe of the check
	RoundOpened EventKind = "round"       // every other region was asked to probe the host now
	VoteChanged EventKind = "vote"        // a region votes otherwise than before
	Decided     EventKind = "verdict"     // the quorum counted the votes, and something else follows than before
)

// Event is one step on the way to a verdict.
type Event struct {
	At      time.Time    `json:"at"` // when the judge met it
	Kind    EventKind    `json:"kind"`
	Region  string       `json:"region,omitempty"` // or several, if their votes change alike
	Vantage string       `json:"vantage,omitempty"`
	Probe   *Probe       `json:"probe,omitempty"`
	Round   uint64       `json:"round,omitempty"`
	Vote    mesh.Vote    `json:"vote"`
	Why     string       `json:"why,omitempty"`
	Verdict mesh.Verdict `json:"verdict,omitempty"`
	Rule    string       `json:"rule,omitempty"`
	Tally   mesh.Tally   `json:"tally,omitzero"`
	Waiting bool         `json:"waiting,omitempty"` // a round is open
	Text    string       `json:"text"`              // the event in words
}

// Probe is what a vantage reported of the check.
type Probe struct {
	Began   time.Time     `json:"began"`
	Elapsed time.Duration `json:"elapsed"` // from Began to the result, nanoseconds
	RTT     time.Duration `json:"rtt"`     // nanoseconds
	Family  mesh.Family   `json:"family"`
	Outcome mesh.Outcome  `json:"outcome"`
	Stage   mesh.Stage    `json:"stage"`
	Sent    int           `json:"sent"`
	Lost    int           `json:"lost"`
	Reason  string        `json:"reason,omitempty"`
	Address string        `json:"address,omitempty"`
}

// Ended returns when the result was there.
func (p Probe) Ended() time.Time { return p.Began.Add(p.Elapsed) }

// eventsMax bounds the events of one trace.
const eventsMax = 2000

// Tracer steps a judge and records what leads to the verdicts of one check. The times of events are wall time.
type Tracer struct {
	judge       *Judge
	host, check string // the host's key and the check's name
	state       mesh.CheckState
	events      []Event
}

// NewTracer returns a tracer of the check's way from the judge's present state on.
func NewTracer(j *Judge, host, check string) *Tracer {
	t := &Tracer{judge: j, host: host, check: check}
	t.state, _ = t.look()
	return t
}

// Events returns what was recorded, in the order in which the judge met it.
func (t *Tracer) Events() []Event { return t.events }

// Step is Judge.Step.
func (t *Tracer) Step(in Input) Output {
	if in.Batch != nil {
		t.observations(in.Batch, in)
	}
	out := t.judge.Step(in)
	for _, ask := range out.Asks {
		if ask.Host == t.host {
			t.add(in, Event{Kind: RoundOpened, Round: ask.Round,
				Text: fmt.Sprintf("round %d opens: every other region is asked to probe now", ask.Round)})
		}
	}
	if now, ok := t.look(); ok {
		t.compare(in, t.state, now)
		t.state = now
	}
	return out
}

func (t *Tracer) add(in Input, e Event) {
	if e.At = in.At.Add(-in.Offset); len(t.events) < eventsMax {
		t.events = append(t.events, e)
	}
}

func (t *Tracer) look() (mesh.CheckState, bool) {
	if h := t.judge.mesh.byKey[t.host]; h != nil {
		if c := h.check(t.check); c != nil {
			return reporter{t.judge.env, t.judge.mesh}.check(c), true
		}
	}
	return mesh.CheckState{}, false
}

// observations records what a batch reports of the check.
func (t *Tracer) observations(b *mesh.Batch, in Input) {
	v := t.judge.mesh.senders[b.Agent]
	if v == nil || b.History() {
		return
	}
	names := t.judge.mesh.names.of(b.Revision)
	for i := range b.Observations {
		o := b.Observations[i]
		if at := names.target(&o); at.host != t.host || at.check != t.check {
			continue
		}
		o.Began = o.Began.Add(-in.Offset)
		t.add(in, Event{
			Kind: Observed, Region: v.region, Vantage: v.key, Round: o.Round, Probe: &Probe{
				Began: o.Began, Elapsed: o.Elapsed, RTT: o.RTT, Family: o.Family, Outcome: o.Outcome, Stage: o.Stage,
				Sent: o.Sent, Lost: o.Lost, Reason: o.Reason, Address: o.Address,
			},
			Text: t.judge.mesh.byKey[v.key].config.Name + describeProbe(o),
		})
	}
}

// describeProbe completes "nc036".
func describeProbe(o mesh.Observation) string {
	began := " probed at " + o.Began.UTC().Format("15:04:05.000")
	if o.Round > 0 {
		began += fmt.Sprintf(" for round %d", o.Round)
	}
	switch {
	case o.Stage == mesh.Missed && o.Reason != "":
		return began + ": the first probe failed: " + o.Reason + "; it probes again"
	case o.Stage == mesh.Missed:
		return began + ": no answer to the first probe yet; it probes again"
	case o.Outcome == mesh.Inconclusive:
		return began + ": inconclusive: " + o.Reason
	case o.Outcome == mesh.Unreachable:
		return began + fmt.Sprintf(": unreachable after %s in %s: %s", mesh.Count(o.Sent, "probe"),
			mesh.Span(o.Elapsed), o.Reason)
	case o.Outcome == mesh.Slow:
		return began + ": slow, " + mesh.Span(o.RTT)
	}
	return began + ": reachable in " + mesh.Span(o.RTT)
}

// compare records which votes changed, and what the quorum makes of them.
func (t *Tracer) compare(in Input, was, now mesh.CheckState) {
	before := map[string]mesh.Vote{}
	for _, v := range was.Votes {
		before[v.Region] = v.Vote
	}
	first := len(t.events)
	for _, v := range now.Votes {
		if old, known := before[v.Region]; known && old == v.Vote {
			continue
		}
		// Regions that change alike at once, as when a round opens, are one event.
		same := func(e Event) bool { return e.Kind == VoteChanged && e.Vote == v.Vote && e.Why == v.Why }
		if i := slices.IndexFunc(t.events[first:], same); i >= 0 && !v.Own {
			t.events[first+i].Region += ", " + v.Region
			continue
		}
		t.add(in, Event{Kind: VoteChanged, Region: v.Region, Vote: v.Vote, Why: v.Why})
	}
	for i := range t.events[first:] {
		e := &t.events[first+i]
		if e.Text = e.Region + ": " + e.Vote.String(); e.Why != "" {
			e.Text += ", " + e.Why
		}
	}
	if was.Verdict == now.Verdict && was.Rule == now.Rule && was.RoundOpen == now.RoundOpen && was.Tally == now.Tally {
		return
	}
	text := fmt.Sprintf("%d of %s vote bad, %d ok: %s", now.Tally.Bad, mesh.Count(now.Tally.Regions, "region"),
		now.Tally.OK, now.Verdict)
	switch {
	case was.Verdict != now.Verdict:
		text = fmt.Sprintf("%s, published: %s becomes %s", text, was.Verdict, now.Verdict)
	case was.RoundOpen && !now.RoundOpen:
		text += ", the round is closed"
	case now.RoundOpen && was.Tally == now.Tally && was.Rule == now.Rule: // nothing is counted yet
		text = fmt.Sprintf("%s stands while the round is open; the last count was %d of %s bad, %d ok", now.Verdict,
			now.Tally.Bad, mesh.Count(now.Tally.Regions, "region"), now.Tally.OK)
	case now.RoundOpen:
		text += ", the round is open"
	}
	t.add(in, Event{
		Kind: Decided, Verdict: now.Verdict, Rule: now.Rule, Tally: now.Tally, Waiting: now.RoundOpen, Text: text,
	})
}
