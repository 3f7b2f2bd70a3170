package console

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// item is one thing that needs an operator, with what to do next.
type item struct {
	web.Look
	Title, Detail string
	Since         time.Time // zero: not known
	Age           string    // since then, in words
	Links         []web.Link
	Commands      []string
	rank          int
}

// The order of what needs an operator.
const (
	rankDown = iota
	rankPartial
	rankOverdue
	rankUnknown
	rankPath
	rankWarning
	rankDegraded
	rankAdvisory
)

// itemsMax bounds what the overview lists: a cut of a large mesh breaks every host at once.
const itemsMax = 60

// attention lists what needs an operator now, the most urgent first, and how many more there are.
func attention(s *console, r request, incidents []*incident.Incident) (out []item, more int) {
	open := incidentsByHost(incidents)
	for _, alert := range r.snapshot.Alerts {
		out = append(out, item{
			Look: web.StatusLook(mesh.PartialOutage), Title: alert, rank: rankDown,
			Links: []web.Link{{Name: "Agents", URL: "/agents"}}, Commands: []string{"coordinator status"},
		})
	}
	for i := range r.snapshot.Hosts {
		out = append(out, r.hostItems(&r.snapshot.Hosts[i], open)...)
	}
	out = append(out, pathItems(s, r)...)
	if r.moment.IsZero() { // what people owe and what the mesh lacks is known of the present alone
		out = append(out, incidentItems(r, incidents)...)
		out = append(out, warningItems(s, r)...)
	}
	out = append(out, advisoryItems(r.snapshot)...)
	slices.SortStableFunc(out, func(a, b item) int { return a.rank - b.rank })
	if len(out) > itemsMax {
		out, more = out[:itemsMax], len(out)-itemsMax
	}
	r.finish(out)
	return out, more
}

// incidentsByHost returns the first incident of each host's key.
func incidentsByHost(incidents []*incident.Incident) map[string]*incident.Incident {
	out := map[string]*incident.Incident{}
	for _, i := range incidents {
		for _, h := range i.Hosts {
			if out[mesh.Key(h.Name)] == nil {
				out[mesh.Key(h.Name)] = i
			}
		}
	}
	return out
}

// finish adds to the items how long they have lasted, and names programs as they are called on this machine.
func (r request) finish(items []item) {
	for i := range items {
		if !items[i].Since.IsZero() {
			items[i].Age = age(r.snapshot.At.Sub(items[i].Since))
		}
		items[i].Detail = command.WithProgramNames(items[i].Detail)
		for k, c := range items[i].Commands {
			items[i].Commands[k] = command.AsCalledHere(c)
		}
	}
}

// age writes how long something lasts: "12 min", "3 h 5 min", "2 d 4 h".
func age(d time.Duration) string {
	minutes := int(d.Minutes())
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%d d %d h", minutes/60/24, minutes/60%24)
}

// hostItems returns the checks of a host that are not up, one item for each verdict.
func (r request) hostItems(h *mesh.HostState, open map[string]*incident.Incident) (out []item) {
	for _, verdict := range []mesh.Verdict{mesh.Down, mesh.Partial, mesh.Unknown, mesh.Degraded} {
		var found []*mesh.CheckState
		for k := range h.Checks {
			if c := &h.Checks[k]; c.Verdict == verdict && c.Maintenance == "" {
				found = append(found, c)
			}
		}
		if len(found) == 0 {
			continue
		}
		names := make([]string, len(found))
		it := item{Look: web.VerdictLook(verdict), Since: found[0].Since, rank: verdictRank(verdict)}
		for i, c := range found {
			names[i] = c.Name
			if c.Since.Before(it.Since) {
				it.Since = c.Since
			}
		}
		subject := " " + strings.Join(names, ", ")
		if len(found) == len(h.Checks) && len(found) > 1 {
			subject = ", all checks"
		}
		it.Title = fmt.Sprintf("%s%s: %s", h.Name, subject, verdictWords(verdict))
		it.Detail = sentences(append([]string{found[0].Sentence}, without(found[0].Advisories, judge.PathPrefix)...)...)
		if why := commonReason(found[0]); verdict == mesh.Unknown && why != "" {
			it.Detail += " Most say: " + why + "."
		}
		it.Links = []web.Link{{Name: "Explain", URL: checkPath(h.Name, found[0].Name)}}
		it.Commands = []string{r.explainCommand(h.Name)}
		if place := r.uplinkOrHost(h); verdict == mesh.Down && place != "" {
			it.Detail += " " + place
			it.Links = append(it.Links, web.Link{Name: "Region", URL: regionPath(h.Region)})
		}
		if i := open[mesh.Key(h.Name)]; i != nil && verdict != mesh.Unknown {
			it.Links = append(it.Links, web.Link{Name: "Incident", URL: "/incidents/" + i.ID})
			if r.moment.IsZero() {
				it.Commands = append(it.Commands, "coordinator ack "+i.ID)
			}
		}
		out = append(out, it)
	}
	return out
}

