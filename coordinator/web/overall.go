package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Overall is the status of all visible hosts together, and how a page says it.
type Overall struct {
	Status           mesh.Status // the worst of all hosts, and of what people say
	Headline, Detail string
	// Said is the incident because of which the status is worse than what was measured; nil if none is.
	Said *incident.Incident
}

// Overall sums up the hosts that the audience may see, and its open incidents. What the mesh measures now says more
// than how bad a measured incident was at its worst, so that of an incident the impact counts that people gave it.
func (s State) Overall(open []*incident.Incident) Overall {
	out := s.measured()
	for _, i := range open {
		said := saidStatus[i.SaidImpact]
		if !i.Open() || said.Severity() <= out.Status.Severity() {
			continue
		}
		out.Status, out.Headline, out.Said = said, problems[i.SaidImpact], i
	}
	if out.Said == nil {
		return out
	}
	out.Headline += ": " + s.InClientsWords(out.Said).Name()
	if s.measured().Status == mesh.Operational {
		out.Detail = NoOutage(len(s.Hosts()))
	}
	return out
}

// NoOutage is what is said of measurements beside an incident that they do not show.
func NoOutage(systems int) string {
	return "Our checks of " + mesh.Count(systems, "system") + " find no outage."
}

// saidStatus is the status that an impact is worth, as on Statuspage. None is no outage.
var saidStatus = map[incident.Impact]mesh.Status{
	incident.Minor: mesh.DegradedPerformance, incident.Major: mesh.PartialOutage, incident.Critical: mesh.MajorOutage,
}

var problems = map[incident.Impact]string{
	incident.Minor: "Minor problems", incident.Major: "Major problems", incident.Critical: "Critical problems",
}

// measured sums up the hosts that the audience may see.
func (s State) measured() Overall {
	var affected []string
	worst := mesh.Operational
	hosts := s.Hosts()
	for _, h := range hosts {
		if h.Status != mesh.Operational {
			affected = append(affected, h.Name)
		}
		if h.Status.Severity() > worst.Severity() {
			worst = h.Status
		}
	}
	switch {
	case len(hosts) == 0:
		return Overall{Status: mesh.StatusUnknown, Headline: "No systems yet",
			Detail: "This page has no systems to show yet."}
	case worst == mesh.Operational:
		return Overall{Status: worst, Headline: "All systems operational",
			Detail: mesh.Count(len(hosts), "system") + s.checkedFrom() + "."}
	}
	headline := StatusLook(worst).Word
	if worst == mesh.StatusUnknown {
		headline = "The status of some systems is unknown"
		if len(hosts) > 1 && !slices.ContainsFunc(hosts, isKnown) {
			headline = "The status of all systems is unknown"
		}
	}
	systems, names := mesh.Count(len(hosts), "system"), strings.Join(affected, ", ")
	return Overall{Status: worst, Headline: headline,
		Detail: fmt.Sprintf("%d of %s affected: %s.", len(affected), systems, names)}
}

func isKnown(h mesh.HostState) bool { return h.Status != mesh.StatusUnknown }

// checkedFrom says from how many regions the visible hosts' checks have results now: one that is cut off has none.
// It is empty while there are no results.
func (s State) checkedFrom() string {
	reports := map[string]bool{}
	for _, h := range s.Hosts() {
		for _, c := range h.Checks {
			for _, v := range c.Votes {
				reports[v.Region] = reports[v.Region] || v.Vote == mesh.OK || v.Vote == mesh.Bad
			}
		}
	}
	reporting := 0
	for _, does := range reports {
		if does {
			reporting++
		}
	}
	switch reporting {
	case 0:
		return ""
	case len(reports):
		return ", checked from every region"
	}
	return fmt.Sprintf(", checked from %d of %s", reporting, mesh.Count(len(reports), "region"))
}

// Title is the title of the front page. It begins with the status, so that a browser's tab shows it.
func (s State) Title(o Overall) string { return o.Headline + " – " + s.Catalog.Page.Title }

// Open returns the open incidents that the audience may see, newest first. They are read once for each state, since
// every page and every stream needs them. Nobody may change them.
func (v *View) Open(ctx context.Context) ([]*incident.Incident, error) {
	return v.open.of(v.State(), time.Time{}, never).get(ctx, "",
		func(ctx context.Context) ([]*incident.Incident, bool, error) {
			// All that is resolved was so before then.
			all, err := v.Incidents(ctx, time.Now().AddDate(100, 0, 0), openMax)
			return slices.DeleteFunc(all, func(i *incident.Incident) bool { return !i.Open() }), true, err
		})
}

// openMax is how many open incidents are read for a headline.
const openMax = 50
