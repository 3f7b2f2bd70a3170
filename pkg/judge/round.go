package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// round is one look-now: every vantage outside the host's region looks at all the host's checks.
type round struct {
	id     uint64
	opened time.Time
	since  time.Time // when the look that caused it began: an ok begun before counts neither way

	answered bool // somebody looked because of it: then it was asked for, which a judge that replays the past cannot do
}

// want is a round that is due as soon as the host's last one is long enough ago.
type want struct {
	since time.Time // see round
	due   time.Time
	bad   bool // an edge turned bad, or a verdict waits: past the budget only these ask
}

// want notes that a round of the host is due. It opens when the step ends: what else the step brings is judged as before it.
func (j *Judge) want(h *host, w want) {
	if next := h.lastAsk.Add(j.rule.RoundEvery); w.due.Before(next) {
		w.due = next
	}
	if h.wanted == nil {
		h.wanted = &w
		j.wanting = append(j.wanting, h)
		return
	}
	have := h.wanted
	have.bad = have.bad || w.bad
	if w.due.Before(have.due) {
		have.due = w.due
	}
	if w.since.After(have.since) {
		have.since = w.since
	}
}

// openRounds opens the rounds that are due.
func (j *Judge) openRounds(out *Output) {
	if len(j.wanting) == 0 {
		return
	}
	j.wanting = slices.DeleteFunc(j.wanting, func(h *host) bool {
		if j.now.Before(h.wanted.due) {
			return false
		}
		j.openRound(h, out)
		return true
	})
}

// openRound opens the host's round, where the budget lets it. A check that is still in its part of a round before goes on
// with that one, so that rounds which follow one another never keep it from its end.
func (j *Judge) openRound(h *host, out *Output) {
	w := h.wanted
	h.wanted = nil
	if !j.bucket.take(h.probes()) && !w.bad {
		return
	}
	h.lastAsk = j.now
	r := &round{id: j.sequence, opened: j.now, since: w.since}
	for _, c := range h.checks {
		if c.round == nil && len(c.edges) > 0 {
			j.renew(c)
			c.round = r
		}
	}
	out.Asks = append(out.Asks, mesh.Ask{Round: r.id, Host: h.key, Since: w.since})
}

// probes is what a round of the host costs: a look by each vantage that is asked.
func (h *host) probes() float64 {
	n := 0
	for _, c := range h.checks {
		for _, e := range c.edges {
			if e.vantage.region != h.config.Region && e.vantage.counts() && !e.vantage.silent {
				n++
			}
		}
	}
	return float64(n)
}

// answered reports whether the edge's word is an answer to the round: any finished look that began after its cause.
func (e *edge) answered(r *round) bool {
	return !e.never() && (e.round >= r.id || !e.began.Before(r.since)) && !e.missed
}

// late reports whether the round's time for the check is over.
func (j *Judge) late(c *check) bool {
	limit := max(j.rule.RoundTimeout, c.config.Timeout+j.rule.RoundGrace)
	return j.now.Sub(c.round.opened) >= limit
}

// asked reports whether one of the host's checks is still in its part of a round.
func (h *host) asked() bool { return slices.ContainsFunc(h.checks, (*check).asked) }

// bucket holds rounds to their budget: a token a probe, a minute's worth deep.
type bucket struct {
	rate, tokens float64 // per second
	started      bool
}

func (b *bucket) resize(rate float64) {
	b.rate = rate
	if !b.started {
		b.tokens, b.started = b.depth(), true
	}
	b.tokens = min(b.tokens, b.depth())
}

func (b *bucket) depth() float64 { return b.rate * time.Minute.Seconds() }

func (b *bucket) fill(from, to time.Time) {
	if !from.IsZero() {
		b.tokens = min(b.tokens+b.rate*to.Sub(from).Seconds(), b.depth())
	}
}

// take spends the cost, and reports whether there was enough. What is short is not owed.
func (b *bucket) take(cost float64) bool {
	enough := b.tokens >= cost
	b.tokens = max(b.tokens-cost, 0)
	return enough
}
