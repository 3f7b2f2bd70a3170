package site

import (
	"context"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// hostPage is a host with everything that happened to it.
type hostPage struct {
	Incidents []incidentView    // that are open
	Coming    []maintenanceView // in progress and planned
	Host      hostView
	Uptimes   []uptimeView
	Charts    []template.HTML
	Past      []happenedView
	Changes   []changeView
	News      []entryView // what names it
}

// checkPage is a check with everything that happened to it.
type checkPage struct {
	Host      hostView
	Check     checkView
	Incidents []incidentView // of the check, that are open
	Uptimes   []uptimeView
	Charts    []template.HTML
	Past      []happenedView
}

// happenedView is an outage of a host or a check: the part that it had in an incident.
type happenedView struct {
	web.Look
	ID, Name, Lasted string
	Checks           string // those that failed, on the page of a host
	From, To         time.Time
}

const (
	ofHostShown  = 20  // changes, and outages, on the page of a host or a check
	happenedDays = 365 // how far back outages are listed
	happenedMax  = 500 // incidents of all hosts read for it
)

// presentPath returns the present path of the page of a renamed host or check by its former name, which is the rest of
// the path; "" if nothing was renamed.
func presentPath(state web.State, name string) string {
	host, check, ofCheck := strings.Cut(name, checksPart)
	h, moved := state.Moved(host)
	if !ofCheck {
		if !moved {
			return ""
		}
		return hostPath(h)
	}
	if !moved {
		var found bool
		if h, found = state.Host(mesh.Key(host)); !found {
			return ""
		}
	}
	if c, ok := findCheck(h, check); ok {
		if !moved {
			return ""
		}
		return checkPath(h, c)
	}
	c, ok := state.MovedCheck(h, func(former string) bool { return slug(former) == slug(check) })
	if !ok {
		return ""
	}
	return checkPath(h, c)
}

func hostPath(h mesh.HostState) string { return hostsPrefix + url.PathEscape(h.Name) }

func checkPath(h mesh.HostState, c mesh.CheckState) string {
	return hostPath(h) + checksPart + url.PathEscape(slug(c.Name))
}

// findCheck returns the check of the host with a name as an address has it.
func findCheck(h mesh.HostState, name string) (mesh.CheckState, bool) {
	i := slices.IndexFunc(h.Checks, func(c mesh.CheckState) bool { return slug(c.Name) == slug(name) })
	if i < 0 {
		return mesh.CheckState{}, false
	}
	return h.Checks[i], true
}

// historyOf returns what was measured, and of a host the incidents and the uptimes.
func (s *Site) historyOf(
	ctx context.Context, state web.State, key string,
) (past *measured, incidents []*incident.Incident, uptimes uptimesOf, err error) {
	if incidents, err = s.incidentsOf(ctx, state, key); err != nil {
		return nil, nil, nil, err
	}
	if past, err = s.past.of(ctx, s.view, state); err != nil {
		return nil, nil, nil, err
	}
	uptimes, err = past.uptimesOf(ctx, s.view, key)
	return past, incidents, uptimes, err
}

func (s *Site) renderHost(ctx context.Context, state web.State, key string) (template.HTML, bool, error) {
	h, ok := state.Host(key)
	if !ok {
		return "", false, nil
	}
	changes, err := s.view.Transitions(ctx, key, time.Time{}, changesMax)
	if err != nil {
		return "", true, err
	}
	past, incidents, uptimes, err := s.historyOf(ctx, state, key)
	if err != nil {
		return "", true, err
	}
	planned, err := s.maintenances(ctx, state)
	if err != nil {
		return "", true, err
	}
	news, err := s.newsOf(ctx, state, key)
	if err != nil {
		return "", true, err
	}
	page := hostPage{
		Incidents: openIncidents(state, incidents), Coming: coming(state, planned, key), Host: newHostView(state, h),
		Uptimes: uptimes[""], Past: newHappenedViews(state, incidents, key, ""),
		Changes: newChangeViews(state, newest(changes)),
		News:    news,
	}
	page.Host.measure(past)
	if c := leading(h); c != nil {
		for n := range page.Host.Checks {
			page.Host.Checks[n].Leading = page.Host.Checks[n].Name == c.Name
		}
		page.Charts, err = s.charts(ctx, state, past, chartOf{
			host: key, check: c.Name, marks: marksOf(incidents, key, "", past.at), tableAt: checkPath(h, *c),
		})
		if err != nil {
			return "", true, err
		}
	}
	body, err := web.Render(templates, "host", page)
	return body, true, err
}

// leading is the check whose round-trip times the page of a host shows: its ping, or else its first check.
func leading(h mesh.HostState) *mesh.CheckState {
	for i := range h.Checks {
		if h.Checks[i].Kind == "ping" {
			return &h.Checks[i]
		}
	}
	if len(h.Checks) == 0 {
		return nil
	}
	return &h.Checks[0]
}

// newest returns the transitions that the page of a host shows.
func newest(all []mesh.Transition) []mesh.Transition { return all[max(0, len(all)-ofHostShown):] }

func (s *Site) renderCheck(ctx context.Context, state web.State, key, name string) (template.HTML, bool, error) {
	h, found := state.Host(key)
	if !found {
		return "", false, nil
	}
	c, found := findCheck(h, name)
	if !found {
		return "", false, nil
	}
	past, incidents, uptimes, err := s.historyOf(ctx, state, key)
	if err != nil {
		return "", true, err
	}
	page := checkPage{
		Host:    newHostView(state, h),
		Uptimes: uptimes[c.Name],
		Past:    newHappenedViews(state, incidents, key, c.Name),
	}
	page.Host.measure(past)
	page.Check = page.Host.Checks[slices.IndexFunc(page.Host.Checks, func(v checkView) bool { return v.Name == c.Name })]
	page.Incidents = openIncidents(state, slices.DeleteFunc(slices.Clone(incidents), func(i *incident.Incident) bool {
		return len(windowsOf(i, key, c.Name)) == 0
	}))
	page.Charts, err = s.charts(ctx, state, past, chartOf{
		host: key, check: c.Name, marks: marksOf(incidents, key, c.Name, past.at),
	})
	if err != nil {
		return "", true, err
	}
	body, err := web.Render(templates, "check", page)
	return body, true, err
}

// incidentsOf returns the open incidents of a host and those of the last year, newest first.
func (s *Site) incidentsOf(ctx context.Context, state web.State, key string) ([]*incident.Incident, error) {
	all, err := s.view.Incidents(ctx, state.Snapshot.At.AddDate(0, 0, -happenedDays), happenedMax)
	return slices.DeleteFunc(all, func(i *incident.Incident) bool {
		return !slices.ContainsFunc(i.Hosts, func(h incident.Host) bool { return mesh.Key(h.Name) == key })
	}), err
}

// windowsOf returns the times at which a check of a host was not up during an incident; for "", any of its checks.
func windowsOf(i *incident.Incident, key, check string) (out []incident.Window) {
	for _, h := range i.Hosts {
		for _, w := range h.Windows {
			if mesh.Key(h.Name) == key && (check == "" || w.Check == check) {
				out = append(out, w)
			}
		}
	}
	return out
}

// newHappenedViews lists the outages of a check of a host, or for "" of the host, newest first.
func newHappenedViews(state web.State, all []*incident.Incident, key, check string) (out []happenedView) {
	for _, i := range all {
		windows := windowsOf(i, key, check)
		if len(windows) == 0 || len(out) == ofHostShown {
			continue
		}
		v := happenedView{ID: i.ID, Name: state.InClientsWords(i).Name(), From: i.Wall(windows[0].From)}
		var worst mesh.Verdict
		var names []string
		ongoing, last := false, time.Time{}
		for _, w := range windows {
			if worst == "" || w.Verdict.Severity() > worst.Severity() {
				worst = w.Verdict
			}
			if !slices.Contains(names, w.Check) {
				names = append(names, w.Check)
			}
			if from := i.Wall(w.From); from.Before(v.From) {
				v.From = from
			}
			ongoing = ongoing || w.To.IsZero()
			if w.To.After(last) {
				last = w.To
			}
		}
		v.Look = web.VerdictLook(worst)
		if check == "" {
			v.Checks = strings.Join(names, ", ")
		}
		if !ongoing {
			v.To, v.Lasted = i.Wall(last), incident.FormatDuration(incident.Covered(windows, last))
		}
		out = append(out, v)
	}
	return out
}

// marksOf are the outages of a check, or for "" of a host, as a chart shades them. Those that go on end now.
func marksOf(all []*incident.Incident, key, check string, now time.Time) (out []web.ChartMark) {
	for _, i := range all {
		for _, w := range windowsOf(i, key, check) {
			mark := web.ChartMark{Name: web.VerdictLook(w.Verdict).Word, From: i.Wall(w.From), To: i.Wall(w.To)}
			if w.To.IsZero() {
				mark.To = now
			}
			out = append(out, mark)
		}
	}
	return out
}

// daysOfLatency is how many days the long chart of a check shows.
const daysOfLatency = barsShown

// daily returns the round-trip times of a check by region and day, of the days that the long chart shows.
func (m *measured) daily(ctx context.Context, view *web.View, key, check string) ([]latency.Row, error) {
	m.pastMu.Lock()
	defer m.pastMu.Unlock()
	of := key + "\x00" + check
	if known, ok := m.dailies[of]; ok {
		return known, nil
	}
	report, err := view.Latency(ctx, web.LatencyQuery{Host: key, Check: check, By: latency.Day, From: m.from, To: m.at})
	if err != nil {
		return nil, err
	}
	m.dailies[of] = report.Rows
	return report.Rows, nil
}
