package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
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

// causeLead is how long before the cause the steps begin: the round whose answers were the first failures may have
// opened just before them.
const causeLead = 500 * time.Millisecond

// shownByVotes are the rules of verdicts that votes show, rather than a verdict before.
var shownByVotes = []string{
	quorum.MostBad, quorum.SomeBad, quorum.MostOK, quorum.TwoRegionsOK, quorum.TwoRegionsBad,
}

// StepsBegin returns from when on the events of a trace explain the verdict whose cause began at a time. A verdict that
// became unknown has no probe as its cause: its steps begin with the first vote that was lost since votes last showed a
// verdict.
func StepsBegin(began time.Time, events []Event) time.Time {
	begin := began.Add(-causeLead)
	last := len(events) - 1
	for last >= 0 && events[last].Kind != Decided { // a round may open with the verdict
		last--
	}
	if last < 0 || events[last].Verdict != mesh.Unknown {
		return begin
	}
	for i := last - 1; i >= 0; i-- {
		e := events[i]
		if e.Kind == Decided && slices.Contains(shownByVotes, e.Rule) {
			break
		}
		if e.Kind == VoteChanged && e.At.Before(begin) {
			begin = e.At
		}
	}
	return begin
}

// DrawnFrom returns from when on a drawing of a trace shows probes: as long before the cause as the change took after
// it, but at most a minute, so that one sees what worked before and the rest is not crowded; earlier if the steps begin
// earlier.
func DrawnFrom(began, published time.Time, events []Event) time.Time {
	from := began.Add(-min(max(published.Sub(began), time.Second), time.Minute))
	if begin := StepsBegin(began, events); begin.Before(from) {
		return begin
	}
	return from
}

// Tracer steps a judge and records what leads to the verdicts of one check. The times of events are wall time.
type Tracer struct {
	judge       *Judge
	of          mesh.Transition
	host, check string // the host's key and the check's name, in the catalog in force
	before      moment
	events      []Event
	missed      map[edgeName]time.Time // when the probe began whose first miss came last
}

// edgeName is one vantage's view of the traced check through one family.
type edgeName struct {
	vantage string
	family  mesh.Family
}

// NewTracer returns a tracer of the way to a transition of a check, from the judge's present state on. The
// transition has the ids of the host and the check; their names may be those of a later catalog.
func NewTracer(j *Judge, of mesh.Transition) *Tracer {
	t := &Tracer{judge: j, of: of, host: mesh.Key(of.Host), check: of.Check, missed: map[edgeName]time.Time{}}
	t.before, _ = t.look()
	return t
}

// Events returns what was recorded, in the order in which the judge met it.
func (t *Tracer) Events() []Event { return t.events }

// Step is Judge.Step.
func (t *Tracer) Step(in Input) Output {
	if in.Batch != nil {
		t.observations(in.Batch, in)
	}
	out, bases := t.judge.step(in)
	if now, ok := t.look(); ok {
		for i, ask := range out.Asks {
			if ask.Host == t.host {
				now.opened, now.basis = ask.Round, bases[i]
			}
		}
		t.compare(in, t.before, now)
		t.before = now
	}
	return out
}

func (t *Tracer) add(in Input, e Event) {
	if e.At = in.At.Add(-in.Offset); len(t.events) < eventsMax {
		t.events = append(t.events, e)
	}
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
		o.Began = t.wallBegan(edgeName{v.key, o.Family}, o, in.Offset)
		t.add(in, Event{
			Kind: Observed, Region: v.region, Vantage: v.key, Round: o.Round, Probe: &Probe{
				Began: o.Began, Elapsed: o.Elapsed, RTT: o.RTT, Family: o.Family, Outcome: o.Outcome, Stage: o.Stage,
				Sent: o.Sent, Lost: o.Lost, Reason: o.Reason, Address: o.Address,
			},
			Text: t.nameOf(v) + describeProbe(o),
		})
	}
}

// nameOf is the name of a vantage's host.
func (t *Tracer) nameOf(v *vantage) string {
	if h := t.judge.mesh.byKey[v.key]; h != nil {
		return h.config.Name
	}
	return v.key
}

// sameProbe is how far the times may differ at which a probe began, as its first miss and its result report it: they
// come in two messages, between which the estimate of the agent's clock changes.
const sameProbe = 200 * time.Millisecond

// wallBegan returns the wall time at which a probe began. The result of a probe gets the time of its first miss, so
// that it does not read like another probe.
func (t *Tracer) wallBegan(name edgeName, o mesh.Observation, offset time.Duration) time.Time {
	began := o.Began.Add(-offset)
	missed, known := t.missed[name]
	delete(t.missed, name)
	switch {
	case o.Stage == mesh.Missed:
		t.missed[name] = began
	case known && began.Sub(missed).Abs() < sameProbe:
		return missed
	}
	return began
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
	case o.Outcome == mesh.Slow && o.Reason != "":
		return began + ": slow, " + mesh.Span(o.RTT) + ": " + o.Reason
	case o.Outcome == mesh.Slow:
		return began + ": slow, " + mesh.Span(o.RTT)
	}
	return began + ": reachable in " + mesh.Span(o.RTT)
}
