package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The judge knows nothing of maintenance: its verdicts are what was measured. The layer above it asks here what those
// verdicts mean while a maintenance covers some checks.

// Status returns the status of the host with the id while the checks whose ids are covered are under maintenance. ok is
// false if the catalog has no such host.
func (j *Judge) Status(id string, covered func(check string) bool) (s mesh.Status, ok bool) {
	h := j.hostByID(id)
	if h == nil {
		return "", false
	}
	return h.statusOf(func(c *check) bool { return !aside(c) }, covered), true
}

// Failures returns the failing checks of the host with the id as transitions that say so again, from a time on: for
// readers, a failure that a maintenance covered begins when that ends. The statuses are left empty, except
// those of checks aside.
func (j *Judge) Failures(id string, began time.Time) (out []mesh.Transition) {
	h := j.hostByID(id)
	if h == nil {
		return nil
	}
	for _, c := range h.checks {
		if !broken(c.published) && c.published != mesh.Degraded {
			continue
		}
		t := j.Restatus(id, began)
		t.ID = fmt.Sprintf("%s%d", t.ID, len(out)+1)
		t.Check, t.CheckID, t.Was, t.Verdict, t.Cause = c.config.Name, c.id, c.published, c.published, h.cause
		t.Rule, t.Tally, t.Votes = c.rule, c.tally, regionVotes(j.env, c)
		t.Sentence = sentenceOf(j.env, j.mesh.catalog, c, t.Votes)
		if aside(c) {
			t.Public, t.Aside, t.From, t.To = false, true, h.aside, h.aside
		}
		out = append(out, t)
	}
	return out
}

// Restatus returns the transition of the host with the id by which its status alone changes, from a time on. The
// statuses are left empty. The host must exist.
func (j *Judge) Restatus(id string, began time.Time) mesh.Transition {
	h := j.hostByID(id)
	return mesh.Transition{
		ID: fmt.Sprintf("%d-%s-m", j.env.sequence, h.key), Sequence: j.env.sequence,
		Host: h.config.Name, HostID: h.id, Public: h.config.Public, Began: began, Published: j.env.now,
		Rule: "a maintenance began or ended",
	}
}

// Now returns the mesh time and the stream's sequence of the last step.
func (j *Judge) Now() (at time.Time, sequence uint64) { return j.env.now, j.env.sequence }

func (j *Judge) hostByID(id string) *host {
	i := slices.IndexFunc(j.mesh.hosts, func(h *host) bool { return h.id == id })
	if i < 0 {
		return nil
	}
	return j.mesh.hosts[i]
}
