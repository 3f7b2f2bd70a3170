package web

import (
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Look is how a status, verdict or vote appears. A word, a color and a shape always go together, so that nobody
// needs to distinguish colors.
type Look struct {
	Class string // CSS class: one of classes, which has its color
	Shape string
	Word  string
}

// The classes from good to bad, and one for what is not known.
const (
	classUp       = "up"
	classDegraded = "degraded"
	classPartial  = "partial"
	classDown     = "down"
	classUnknown  = "unknown"

	classMaintenance = "maintenance"
)

// shapes are what each class is drawn with.
var shapes = map[string]string{
	classUp: "●", classDegraded: "▲", classPartial: "◆", classDown: "■", classUnknown: "○",
	classMaintenance: "◐",
}

// classes is the one table of colors: for the style sheet, badges and the icon. Each has a contrast of at least 4.5
// to 1 with the cards of its scheme, as WCAG AA asks of text.
var classes = []struct{ class, light, dark string }{
	{classUp, "#0f7b46", "#4cc38a"},
	{classDegraded, "#8a5a00", "#e5b454"},
	{classPartial, "#b04a00", "#ff9a5c"},
	{classDown, "#b3261e", "#ff7b72"},
	{classMaintenance, "#2456c9", "#8db4ff"},
	{classUnknown, "#5b6570", "#a9b4bf"},
}

// Color returns the color of a class on a light ground; that of unknown for a class that does not exist.
func Color(class string) string {
	for _, c := range classes {
		if c.class == class {
			return c.light
		}
	}
	return classes[len(classes)-1].light
}

// palette is the part of the style sheet that follows from classes: a variable --CLASS for each color, and --c, which
// is the color of the nearest element with a class.
func palette() string {
	var light, dark, rules strings.Builder
	for _, c := range classes {
		fmt.Fprintf(&light, "--%s:%s;", c.class, c.light)
		fmt.Fprintf(&dark, "--%s:%s;", c.class, c.dark)
		fmt.Fprintf(&rules, ".%s{--c:var(--%[1]s)}", c.class)
	}
	return fmt.Sprintf(":root{%s}\n@media screen and (prefers-color-scheme:dark){:root{%s}}\n%s\n", &light, &dark, &rules)
}

func newLook(class, word string) Look { return Look{class, shapes[class], word} }

// StatusLook returns how a host's status appears.
func StatusLook(s mesh.Status) Look {
	switch s {
	case mesh.Operational:
		return newLook(classUp, "Operational")
	case mesh.DegradedPerformance:
		return newLook(classDegraded, "Degraded performance")
	case mesh.PartialOutage:
		return newLook(classPartial, "Partial outage")
	case mesh.MajorOutage:
		return newLook(classDown, "Major outage")
	case mesh.UnderMaintenance:
		return newLook(classMaintenance, "Under maintenance")
	}
	return newLook(classUnknown, "Unknown")
}

// VerdictLook returns how a check's verdict appears.
func VerdictLook(v mesh.Verdict) Look {
	switch v {
	case mesh.Up:
		return newLook(classUp, "Up")
	case mesh.Degraded:
		return newLook(classDegraded, "Degraded")
	case mesh.Partial:
		return newLook(classPartial, "Partial")
	case mesh.Down:
		return newLook(classDown, "Down")
	case mesh.Pending:
		return newLook(classUnknown, "Waiting for the first results")
	}
	return newLook(classUnknown, "Unknown")
}

// CheckLook returns how a check appears: by its verdict, unless a maintenance covers it.
func CheckLook(c mesh.CheckState) Look {
	if c.Maintenance != "" {
		return StatusLook(mesh.UnderMaintenance)
	}
	return VerdictLook(c.Verdict)
}

// VoteLook returns how a region's or a vantage's vote appears.
func VoteLook(v mesh.Vote) Look {
	switch v {
	case mesh.OK:
		return newLook(classUp, "working")
	case mesh.Bad:
		return newLook(classDown, "failing")
	}
	return newLook(classUnknown, "no result")
}

// IncidentLook returns how an incident appears. What people say comes before what the impact is called.
func IncidentLook(i *incident.Incident) Look {
	if !i.Open() {
		look := ResolvedLook()
		if i.State == incident.Postmortem {
			look.Word = "Resolved, with a post-mortem"
		}
		return look
	}
	look := ImpactLook(i.Impact)
	if i.TakenOver() {
		look.Word = strings.ToUpper(string(i.State[:1])) + string(i.State[1:])
	}
	return look
}

// ImpactLook returns how the impact of an open incident appears; it is that of the worst status behind it.
func ImpactLook(i incident.Impact) Look {
	switch i {
	case incident.Minor:
		return newLook(classDegraded, "Degraded")
	case incident.Major:
		return newLook(classPartial, "Partial outage")
	case incident.Critical:
		return newLook(classDown, "Major outage")
	}
	return newLook(classUnknown, "Unknown")
}

// AgentLook returns whether an agent is connected. Connected means that its batches arrive.
func AgentLook(a mesh.VantageState) Look {
	switch {
	case a.LastBatch.IsZero():
		return newLook(classUnknown, "never connected")
	case a.Silent:
		return newLook(classDown, "silent")
	}
	return newLook(classUp, "connected")
}

// OutOfDateLook is how everything appears that was known once and may have changed since.
func OutOfDateLook() Look { return newLook(classUnknown, "Out of date") }

// ResolvedLook is how a resolved incident appears, whatever its impact was.
func ResolvedLook() Look { return newLook(classUp, "Resolved") }
