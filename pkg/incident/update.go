package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// TogetherWithin is how close the transitions of one update are: hosts that one cut takes away are confirmed
	// within seconds of each other, and readers want one message that names them all.
	TogetherWithin = 5 * time.Second
	// togetherMax bounds the transitions of one update. Further ones begin another update.
	togetherMax = 500
)

// Update is one entry in the timeline of an incident: a transition, and those that followed it at once in the same
// direction. It holds facts; Incident.Text makes the sentence when it is shown.
type Update struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"`
	State   State         `json:"state"`          // that was shown from then on
	Over    bool          `json:"over,omitempty"` // all hosts worked again
	Host    string        `json:"host"`
	HostID  string        `json:"host_id,omitempty"`
	Check   string        `json:"check,omitempty"`
	CheckID string        `json:"check_id,omitempty"`
	Was     mesh.Verdict  `json:"was,omitempty"` // the check's verdict before
	Verdict mesh.Verdict  `json:"verdict,omitempty"`
	Body    string        `json:"body"`             // the evidence: regions, reasons and ports
	Offset  time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
	Began   time.Time     `json:"began,omitzero"`   // when the verdict began
	Cause   string        `json:"cause,omitempty"`
	Bad     int           `json:"bad,omitempty"` // regions that confirm it, of Voters
	Voters  int           `json:"voters,omitempty"`
	Lasted  time.Duration `json:"lasted,omitempty"` // of a recovery: how long the check had failed, nanoseconds
	// WorkedFrom is set where the incident reopens: everything had worked from then until Began.
	WorkedFrom time.Time `json:"worked_from,omitzero"`
	// Maintenance is the id of the occurrence that covered the check then: what failed before it recovered in it.
	Maintenance string   `json:"maintenance,omitempty"`
	With        []Update `json:"with,omitempty"` // the transitions that followed at once
	Of          string   `json:"of,omitempty"`   // the incident that it was of before a merge
}

// Parts returns the update's transitions, each as an update of its own.
func (u Update) Parts() []Update {
	first := u
	first.With = nil
	return append([]Update{first}, u.With...)
}

// contains reports whether a transition, which was published at a time, is part of the update.
func (u Update) contains(id string, at time.Time) bool {
	return slices.ContainsFunc(u.Parts(), func(p Update) bool { return p.ID == id && p.At.Equal(at) })
}

// absorb adds a later update to this one, if both tell of one event: it says the same of another check or host, within
// TogetherWithin. Failures must share their cause; recoveries have none.
func (u *Update) absorb(next Update) bool {
	parts := u.Parts()
	last := parts[len(parts)-1]
	switch {
	case len(parts) >= togetherMax, u.Verdict != next.Verdict, u.Check == "", next.Check == "":
		return false
	case next.At.Sub(u.At) > TogetherWithin, next.At.Before(last.At), !next.WorkedFrom.IsZero():
		return false
	case u.Verdict != mesh.Up && (u.Cause == "" || u.Cause != next.Cause):
		return false
	case slices.ContainsFunc(parts, func(p Update) bool { return p.about(next) }):
		return false // the same check again: two events
	}
	u.With, u.State, u.Over = append(u.With, next), next.State, next.Over
	return true
}

// about reports whether two transitions are of the same check.
func (u Update) about(other Update) bool {
	return mesh.Key(u.Host) == mesh.Key(other.Host) && u.Check == other.Check
}

// without returns the update without the parts that a reader must not see; ok is false if nothing is left.
func (u Update) without(hidden func(part Update) bool) (out Update, ok bool) {
	parts := slices.DeleteFunc(u.Parts(), hidden)
	if len(parts) == 0 {
		return out, false
	}
	out = parts[0]
	out.State, out.Over = u.State, u.Over
	if len(parts) > 1 {
		out.With = parts[1:]
	}
	return out, true
}

