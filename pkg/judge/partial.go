package judge

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// finding returns the check's votes at the close of a round.
func (j *Judge) finding(c *check, r *round) quorum.Finding {
	return quorum.Finding{Opened: r.opened, Closed: j.now, Bad: j.regionNames(c, mesh.Bad), OK: j.regionNames(c, mesh.OK)}
}

// confirmsPartial reports whether the finding and one of an earlier round confirm a partial outage together.
func (c *check) confirmsPartial(r catalog.Rule, latest quorum.Finding) bool {
	return slices.ContainsFunc(c.findings, func(f quorum.Finding) bool { return quorum.ConfirmsPartial(r, f, latest) })
}

// record keeps the finding for later rounds and drops those that are too old to confirm anything.
func (c *check) record(r catalog.Rule, latest quorum.Finding) {
	const most = 16 // rounds are a second apart at least; this bounds what a rule with other numbers keeps
	c.findings = slices.DeleteFunc(c.findings, func(f quorum.Finding) bool {
		return latest.Closed.Sub(f.Closed) > 2*quorum.PartialWithin(r)
	})
	if latest.Suspicious(r) {
		c.findings = append(c.findings, latest)
	}
	if len(c.findings) > most {
		c.findings = slices.Delete(c.findings, 0, 1)
	}
}

// stillPartial reports whether a partial outage that rounds confirmed, and that waits for other hosts (rule 8), still shows in
// the votes.
func (j *Judge) stillPartial(c *check) bool {
	if !c.holding() || c.heldAs != mesh.Partial {
		return false
	}
	now := quorum.Finding{Bad: j.regionNames(c, mesh.Bad), OK: j.regionNames(c, mesh.OK)}
	return slices.ContainsFunc(c.findings, func(f quorum.Finding) bool { return quorum.SamePartial(j.rule, f, now) })
}
