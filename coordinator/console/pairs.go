package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// pairView is what one vantage sees of one check.
type pairView struct {
	Vantage, Region, Host, HostRegion, Check string
	City, HostCity                           string   // of the regions
	Sentences                                []string // what its latest results say, in both directions
	Votes                                    checkView
	With                                     string // the vantage that it is compared with
	Others                                   []web.Link
	Charts                                   []chartView
	Periods                                  []periodRow
	Changes                                  []changeRow
	Events                                   []event
}

// periodRow sums up a period.
type periodRow struct {
	Name, Vantage string
	rollup.Digest
	Known bool
}

// newPairView describes what a vantage sees of a check now.
func (r request) newPairView(vantage *mesh.VantageState, h *mesh.HostState, c *mesh.CheckState) pairView {
	v := pairView{
		Vantage: vantage.Name, Region: vantage.Region, City: sentence.City(r.catalog, vantage.Region),
		Host: h.Name, HostRegion: h.Region, HostCity: sentence.City(r.catalog, h.Region), Check: c.Name,
		Sentences: r.pairSentences(vantage, h, c), Votes: r.newCheckView(h, c),
	}
	v.Votes.Votes = slices.DeleteFunc(
		v.Votes.Votes,
		func(row voteRow) bool { return row.Vantage != mesh.Key(vantage.Name) },
	)
	return v
}