// names returns what a function names of the parts, each name once.
func (u Update) names(of func(Update) string) (out []string) {
	for _, p := range u.Parts() {
		if name := of(p); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Evidence returns what the regions saw, in technical terms: one sentence for each part of the update.
func (u Update) Evidence() string {
	parts := u.Parts()
	if len(parts) == 1 {
		if u.said() {
			return u.Body
		}
		return "" // the text says it already
	}
	var out []string
	for _, p := range parts {
		out = append(out, fmt.Sprintf("%s %s: %s", p.Host, p.Check, p.Body))
	}
	return strings.Join(out, " ")
}

// said reports whether there is a sentence for people about the update's verdict, beside its evidence.
func (u Update) said() bool {
	switch u.Verdict {
	case mesh.Up, mesh.Down, mesh.Partial, mesh.Degraded:
		return u.Check != ""
	}
	return false
}

// Text returns the update's text for people. It never contradicts what was measured: a check that recovers while its
// incident goes on says both, and so does an incident that ends with another verdict than "up".
func (i *Incident) Text(u Update) string {
	text := u.Body
	if u.said() {
		text = u.sentence()
	}
	if !u.WorkedFrom.IsZero() && u.Began.After(u.WorkedFrom) {
		text += fmt.Sprintf(" Everything had worked from %s to %s.", minute(i.Wall(u.WorkedFrom)),
			minute(u.Began.Add(-u.Offset)))
	}
	switch {
	case !u.Over && u.Verdict == mesh.Up && u.Check != "":
		text += " The incident goes on."
	case u.Over && u.Verdict != mesh.Up && u.Check != "":
		text = join(u.names(func(p Update) string { return p.Host })) + " is operational again. " + text
	}
	return text
}

// sentence says what happened to the checks: "Sending mail stopped at 19:51 UTC. Confirmed from 7 of 7 regions at 19:52
// UTC." The number of regions has its time, since other regions may confirm it later, as the page shows.
func (u Update) sentence() string {
	at := minute(u.Began.Add(-u.Offset))
	switch u.Verdict {
	case mesh.Down:
		return fmt.Sprintf("%s at %s. %s", u.happened(stopped, stoppedAnswering), at, u.confirmed())
	case mesh.Partial:
		return fmt.Sprintf("%s from some places since %s. %s", u.happened(unreachable, unreachable), at, u.confirmed())
	case mesh.Degraded:
		return fmt.Sprintf("%s since %s.", u.happened(slow, slow), at)
	}
	// Hosts that recover together failed for different times: the longest is that of the whole.
	lasted := u.lasted()
	for _, p := range u.With {
		lasted = max(lasted, p.lasted())
	}
	recovered := u.happened(works, answers)
	if lasted == 0 {
		return recovered + " again."
	}
	return fmt.Sprintf("%s again after %s.", recovered, FormatDuration(lasted))
}

// lasted is how long the check of a recovery had failed, in whole seconds.
func (u Update) lasted() time.Duration {
	if u.Lasted == 0 {
		return 0
	}
	return WholeSeconds(u.Began.Add(-u.Lasted), u.Began)
}

// confirmed says how many regions confirmed the failure when it was published: of several checks, the fewest.
func (u Update) confirmed() string {
	fewest, confirmed := u, "Confirmed from"
	for _, p := range u.With {
		if p.Bad != u.Bad || p.Voters != u.Voters {
			confirmed = "Confirmed from at least"
		}
		if p.Bad*fewest.Voters < fewest.Bad*p.Voters {
			fewest = p
		}
	}
	return fmt.Sprintf("%s %d of %s at %s.", confirmed, fewest.Bad, mesh.Count(fewest.Voters, "region"),
		minute(u.At.Add(-u.Offset)))
}

// predicate is what happened to one subject, and to many.
type predicate struct{ one, many string }

var (
	stopped          = predicate{"stopped", "stopped"}
	stoppedAnswering = predicate{"stopped answering", "stopped answering"}
	works            = predicate{"works", "work"}
	answers          = predicate{"answers", "answer"}
	unreachable      = predicate{"cannot be reached", "cannot be reached"}
	slow             = predicate{"is slow or unreliable", "are slow or unreliable"}
)

func (p predicate) of(names []string) string {
	return join(names) + " " + plural(len(names), p.one, p.many)
}

// happened says what happened to the hosts whose ping is in the update, and to the checks of the others: "Website
// stopped answering, and Sending mail of Mail stopped,". Nobody knows a service by the name ping, and the other checks
// of a server that does not answer say nothing more. Where there is one host, the page names it.
func (u Update) happened(toChecks, toHosts predicate) string {
	hosts, checks := u.subjects()
	switch {
	case len(checks) == 0:
		return toHosts.of(hosts)
	case len(hosts) == 0:
		return toChecks.of(checks)
	case toChecks == toHosts:
		return toChecks.of(append(hosts, checks...))
	}
	return toHosts.of(hosts) + ", and " + toChecks.of(checks) + ","
}

// subjects returns the hosts of the update whose ping is in it, and the checks of the other hosts.
func (u Update) subjects() (hosts, checks []string) {
	all := u.names(func(p Update) string { return p.Host })
	hosts = u.names(func(p Update) string {
		if mesh.Key(p.Check) != "ping" {
			return ""
		}
		return p.Host
	})
	of := map[string][]string{} // hosts by check
	for _, p := range u.Parts() {
		if !slices.Contains(hosts, p.Host) && !slices.Contains(of[p.Check], p.Host) {
			of[p.Check] = append(of[p.Check], p.Host)
		}
	}
	for _, check := range u.names(func(p Update) string { return p.Check }) {
		switch {
		case len(of[check]) == 0:
		case len(all) == 1:
			checks = append(checks, check)
		default:
			checks = append(checks, check+" of "+join(of[check]))
		}
	}
	return hosts, checks
}

// Unnamed names the hosts of the update that its text does not name, as in a sentence.
func (u Update) Unnamed() string {
	all := u.names(func(p Update) string { return p.Host })
	over := u.Over && u.Verdict != mesh.Up // Text begins with them
	if hosts, _ := u.subjects(); u.said() && (over || len(all) > 1 || len(hosts) > 0) {
		return ""
	}
	return join(all)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// minute writes a time of day as people say it. The exact second is in the evidence and in the windows.
func minute(t time.Time) string { return t.UTC().Format("15:04 UTC") }
