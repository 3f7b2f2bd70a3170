package judge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// cannotAsk reports whether the edge's latest observation shows that its family cannot be probed: the vantage has no
// route or no permission, or the name has addresses in the other family alone.
func (e *edge) cannotAsk() bool {
	return !e.never() && e.outcome == mesh.Inconclusive && (mesh.CannotAsk(e.reason) || mesh.NoSuchAddress(e.reason))
}

// leftOut reports whether that observation is fresh. The vantage then votes by its other family alone, if that one has
// an opinion.
func (j *Judge) leftOut(e *edge) bool { return e.cannotAsk() && j.now.Before(j.expires(e)) }

// spokenFor reports whether the edge is left out and another family of the vantage has an opinion on the check.
func (j *Judge) spokenFor(e *edge) bool {
	other := e.otherFamily()
	if other == nil || !j.leftOut(e) {
		return false
	}
	vote, _ := j.edgeVote(other)
	return vote != mesh.Abstain
}

// otherFamily is the vantage's edge to the same check through the other single family, or nil.
func (e *edge) otherFamily() *edge {
	if e.family == mesh.AnyFamily {
		return nil
	}
	return e.vantage.edges[target{e.check.host.key, e.check.config.Name, mesh.IPv4 + mesh.IPv6 - e.family}]
}

// unasked returns advisories for the families through which no vantage outside the host's region can probe the check:
// an outage there would not be detected.
func (j *Judge) unasked(c *check) []string {
	var out []string
	for _, f := range c.host.config.FamiliesOf(c.config) {
		unable, asked := 0, false
		for _, e := range c.edges {
			if e.family != f || e.vantage.region == c.host.config.Region || !e.vantage.counts() {
				continue
			}
			vote, _ := j.edgeVote(e)
			asked = asked || vote != mesh.Abstain
			if j.leftOut(e) && mesh.CannotAsk(e.reason) {
				unable++
			}
		}
		if unable > 0 && !asked && !c.leftOut {
			out = append(out, fmt.Sprintf("nobody could ask over %s, since %d %s without a route or permission: the verdict does not cover it",
				f.Title(), unable, map[bool]string{true: "vantage is", false: "vantages are"}[unable == 1]))
		}
	}
	return out
}

// newSpare prepares the edge of AnyFamily by which an agent of the version before may answer for a name that is asked
// through both families.
func (c *check) newSpare(v *vantage) {
	families := c.host.config.FamiliesOf(c.config)
	if !c.host.config.Named() || len(families) < 2 {
		return
	}
	e := c.newEdge(v, mesh.AnyFamily)
	e.spare = true
	c.spares = append(c.spares, e)
}

// newEdge adds an edge without observations to the vantage.
func (c *check) newEdge(v *vantage, f mesh.Family) *edge {
	e := &edge{vantage: v, check: c, family: f}
	if !e.isPing() {
		e.answers = &answers{}
	}
	v.edges[target{c.host.key, c.config.Name, f}] = e
	v.list = append(v.list, e)
	return e
}

// use makes a spare edge take part in its check, since the vantage's agent reported a finished probe on it. The edge
// of AnyFamily and those of single families replace one another, as the agent is of the version before or of this one.
func (c *check) use(e *edge) {
	if !e.spare {
		return
	}
	isAny := e.family == mesh.AnyFamily
	all := slices.Concat(c.edges, c.spares)
	c.edges, c.spares = nil, nil
	for _, o := range all {
		if o.vantage == e.vantage {
			was := o.spare
			if o.spare = (o.family == mesh.AnyFamily) != isAny; o.spare && !was {
				o.forget()
			}
		}
		if o.spare {
			c.spares = append(c.spares, o)
		} else {
			c.edges = append(c.edges, o)
		}
	}
	sortEdges(c.edges)
	for i := range c.ballots {
		b := &c.ballots[i]
		b.edges = slices.DeleteFunc(slices.Clone(c.edges), func(o *edge) bool { return o.vantage.region != b.region })
	}
}

// forget resets the edge to one without observations.
func (e *edge) forget() {
	if e.bad() {
		e.vantage.bad[slot(e.family)]--
	}
	blank := edge{vantage: e.vantage, check: e.check, family: e.family, spare: e.spare}
	if e.answers != nil {
		blank.answers = &answers{}
	}
	*e = blank
}

// sortEdges orders edges by region, vantage and family.
func sortEdges(edges []*edge) {
	slices.SortFunc(edges, func(a, b *edge) int {
		return cmp.Or(
			cmp.Compare(a.vantage.region, b.vantage.region), cmp.Compare(a.vantage.key, b.vantage.key),
			cmp.Compare(a.family, b.family),
		)
	})
}

// gossipsOver reports whether gossip with the edge's host certainly goes through the edge's family. That is the
// family of the host's first address. A name is resolved in either family, so that it is certain only where the
// vantage cannot reach the other one.
func (j *Judge) gossipsOver(e *edge) bool {
	host := e.check.host.config
	if !host.Named() || e.family == mesh.AnyFamily {
		return e.family == host.Families()[0]
	}
	other := e.otherFamily()
	return other != nil && j.leftOut(other) && !other.notPermitted()
}