// explainCommand is the command that explains a host at the moment that is shown.
func (r request) explainCommand(host string) string {
	if r.moment.IsZero() {
		return "coordinator explain " + host
	}
	return "coordinator explain " + host + " --at " + momentText(r.moment)
}

func verdictRank(v mesh.Verdict) int {
	switch v {
	case mesh.Down:
		return rankDown
	case mesh.Partial:
		return rankPartial
	case mesh.Unknown:
		return rankUnknown
	}
	return rankDegraded
}

// verdictWords follows the names of checks, which may be plurals: "NC041 Web sites: down".
func verdictWords(v mesh.Verdict) string {
	if v == mesh.Partial {
		return "down for some regions"
	}
	return string(v)
}

// incidentItems returns what people owe to their readers: promised updates, and incidents that wait to be resolved.
func incidentItems(r request, incidents []*incident.Incident) (out []item) {
	now := r.snapshot.At.Add(r.snapshot.Offset) // incidents are in mesh time
	for _, i := range incidents {
		link := []web.Link{{Name: "Incident", URL: "/incidents/" + i.ID}}
		if !i.NextUpdate.IsZero() {
			title := fmt.Sprintf("Promised update of %q is due in %s", i.Name(), age(i.NextUpdate.Sub(now)))
			it := item{Look: web.VerdictLook(mesh.Degraded), rank: rankAdvisory}
			if i.Overdue(now) {
				title = fmt.Sprintf("Promised update of %q is overdue", i.Name())
				it.Look, it.Since, it.rank = web.VerdictLook(mesh.Partial), i.PromisedAt(), rankOverdue
			}
			it.Title, it.Detail, it.Links = title, i.Promise(now), link
			it.Commands = []string{fmt.Sprintf(
				"coordinator incident update %s --status %s --next-update 30m --text \"...\"", i.ID, i.State)}
			out = append(out, it)
		}
		if since, ok := i.Proposed(); ok {
			out = append(out, item{
				Look: web.VerdictLook(mesh.Up), Title: fmt.Sprintf("%q is over and waits to be resolved", i.Name()),
				Detail: "All of its hosts work. The mesh resolves no incident that a person took over.",
				Since:  i.Wall(since), rank: rankAdvisory, Links: link,
				Commands: []string{fmt.Sprintf("coordinator incident resolve %s --text \"...\"", i.ID)},
			})
		}
	}
	return out
}

// pathItems returns the cuts between two regions, and what else single regions cannot reach: it is less than what
// publishes, so nothing else says it.
func pathItems(s *console, r request) (out []item) {
	paths := brokenPaths(r.catalog, r.snapshot)
	cut := cutDirections(paths)
	counted := pingLosses(s, r)
	lost := sharesOf(counted.latest)
	paths = slices.DeleteFunc(paths, func(p brokenPath) bool {
		return r.snapshot.At.Sub(p.since) < cutWhileLossy &&
			(lost.typical() >= meshLossy || lost.beside(r.snapshot, p.direction) >= meshLossy)
	})
	lossy := map[string]bool{}
	for _, p := range lossyPlaces(r.catalog, r.snapshot, counted.latest) {
		out, lossy[p.region] = append(out, p.item(r)), true
	}
	for _, p := range lossyPaths(r.catalog, r.snapshot, counted.pings, paths) {
		out = append(out, p.item(r))
	}
	for _, p := range paths {
		title, detail := p.words(r.catalog)
		out = append(out, item{
			Look: web.VerdictLook(mesh.Partial), Title: title, Detail: detail, Since: p.since, rank: rankPath,
			Links: []web.Link{
				{Name: sentence.City(r.catalog, p.from), URL: regionPath(p.from)},
				{Name: sentence.City(r.catalog, p.to), URL: regionPath(p.to)},
				{
					Name: "Matrix",
					URL:  question{from: p.from, region: p.to, check: allPings, show: showRTT}.address("", ""),
				},
			},
		})
	}
	out = append(out, lonelyItems(s, r, paths)...)
	return append(out, newFilteredPings(r.snapshot, cut, lossy).items()...)
}

// While probes are lost everywhere, or all around a region, one that fails is no cut: it must last.
const (
	meshLossy     = 0.05
	cutWhileLossy = 30 * time.Second
)

// without leaves out the advisories with a prefix, which have items of their own.
func without(advisories []string, prefixes ...string) []string {
	return slices.DeleteFunc(slices.Clone(advisories), func(a string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(a, prefix) })
	})
}

