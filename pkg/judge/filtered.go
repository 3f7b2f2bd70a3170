package judge

import "github.com/probemesh/probemesh/pkg/catalog"

const (
	filteredWhy     = "ping filtered: the host answered over TCP since"
	acknowledgedWhy = "ping filtered: the host's agent acknowledged gossip since"
)

func (e *edge) isPing() bool { return e.check.config.Kind == catalog.KindPing }

// beside are the vantage's edges to the host's other checks that are no pings, through the same family, where this one is a
// ping; else none.
func (e *edge) beside() []*edge {
	if e.check.config.Kind != catalog.KindPing {
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
		if o.outcome.Good() && !o.never() && j.now.Before(j.expires(o)) && !o.began.Before(e.missedAt) {
			return true
		}
	}
	return false
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

// acknowledged reports whether the host acknowledged the vantage's gossip after the first miss of the ping, and did so still
// within what an agent's silence is. Gossip goes to the host's first address and tells of that family alone.
func (j *Judge) acknowledged(e *edge) bool {
	at, ok := e.vantage.rumours.acks[e.check.host.key]
	return ok && e.isPing() && e.family == e.check.host.config.Families()[0] && !at.Before(e.missedAt) && j.now.Sub(at) <= j.rule.Silence
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
