package judge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// round is one look-now: every vantage outside the host's region looks at all the host's checks.
type round struct {
	id     uint64
	opened time.Time
	since  time.Time // when the look that caused it began: an ok begun before counts neither way
}

// want is a round that is due as soon as the host's last one is long enough ago.
type want struct {
	since time.Time // see round
	due   time.Time
	bad   bool // an edge turned bad, or a verdict waits: past the budget only these ask
}

// want opens a round for the host, or notes that one is due.
func (j *Judge) want(h *host, w want, out *Output) {
	if next := h.lastAsk.Add(j.rule.RoundEvery); w.due.Before(next) {
		w.due = next
	}
	if h.wanted != nil {
		w.bad = w.bad || h.wanted.bad
		if h.wanted.due.Before(w.due) {
			w.due = h.wanted.due
		}
	}
	h.wanted = &w
	j.wantedRound(h, out)
}

// wantedRound opens the round that is due.
func (j *Judge) wantedRound(h *host, out *Output) {
	w := h.wanted
	if w == nil || j.now.Before(w.due) {
		return
	}
	h.wanted = nil
	if cost := h.probes(); !j.bucket.take(cost) && !w.bad {
		return
	}
	h.lastAsk = j.now
	h.round = &round{id: j.sequence, opened: j.now, since: w.since}
	for _, c := range h.checks {
		c.closed = false
	}
	out.Asks = append(out.Asks, mesh.Ask{Round: h.round.id, Host: h.key, Since: w.since})
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
	return c.host.round != nil && j.now.Sub(c.host.round.opened) >= limit
}

// endRound forgets the host's round once every check's part of it is over.
func (j *Judge) endRound(h *host) {
	if h.round == nil {
		return
	}
	for _, c := range h.checks {
		if !c.closed && len(c.edges) > 0 {
			return
		}
	}
	h.round = nil
}

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
