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
	With       []Update  `json:"with,omitempty"` // the transitions that followed at once
	Of         string    `json:"of,omitempty"`   // the incident that it was of before a merge
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

// Hosts names the hosts of the update, as in a sentence. It names every one, since it may be the only message.
func (u Update) Hosts() string { return join(u.names(func(p Update) string { return p.Host })) }

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
	subject, stopped, works := u.subject()
	at := minute(u.Began.Add(-u.Offset))
	switch u.Verdict {
	case mesh.Down:
		return fmt.Sprintf("%s %s at %s. %s", subject, stopped, at, u.confirmed())
	case mesh.Partial:
		return fmt.Sprintf("%s cannot be reached from some places since %s. %s", subject, at, u.confirmed())
	case mesh.Degraded:
		return fmt.Sprintf("%s %s slow or unreliable since %s.", subject, u.verb("is", "are"), at)
	}
	// Hosts that recover together failed for different times: the longest is that of the whole.
	lasted := u.Lasted
	for _, p := range u.With {
		lasted = max(lasted, p.Lasted)
	}
	if lasted == 0 {
		return fmt.Sprintf("%s %s again.", subject, works)
	}
	return fmt.Sprintf("%s %s again after %s.", subject, works, FormatDuration(lasted))
}

// confirmed says how many regions confirmed the failure when it was published: of several checks, the fewest.
func (u Update) confirmed() string {
	fewest, atLeast := u, ""
	for _, p := range u.With {
		if p.Bad != u.Bad || p.Voters != u.Voters {
			atLeast = "at least "
		}
		if p.Bad*fewest.Voters < fewest.Bad*p.Voters {
			fewest = p
		}
	}
	return fmt.Sprintf("Confirmed from %s%d of %s at %s.", atLeast, fewest.Bad, regions(fewest.Voters),
		minute(u.At.Add(-u.Offset)))
}

// subject names the checks of the update, with the verbs for them. A server that does not answer a ping has no service
// that people know by that name.
func (u Update) subject() (subject, stopped, works string) {
	checks := u.names(func(p Update) string { return p.Check })
	if slices.ContainsFunc(checks, func(name string) bool { return mesh.Key(name) == "ping" }) {
		hosts := u.names(func(p Update) string { return p.Host })
		return join(hosts), "stopped answering", plural(len(hosts), "answers", "answer")
	}
	return join(checks), "stopped", plural(len(checks), "works", "work")
}

func (u Update) verb(one, many string) string {
	subject := u.names(func(p Update) string { return p.Check })
	return plural(len(subject), one, many)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func regions(n int) string { return fmt.Sprintf("%d %s", n, plural(n, "region", "regions")) }

// minute writes a time of day as people say it. The exact second is in the evidence and in the windows.
func minute(t time.Time) string { return t.UTC().Format("15:04 UTC") }