// pairPage is the page of what a vantage sees of a check. ?with= names another vantage to compare with.
func pairPage(s *console, r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	vantage, err := r.vantage(r.PathValue("vantage"))
	if err != nil {
		return view{}, err
	}
	v := r.newPairView(vantage, h, c)
	if with := r.URL.Query().Get("with"); with != "" {
		other, err := r.vantage(with)
		if err != nil {
			return view{}, err
		}
		v.With = other.Name
	}
	for _, o := range observers(c) {
		if name := cmp.Or(r.names()[o], o); !slices.Contains(v.vantages(), name) {
			v.Others = append(v.Others, web.Link{Name: name, URL: pairPath(vantage.Name, h.Name, c.Name) + "?with=" + name})
		}
	}
	if v.Events, err = s.eventsOf(r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	marks, err := s.chartMarks(r, h.Name, c.Name, v.Events)
	if err != nil {
		return view{}, err
	}
	minutes := table{name: "minutes", columns: append([]string{"vantage", "at"}, digestColumns...)}
	charts, err := v.addCharts(s, r, marks, &minutes)
	if err != nil {
		return view{}, err
	}
	if v.Changes, err = changesOf(s, r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	return view{
		title: vantage.Name + " to " + h.Name + " " + c.Name, template: "pair", section: "/matrix", data: v, still: true,
		tables: []table{
			minutes, v.periodTable(), {"votes", voteColumns, v.Votes.rows()}, changeTable(v.Changes), eventTable(v.Events),
		},
		charts: charts,
	}, nil
}

// addCharts adds the charts of the last hour and of 48 hours, what these periods sum up to, and the minutes to a table.
// It returns the charts that read their values by themselves: the page has their tables, with ten minutes for a row.
func (v *pairView) addCharts(s *console, r request, marks []web.ChartMark, t *table) ([]web.Chart, error) {
	o := observed{host: v.Host, check: v.Check, marks: marks}
	for _, name := range v.vantages() {
		o.groups = append(o.groups, vantageGroup{name, []string{name}})
	}
	hour, err := o.charts(s, r, lastHour, lastHour.name, time.Minute, nil)
	if err != nil {
		return nil, err
	}
	days, err := o.charts(s, r, twoDays, "48 hours by minute", time.Minute, t)
	if err != nil {
		return nil, err
	}
	tens, err := o.charts(s, r, twoDays, "48 hours by ten minutes", 10*time.Minute, nil)
	if err != nil {
		return nil, err
	}
	for _, p := range []recentPeriod{lastHour, twoDays} {
		for _, g := range o.groups {
			whole := p.in(r.snapshot.At, time.Minute)
			whole.Step = p.span
			points, err := o.points(s, r, g, whole)
			if err != nil {
				return nil, err
			}
			row := periodRow{Name: p.name, Vantage: g.name, Known: len(points) > 0}
			if row.Known {
				row.Digest = rounded(points[0].Digest)
			}
			v.Periods = append(v.Periods, row)
		}
	}
	v.Sentences = append(v.Sentences, v.losses()...)
	values := days.both()
	days.readFrom(r, pairPath(v.Vantage, v.Host, v.Check), tens)
	return values, appendCharts(&v.Charts, append(hour.both(), days.both()...)...)
}

// vantages returns the names of the vantage and of the one that it is compared with.
func (v pairView) vantages() []string {
	if v.With == "" {
		return []string{v.Vantage}
	}
	return []string{v.Vantage, v.With}
}

// losses describes the losses of the first period, for each vantage whose losses are no coincidence. The sentence that
// the path works is not enough: it still holds when half of the probes are lost.
func (v pairView) losses() (out []string) {
	for _, p := range v.Periods {
		if p.Name == lastHour.name && p.Lost > 1 && p.Loss() >= lossNoted {
			out = append(out, fmt.Sprintf("%s lost %d of %d probes in %s: %s.", p.Vantage, p.Lost, p.Sent, p.Name,
				percent(p.Loss())))
		}
	}
	return out
}

// periodTable is the table of periods for programs.
func (v pairView) periodTable() table {
	t := table{name: "periods", columns: append([]string{"period", "vantage"}, digestColumns...)}
	for _, p := range v.Periods {
		if p.Known {
			t.rows = append(t.rows, append([]any{p.Name, p.Vantage}, digestCells(p.Digest)...))
		}
	}
	return t
}

func (r request) vantage(name string) (*mesh.VantageState, error) {
	key := mesh.Key(name)
	if named := hostNamed(r, name); named != nil {
		key = named.Key()
	}
	same := func(v mesh.VantageState) bool { return mesh.Key(v.Name) == key }
	if i := slices.IndexFunc(r.snapshot.Vantages, same); i >= 0 {
		return &r.snapshot.Vantages[i], nil
	}
	return nil, web.Errorf(http.StatusNotFound, "%s has no vantage %s.", catalogThen(r), name)
}

// observers returns the keys of the vantages that run a check.
func observers(c *mesh.CheckState) (out []string) {
	for _, v := range c.Votes {
		for _, e := range v.Edges {
			if !slices.Contains(out, e.Vantage) {
				out = append(out, e.Vantage)
			}
		}
	}
	return out
}

// sight is what vantages of one place see of checks of another: how many results are good and bad. A lost ping of a
// host that is alive is neither: it does not say whether the path works.
type sight struct{ good, bad, filtered int }

func (s sight) fails() bool { return s.bad > s.good }
func (s sight) works() bool { return s.good > 0 && s.bad == 0 }
func (s sight) blind() bool { return s.good == 0 && s.bad > 0 }

// add counts the latest results of a check by the vantages that are wanted.
func (s *sight) add(c *mesh.CheckState, wanted func(region string, e mesh.EdgeState) bool) {
	for _, v := range c.Votes {
		for _, e := range v.Edges {
			if !wanted(v.Region, e) {
				continue
			}
			switch {
			case filtered(e):
				s.filtered++
			case e.Vote == mesh.OK:
				s.good++
			case e.Vote == mesh.Bad:
				s.bad++
			}
		}
	}
}

// pairSentences says whether the vantage sees the check, whether others do, and whether the other direction works.
func (r request) pairSentences(vantage *mesh.VantageState, h *mesh.HostState, c *mesh.CheckState) []string {
	key := mesh.Key(vantage.Name)
	var own, others sight
	own.add(c, func(_ string, e mesh.EdgeState) bool { return e.Vantage == key })
	others.add(c, func(region string, e mesh.EdgeState) bool { return region != vantage.Region && e.Vantage != key })
	var out []string
	switch {
	case own == sight{}:
		out = append(out, vantage.Name+" has no result of "+h.Name+" "+c.Name+" that counts"+r.whyNoVote(vantage, c)+".")
	case own.good+own.bad == 0:
		out = append(out, vantage.Name+" lost its latest ping of "+h.Name+", and "+h.Name+" has since proved otherwise "+
			"that it is alive: the ping or its answer is dropped on the way.")
	case own.fails() && others.works():
		out = append(out, vantage.Name+" alone does not reach "+h.Name+" "+c.Name+": every other region does. "+
			"The fault is on the way between them, or at "+vantage.Name+".")
	case own.fails() && others.fails():
		out = append(out, "Most others do not reach "+h.Name+" "+c.Name+" either: the fault is at "+h.Name+".")
	case own.fails():
		out = append(out, vantage.Name+" does not reach "+h.Name+" "+c.Name+", and some others do not either.")
	default:
		out = append(out, vantage.Name+" reaches "+h.Name+" "+c.Name+".")
	}
	if direction := r.directions(vantage.Name, h.Name); direction != "" {
		out = append(out, direction)
	}
	return out
}

// directions says whether the agents of two hosts see each other, by all checks of both: a service that is down is no
// cut. It returns "" if that cannot be said, as while a round asks about a failure of just now.
func (r request) directions(a, b string) string {
	there, back := r.sightOf(a, b), r.sightOf(b, a)
	switch {
	case r.unsettled(a, b) || r.unsettled(b, a):
		return ""
	case there.blind() && back.good > 0 && r.sightOf("", b).good > 0:
		return fmt.Sprintf("One-way: %s does not see %s, but %s sees %s.", a, b, b, a)
	case back.blind() && there.good > 0 && r.sightOf("", a).good > 0:
		return fmt.Sprintf("One-way: %s sees %s, but %s does not see %s.", a, b, b, a)
	case there.works() && back.works():
		return "Both directions work."
	}
	return ""
}

// unsettled reports whether an open round may be about a failure of the vantage to reach the host.
func (r request) unsettled(vantage, host string) (unsettled bool) {
	for i := range r.snapshot.Hosts {
		h := &r.snapshot.Hosts[i]
		if mesh.Key(h.Name) != mesh.Key(host) {
			continue
		}
		for _, c := range h.Checks {
			for _, v := range c.Votes {
				unsettled = unsettled || c.RoundOpen && slices.ContainsFunc(v.Edges, func(e mesh.EdgeState) bool {
					return e.Vantage == mesh.Key(vantage) && e.Vote == mesh.Bad && r.snapshot.At.Sub(e.Since) < roundMax
				})
			}
		}
	}
	return unsettled
}

// sightOf returns what a vantage sees of all checks of a host; with "", what all vantages see.
func (r request) sightOf(vantage, host string) (s sight) {
	for i := range r.snapshot.Hosts {
		if h := &r.snapshot.Hosts[i]; mesh.Key(h.Name) == mesh.Key(host) {
			for k := range h.Checks {
				s.add(&h.Checks[k], func(_ string, e mesh.EdgeState) bool {
					return vantage == "" || e.Vantage == mesh.Key(vantage)
				})
			}
		}
	}
	return s
}
