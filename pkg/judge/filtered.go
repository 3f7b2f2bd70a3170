package judge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

const (
	filteredWhy = "ping filtered: the host answered over TCP since"
	provedWhy   = "ping filtered: the host's agent proved that it is alive since"
)

func (e *edge) isPing() bool { return e.check.config.Kind == catalog.KindPing }

// beside are the vantage's edges to the host's other checks that are no pings, through the same family, where this one is a
// ping; else none.
func (e *edge) beside() []*edge {
	if !e.isPing() {
		return nil
	}
	var out []*edge
	for _, c := range e.check.host.checks {
		if o := e.vantage.edges[target{c.host.key, c.config.Name, e.family}]; o != nil && c.config.Kind != catalog.KindPing {
			out = append(out, o)
		}
	}
	return out
}

// filtered reports whether the host answered this vantage over TCP since it lost the ping: then it is the ping that is
// filtered, and not the host that is gone.
func (j *Judge) filtered(e *edge) bool {
	for _, o := range e.beside() {
		if j.showsFiltered(o, e) {
			return true
		}
	}
	return false
}

// showsFiltered reports whether the edge, which is beside the ping, answered since that was lost.
func (j *Judge) showsFiltered(e, ping *edge) bool {
	return e.outcome.Good() && !e.never() && j.now.Before(j.expires(e)) && !e.began.Before(ping.missedAt)
}

// mayBeFiltered reports whether a TCP answer to the round, still to come, could show that only the ping is lost.
func (e *edge) mayBeFiltered(r *round) bool {
	for _, o := range e.beside() {
		if o.vantage.counts() && !o.answered(r) {
			return true
		}
	}
	return false
}

// hasProof reports whether the host proved to the vantage that it is alive, after the first miss of the ping, and
// still within what an agent's silence is. A proof tells of one address family alone.
func (j *Judge) hasProof(e *edge) bool {
	at := e.vantage.rumours.proofs[e.check.host.key].last()
	return !at.IsZero() && e.isPing() && j.gossipsOver(e) && !at.Before(e.missedAt) && j.now.Sub(at) <= j.rule.Silence
}

// answers is a run of good answers. Beside a ping that is lost, it stands for the ping's own.
type answers struct {
	since  time.Time   // the first
	latest []time.Time // oldest first, as many as leaving down takes
}

// add takes the next answer of the run. It keeps the latest few.
func (a *answers) add(at time.Time, keep int) {
	if len(a.latest) == 0 {
		a.since = at
	}
	if over := len(a.latest) + 1 - max(keep, 1); over > 0 {
		a.latest = a.latest[:copy(a.latest, a.latest[over:])]
	}
	a.latest = append(a.latest, at)
}

// end ends the run.
func (a *answers) end() { a.latest = a.latest[:0] }

// last is the latest answer of the run; zero where there is none.
func (a *answers) last() time.Time {
	if a == nil || len(a.latest) == 0 {
		return time.Time{}
	}
	return a.latest[len(a.latest)-1]
}

// after is how many answers of the run are not older than the moment.
func (a *answers) after(moment time.Time) int {
	n := 0
	for _, at := range a.latest {
		if !at.Before(moment) {
			n++
		}
	}
	return n
}

// instead are the runs that show of a lost ping that only the ping is lost: over each other check, and of proofs.
func (j *Judge) instead(e *edge) []*answers {
	if !e.bad() {
		return nil
	}
	var out []*answers
	for _, o := range e.beside() {
		if j.showsFiltered(o, e) {
			out = append(out, o.answers)
		}
	}
	if j.hasProof(e) {
		out = append(out, e.vantage.rumours.proofs[e.check.host.key])
	}
	return out
}

// successes are the good looks in a row on the edge. Of a ping that is filtered they are the answers in a row, since its first
// miss, of what answers instead. Only one run counts: what two checks answer at one moment is one success and not two.
func (j *Judge) successes(e *edge) int {
	n := e.streak
	for _, a := range j.instead(e) {
		n = max(n, a.after(e.missedAt))
	}
	return n
}

// insteadSince is since when something answers instead of the ping; zero when nothing does.
func (j *Judge) insteadSince(e *edge) time.Time {
	var first time.Time
	for _, a := range j.instead(e) {
		since := a.since
		if since.Before(e.missedAt) {
			since = e.missedAt // until then it was the ping's own run
		}
		if first.IsZero() || since.Before(first) {
			first = since
		}
	}
	return first
}

// pings looks at the pings beside the check: its answer may show that they are filtered.
func (j *Judge) pings(c *check, out *Output) {
	if c.config.Kind == catalog.KindPing {
		return
	}
	for _, o := range c.host.checks {
		if o.config.Kind == catalog.KindPing {
			j.evaluate(o, out)
		}
	}
}
