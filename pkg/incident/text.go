package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Name is the title that a person gave the incident. Without one it is made of its hosts, and the worst that happened
// to them.
func (i *Incident) Name() string {
	if title := givenTitle(i); title != "" {
		return title
	}
	var names []string
	var hosts []Host
	down := true
	for _, h := range i.Hosts {
		if h.Worst == "" { // a person named it, and nothing was measured
			continue
		}
		hosts, names = append(hosts, h), append(names, h.Name)
		down = down && h.Worst == mesh.MajorOutage
	}
	switch {
	case len(hosts) == 0:
		return list(i.HostNames()) + ": incident"
	case len(hosts) == 1:
		return hosts[0].summary()
	case down:
		return list(names) + " " + tense(i, "are", "were") + " down"
	}
	return list(names) + " " + tense(i, "are", "were") + " affected"
}

// givenTitle is the title that a person gave the incident, or "".
func givenTitle(i *Incident) string {
	if len(i.Titles) == 0 {
		return ""
	}
	return i.Titles[0].Title
}

// HostNames names the hosts of the incident.
func (i *Incident) HostNames() []string {
	names := make([]string, len(i.Hosts))
	for n, h := range i.Hosts {
		names[n] = h.Name
	}
	return names
}

// Called is the name of the host, and that which it had when the incident began.
func (h Host) Called() string {
	if h.Was == "" {
		return h.Name
	}
	return h.Name + " (was " + h.Was + ")"
}

// tense returns the verb form for an incident that is open or over.
func tense(i *Incident, present, past string) string {
	if _, ongoing := i.Measured(); ongoing {
		return present
	}
	return past
}

// summary is the title of an incident of this host alone.
func (h Host) summary() string {
	checks, verdict := h.worstChecks()
	switch {
	case h.Worst == mesh.MajorOutage:
		return h.Name + ": major outage"
	case len(checks) == 0: // no check failed: the status changed with the catalog
		return h.Name + ": " + strings.ReplaceAll(string(h.Worst), "_", " ")
	case verdict == mesh.Partial:
		return fmt.Sprintf("%s: %s unreachable from some regions", h.Name, list(checks))
	case verdict == mesh.Down:
		return fmt.Sprintf("%s: %s down", h.Name, list(checks))
	}
	return fmt.Sprintf("%s: %s degraded", h.Name, list(checks))
}

// worstChecks returns the checks with the worst verdict of all windows, in the order in which they failed.
func (h Host) worstChecks() (checks []string, worst mesh.Verdict) {
	for _, w := range h.Windows {
		if w.Verdict.Severity() > worst.Severity() {
			checks, worst = nil, w.Verdict
		}
		if w.Verdict == worst && !slices.Contains(checks, w.Check) {
			checks = append(checks, w.Check)
		}
	}
	return checks, worst
}

// namesMax is how many names a title lists before it counts the rest. A title must fit in one line of a feed.
const namesMax = 3

// join writes all names as in a sentence: "A, B and C".
func join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// list writes names as in a sentence: "A, B and C", "A, B, C and 4 more".
func list(names []string) string {
	if n := len(names); n > namesMax {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namesMax], ", "), n-namesMax)
	}
	return join(names)
}

// FormatDuration writes a duration exact to the second: "21 min 3 s".
func FormatDuration(d time.Duration) string {
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