// nextActs are what to do about warnings, by the beginnings of their subjects.
var nextActs = []struct {
	subject string
	title   string
	link    web.Link
	command string
}{
	{"silent", "Agents are silent", web.Link{Name: "Agents", URL: "/agents"}, "systemctl status probemesh-agent"},
	{"identity", "Two agents use one identity", web.Link{Name: "Agents", URL: "/agents"}, ""},
	{"refusal", "Agents are refused", web.Link{Name: "Agents", URL: "/agents"}, "agent doctor"},
	{"unlisted", "Agents without a host", web.Link{Name: "Agents", URL: "/agents"}, ""},
	{"catalog file", "The catalog's file is not in force", web.Link{Name: "Catalog", URL: "/catalog"},
		"coordinator check FILE"},
	{"catalog", "The catalog needs a decision", web.Link{Name: "Catalog", URL: "/catalog"}, "coordinator check FILE"},
	{"renames", "Hosts or checks may have been renamed", web.Link{Name: "Catalog", URL: "/catalog"}, ""},
	{"pending", "Checks that were never up", web.Link{Name: "Matrix", URL: "/matrix"}, ""},
	{"expiry", "Certificates of checked services end soon", web.Link{Name: "Catalog", URL: "/catalog"}, ""},
	{"certificate refused", "A new certificate is refused", web.Link{Name: "Agents", URL: "/agents"}, ""},
	{"certificate", "Certificates of the mesh itself end soon", web.Link{Name: "Agents", URL: "/agents"}, ""},
	{"disk", "Disk", web.Link{Name: "Metrics", URL: "/metrics"}, "df -h"},
	{"channel", "Notifications are not delivered", web.Link{}, "coordinator notify test"},
}

// onTheServer precedes a command that runs where an agent is, and not beside the coordinator.
const onTheServer = " On the server of such an agent, this says more:"

// warningItems returns the warnings about the mesh itself. What people owe to readers has items of its own.
func warningItems(s *console, r request) (out []item) {
	warnings := s.config.Source.Warnings()
	for _, subject := range slices.Sorted(maps.Keys(warnings)) {
		if strings.HasPrefix(subject, "next-update") || strings.HasPrefix(subject, "incident-resolve") ||
			subject == "silent" && silentWhereDown(r.snapshot) {
			continue
		}
		it := item{
			Look: web.VerdictLook(mesh.Degraded), rank: rankWarning,
			Title: sentenceCase(strings.ReplaceAll(subject, "-", " ")), Detail: sentences(warnings[subject]),
			Commands: []string{"coordinator status"},
		}
		for _, act := range nextActs {
			if !strings.HasPrefix(subject, act.subject) {
				continue
			}
			it.Title, it.Commands = act.title, nil
			if act.link.URL != "" {
				it.Links = []web.Link{act.link}
			}
			if act.command != "" {
				it.Commands = []string{act.command}
			}
			if act.subject == "silent" || act.subject == "refusal" {
				it.Detail += onTheServer
			}
			break
		}
		out = append(out, it)
	}
	return out
}

// sentences writes texts one after the other, each as a sentence.
func sentences(texts ...string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		if out[i] = sentenceCase(t); !strings.HasSuffix(t, ".") {
			out[i] += "."
		}
	}
	return strings.Join(out, " ")
}

func sentenceCase(text string) string {
	if text == "" {
		return ""
	}
	letters := []rune(text)
	return strings.ToUpper(string(letters[:1])) + string(letters[1:])
}

// advisoryItems returns the advisories of agents, and of checks that are up.
func advisoryItems(s *mesh.Snapshot) (out []item) {
	for _, v := range s.Vantages {
		if len(v.Advisories) == 0 {
			continue
		}
		out = append(out, item{
			Look: web.VerdictLook(mesh.Degraded), rank: rankWarning,
			Title:    fmt.Sprintf("The agent of %s needs attention", v.Name),
			Detail:   sentences(v.Advisories...) + " On that server, this says more:",
			Links:    []web.Link{{Name: "Agents", URL: "/agents"}},
			Commands: []string{"agent doctor"},
		})
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		for k := range h.Checks {
			c := &h.Checks[k]
			if c.Verdict.Severity() > mesh.Up.Severity() {
				continue // the item of its verdict has them
			}
			for _, a := range without(c.Advisories, judge.PathPrefix, judge.FilteredPrefix) {
				out = append(out, item{
					Look: web.VerdictLook(mesh.Degraded), Title: h.Name + " " + c.Name, Detail: a, rank: rankAdvisory,
					Links: []web.Link{{Name: "Check", URL: checkPath(h.Name, c.Name)}},
				})
			}
		}
	}
	return out
}
