package incident

import (
	"fmt"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Name is the incident in a few words: the worst of it, and of whom.
func (i *Incident) Name() string {
	names := make([]string, len(i.Hosts))
	down := true
	for n, h := range i.Hosts {
		names[n] = h.Name
		down = down && h.Worst == mesh.MajorOutage
	}
	switch {
	case len(i.Hosts) == 1:
		return i.Hosts[0].summary()
	case down:
		return list(names) + " " + tense(i, "are", "were") + " down"
	}
	return list(names) + " " + tense(i, "are", "were") + " affected"
}

func tense(i *Incident, present, past string) string {
	if i.Open() {
		return present
	}
	return past
}

func (h Host) summary() string {
	checks, verdict := h.worstChecks()
	switch {
	case h.Worst == mesh.MajorOutage:
		return h.Name + ": major outage"
	case len(checks) == 0:
		return h.Name + ": " + strings.ReplaceAll(string(h.Worst), "_", " ")
	case verdict == mesh.Partial:
		return fmt.Sprintf("%s: %s cannot be reached from everywhere", h.Name, list(checks))
	case verdict == mesh.Down:
		return fmt.Sprintf("%s: %s down", h.Name, list(checks))
	}
	return fmt.Sprintf("%s: %s degraded", h.Name, list(checks))
}

// worstChecks names the checks with the worst verdict of the host's windows.
func (h Host) worstChecks() (checks []string, worst mesh.Verdict) {
	for _, w := range h.Windows {
		if w.Verdict.Severity() > worst.Severity() {
			checks, worst = nil, w.Verdict
		}
		if w.Verdict == worst && !strings.Contains("\x00"+strings.Join(checks, "\x00")+"\x00", "\x00"+w.Check+"\x00") {
			checks = append(checks, w.Check)
		}
	}
	return checks, worst
}

// namesMax is how many things are named; of more, the rest is counted.
const namesMax = 3

// list is names as people say them.
func list(names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return names[0]
	case n > namesMax:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namesMax], ", "), n-namesMax)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// Lasted is a time in minutes and seconds, to the second: "21 min 3 s".
func Lasted(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	var out []string
	for _, unit := range []struct {
		name    string
		seconds int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}} {
		if n := s / unit.seconds; n > 0 {
			out, s = append(out, fmt.Sprintf("%d %s", n, unit.name)), s%unit.seconds
		}
	}
	if s > 0 || len(out) == 0 {
		out = append(out, fmt.Sprintf("%d s", s))
	}
	return strings.Join(out, " ")
}
