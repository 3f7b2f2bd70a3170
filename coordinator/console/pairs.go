package console

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
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
	marks                                    []web.ChartMark
}

// periodRow sums up a period.
type periodRow struct {
	Name, Vantage string
	rollup.Digest
	Known bool
}

// The periods of the charts of minutes.
var minutePeriods = []struct {
	id, name string
	span     time.Duration
	step     time.Duration
}{
	{"hour", "the last hour", time.Hour, time.Minute},
	{"days", "48 hours", 48 * time.Hour, 10 * time.Minute},
}

// newPairView describes what a vantage sees of a check now.
func (r request) newPairView(vantage *mesh.VantageState, h *mesh.HostState, c *mesh.CheckState) pairView {
	v := pairView{
		Vantage: vantage.Name, Region: vantage.Region, City: cityOf(r.catalog, vantage.Region),
		Host: h.Name, HostRegion: h.Region, HostCity: cityOf(r.catalog, h.Region), Check: c.Name,
		Sentences: r.pairSentences(vantage, h, c), Votes: r.newCheckView(h, c),
	}
	v.Votes.Votes = slices.DeleteFunc(
		v.Votes.Votes,
		func(row voteRow) bool { return row.Vantage != mesh.Key(vantage.Name) },
	)
	return v
}

// pairPage is the page of what a vantage sees of a check. ?with= names another vantage to compare with.
func (s *console) pairPage(r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	vantage, err := r.vantage(r.PathValue("vantage"))
	if err != nil {
		return view{}, err
	}
	v := r.newPairView(vantage, h, c)
	vantages := []string{vantage.Name}
	if with := r.URL.Query().Get("with"); with != "" {
		other, err := r.vantage(with)
		if err != nil {
			return view{}, err
		}
		v.With, vantages = other.Name, append(vantages, other.Name)
	}
	for _, o := range observers(c) {
		if name := cmp.Or(r.names()[o], o); !slices.Contains(vantages, name) {
			v.Others = append(v.Others, web.Link{Name: name, URL: pairPath(vantage.Name, h.Name, c.Name) + "?with=" + name})
		}
	}
	if v.Events, err = s.eventsOf(r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	if v.marks, err = s.chartMarks(r, h.Name, c.Name, v.Events); err != nil {
		return view{}, err
	}
	minutes, err := s.minuteCharts(r, &v, vantages)
	if err != nil {
		return view{}, err
	}
	if v.Changes, err = s.changes(r, mesh.Key(h.Name), c.Name); err != nil {
		return view{}, err
	}
	return view{
		title: vantage.Name + " to " + h.Name + " " + c.Name, template: "pair", section: "/matrix", data: v, still: true,
		tables: []table{
			minutes, v.periodTable(), {"votes", voteColumns, v.Votes.rows()}, changeTable(v.Changes), eventTable(v.Events),
		},
	}, nil
}

// losses describes the losses of the first period, for each vantage whose losses are no coincidence. The sentence that
// the path works is not enough: it still holds when half of the probes are lost.
func (v pairView) losses() (out []string) {
	for _, p := range v.Periods {
		if p.Name == minutePeriods[0].name && p.Lost > 1 && p.Loss() >= lossNoted {
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
	same := func(v mesh.VantageState) bool { return mesh.Key(v.Name) == mesh.Key(name) }
	if i := slices.IndexFunc(r.snapshot.Vantages, same); i >= 0 {
		return &r.snapshot.Vantages[i], nil
	}
	return nil, web.Errorf(http.StatusNotFound, "The catalog has no vantage %s.", name)
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

// unsettled reports whether a vantage began to fail to reach a host so lately that an open round is about that.
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

// minuteCharts adds the charts of what the vantages observed, minute by minute, and returns them as a table.
func (s *console) minuteCharts(r request, v *pairView, vantages []string) (table, error) {
	out := table{name: "minutes", columns: append([]string{"vantage", "at"}, digestColumns...)}
	now := r.snapshot.At
	all := make([][]latency.Minute, len(vantages))
	for i, name := range vantages {
		minutes, err := s.config.Source.Minutes(r.Context(), latency.MinutesRequest{
			Host: v.Host, Check: v.Check, Vantage: name, From: now.Add(-48 * time.Hour), To: now,
		})
		if err != nil {
			return out, err
		}
		all[i] = minutes
		for _, m := range minutes {
			out.rows = append(out.rows, append([]any{name, m.At}, digestCells(m.Digest)...))
		}
	}
	for _, p := range minutePeriods {
		begin := now.Add(-p.span).Truncate(p.step).Add(p.step)
		rtt := web.Chart{
			ID: "rtt-" + p.id, Label: "Round-trip time, " + p.name + ": median, p90 and p99", Unit: "ms", From: begin,
			Step: p.step, Marks: web.MarksSince(v.marks, begin),
		}
		loss := web.Chart{ID: "loss-" + p.id, Label: "Lost probes, " + p.name, Unit: "%", From: begin, Step: p.step}
		for i, name := range vantages {
			digests := map[int]rollup.Digest{}
			whole, known := rollup.Digest{}, false
			for _, m := range all[i] {
				if n := int(m.At.Sub(begin) / p.step); !m.At.Before(begin) {
					digests[n] = digests[n].Join(m.Digest)
					whole, known = whole.Join(m.Digest), true
				}
			}
			v.Periods = append(v.Periods, periodRow{p.name, name, rounded(whole), known})
			addDigests(&rtt, &loss, name, digests, int(p.span/p.step))
		}
		if err := drawn(&v.Charts, rtt, loss); err != nil {
			return out, err
		}
	}
	v.Sentences = append(v.Sentences, v.losses()...)
	return out, nil
}

// chartView is a chart with its caption.
type chartView struct {
	Title string
	HTML  template.HTML
}

// tooLittle is shown in place of a chart of a young mesh: one point is no line.
const tooLittle template.HTML = `<p class="soft">Too little data for a chart yet.</p>`

// points counts the values of a line.
func points(s web.ChartSeries) (n int) {
	for _, v := range s.Values {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// drawn adds the charts that have a line, and one sentence for all others that follow one another.
func drawn(out *[]chartView, charts ...web.Chart) error {
	for _, c := range charts {
		if len(c.Series) == 0 {
			continue
		}
		if !slices.ContainsFunc(c.Series, func(s web.ChartSeries) bool { return points(s) > 1 }) {
			if n := len(*out); n > 0 && (*out)[n-1].HTML == tooLittle {
				(*out)[n-1].Title += "; " + lowerFirst(c.Label)
				continue
			}
			*out = append(*out, chartView{c.Label, tooLittle})
			continue
		}
		html, err := c.HTML()
		if err != nil {
			return err
		}
		*out = append(*out, chartView{c.Label, html})
	}
	return nil
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// addDigests adds the line of medians with its smoke, dark up to p90 and light up to p99, and the losses, which color
// it and have a line of their own.
func addDigests(rtt, loss *web.Chart, name string, digests map[int]rollup.Digest, n int) {
	if len(digests) == 0 {
		return
	}
	median, mid, high, lost := gaps(n), gaps(n), gaps(n), gaps(n)
	for i, d := range digests {
		if i < 0 || i >= n {
			continue
		}
		if d.Answered() {
			median[i], mid[i], high[i] = milliseconds(d.P50), milliseconds(d.P90), milliseconds(d.P99)
		}
		if d.Sent > 0 {
			lost[i] = 100 * d.Loss()
		}
	}
	rtt.Series = append(rtt.Series, web.ChartSeries{
		Name: name, Values: median, Low: slices.Clone(median), Mid: mid, High: high, Lost: lost,
	})
	loss.Series = append(loss.Series, web.ChartSeries{Name: name, Values: lost})
}

// rounded returns a digest with times as people read them.
func rounded(d rollup.Digest) rollup.Digest {
	for _, p := range []*time.Duration{&d.P50, &d.P90, &d.P99} {
		*p = p.Round(100 * time.Microsecond)
	}
	return d
}

func gaps(n int) []float64 { return slices.Repeat([]float64{math.NaN()}, n) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

var digestColumns = []string{
	"reachable", "slow", "unreachable", "inconclusive", "sent", "lost", "p50_seconds", "p90_seconds", "p99_seconds",
}

func digestCells(d rollup.Digest) []any {
	cells := []any{
		d.Outcomes.Reachable, d.Outcomes.Slow, d.Outcomes.Unreachable, d.Outcomes.Inconclusive, d.Sent, d.Lost, nil, nil, nil,
	}
	if d.Answered() {
		cells[6], cells[7], cells[8] = d.P50, d.P90, d.P99
	}
	return cells
}
