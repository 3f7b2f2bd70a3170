package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Text is what a message says, apart from what its step adds.
type Text struct {
	Title    string // the incident in a line, "NC036: Sending mail down"
	What     string // what happened, since when and how sure
	Works    string // what still works; empty where nothing or everything does
	Evidence string // in technical terms
	Next     string // the command that explains it
}

// subjectMax bounds a subject in characters: a lock screen shows no more.
const subjectMax = 69

// incidentText returns the text of messages about an incident.
func incidentText(c *catalog.Catalog, s *mesh.Snapshot, i *incident.Incident) Text {
	t := Text{Title: i.Name()}
	if n := len(i.Updates); n > 0 {
		u := i.Updates[n-1]
		t.What, t.Evidence = i.Text(u), u.Evidence()
	}
	if len(i.Hosts) > 0 {
		t.Next = command.ProgramName("coordinator") + " explain " + i.Hosts[0].Name
	}
	if i.Open() {
		t.Works = works(c, s, i)
	}
	return t
}

// works names what still works of the incident's hosts.
func works(c *catalog.Catalog, s *mesh.Snapshot, i *incident.Incident) string {
	if s == nil {
		return ""
	}
	var out []string
	for _, h := range i.Hosts {
		n := slices.IndexFunc(s.Hosts, func(state mesh.HostState) bool { return mesh.Key(state.Name) == mesh.Key(h.Name) })
		if n < 0 || c.Host(mesh.Key(h.Name)) == nil {
			continue
		}
		for _, check := range s.Hosts[n].Checks {
			if seenWorking(check, i.Began) {
				name := check.Name
				if len(i.Hosts) > 1 {
					name = h.Name + " " + name
				}
				out = append(out, name)
			}
		}
	}
	const shown = 5
	if more := len(out) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(out[:shown], ", "), more)
	}
	return strings.Join(out, ", ")
}

// seenWorking reports whether regions found that a check worked after a time, and nothing speaks against it: what was
// up before an outage may be about to fail with it.
func seenWorking(c mesh.CheckState, after time.Time) bool {
	if c.Verdict != mesh.Up || c.RoundOpen || c.Cause != "" || c.Tally.Bad > 0 {
		return false
	}
	seen := false
	for _, v := range c.Votes {
		if v.Own || v.Vote == mesh.Abstain {
			continue
		}
		later := slices.ContainsFunc(v.Edges, func(e mesh.EdgeState) bool { return e.Vote == mesh.OK && e.At.After(after) })
		if v.Vote != mesh.OK || !later {
			return false
		}
		seen = true
	}
	return seen
}

// Subject is the message in a line.
func (m Message) Subject() string {
	if m.Announced != nil {
		return m.Announced.Title
	}
	word := "DOWN"
	switch name, _, _ := strings.Cut(m.Step, "-"); {
	case m.Alert.Advisory != "" && m.Alert.Over.Equal(m.Alert.Opened):
		word = "BACK"
	case m.Alert.Advisory != "" && !m.Alert.Over.IsZero():
		word = "CLEARED"
	case m.Alert.Advisory != "":
		word = "ADVISORY"
	case !m.Alert.Over.IsZero():
		word = "OK"
	case m.Alert.Flaps > 0:
		word = "FLAPPING"
	case m.Alert.Severity == catalog.Minor:
		word = "DEGRADED"
	case name == stepGrown:
		word = "MORE DOWN"
	case name == stepRepeated:
		word = "STILL DOWN"
	case name == stepEscalated:
		word = "ESCALATED"
	}
	return shorten(word+" "+oneLine(m.Alert.Text.Title), subjectMax)
}

// Body is the message in plain text. Its first lines fit a lock screen.
func (m Message) Body(links Links) string {
	t := m.Alert.Text
	lines := []string{t.What}
	add := func(label, text string) {
		if text != "" {
			lines = append(lines, label+text)
		}
	}
	add("Still works: ", t.Works)
	if m.Alert.Over.IsZero() && m.Alert.Advisory == "" {
		add("Explain: ", t.Next)
		add("Acknowledge: ", links.Acknowledge)
	}
	add("Incident: ", links.Page)
	add("Evidence: ", t.Evidence)
	return strings.Join(lines, "\n") + "\n"
}

// Links lead from a message to what can be done.
type Links struct {
	Page        string
	Acknowledge string // an address, or a command
}

// oneLine replaces line breaks and control characters: a title may come from a person.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text))
}

// shorten cuts a text to a number of characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:most-1])) + "…"
}
