package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// cell is one place of the matrix. Its class gives the color and the pattern, and the text says the same without.
type cell struct {
	Class string // h0 to h5, l0 to l5, bad, lossy, silent, none; own beside it where it does not count
	Text  string
	Note  string // beside the text: a share of losses
	Title string // the last observation, and the vote that it became
	URL   string
}

// reasonMax is how many characters of a reason a title shows: an agent may report any text.
const reasonMax = 80

// heatSteps are the round-trip times at which the next color of the scale begins: within a city, a continent, an ocean.
var heatSteps = []time.Duration{
	20 * time.Millisecond, 70 * time.Millisecond, 130 * time.Millisecond, 200 * time.Millisecond,
	300 * time.Millisecond,
}

// lossSteps are the shares of losses at which the next color of the scale begins.
var lossSteps = []float64{0.001, 0.01, 0.02, 0.05, 0.2}

// lossNoted is the share of losses that a cell shows beside a round-trip time, if more than one probe was lost: one is
// an accident.
const lossNoted = 0.02

// cellMaker makes the cells of one matrix.
type cellMaker struct {
	question question
	loss     losses
	pings    map[pairKey]pingCounts // what the losses were counted of
	cut      map[direction]bool     // paths between two regions that are named as cut
	columns  []column
	catalog  *catalog.Catalog
}

// hostRow returns the row of one check.
func (m cellMaker) hostRow(l line) row {
	out := row{
		Look: web.CheckLook(*l.check), Name: l.host.Name, City: sentence.City(m.catalog, l.host.Region),
		Title: joinedNonempty(l.config.Title, l.config.Role, sentence.City(m.catalog, l.host.Region), l.check.Sentence),
		URL:   checkPath(l.host.Name, l.check.Name),
	}
	for _, c := range m.columns {
		out.Cells = append(out.Cells, m.hostCell(l, c))
	}
	return out
}

// hostCell returns what a column saw of one check: a vantage, or the vote of a whole region.
func (m cellMaker) hostCell(l line, c column) cell {
	i := slices.IndexFunc(l.check.Votes, func(v mesh.RegionVote) bool { return v.Region == c.region })
	if i < 0 {
		return m.emptyCell(l, c)
	}
	vote := l.check.Votes[i]
	edges := vote.Edges
	if c.vantage != "" {
		edges = edgesOf(vote, c.vantage)
	}
	if len(edges) == 0 {
		return m.emptyCell(l, c)
	}
	out := m.newCell(l, c.region, edges)
	switch {
	case vote.Own:
		out.Class, out.Title = out.Class+" own", out.Title+"; the host's own region has no vote"
	case c.vantage == "":
		out.Title += "; the region votes " + vote.Vote.String()
	}
	if c.vantage != "" {
		out.URL = pairPath(c.Name, l.host.Name, l.check.Name)
	} else {
		out.URL = regionPath(c.region)
	}
	return out
}

// emptyCell is a cell without an observation, whose title says why.
func (m cellMaker) emptyCell(l line, c column) cell {
	switch {
	case c.vantage == mesh.Key(l.host.Name):
		return cell{Class: "none", Text: "·", Title: "the host itself"}
	case slices.Contains(l.check.Except, c.region):
		return cell{Class: "none", Text: "–", Title: "left out by except in the catalog"}
	}
	return cell{Class: "none", Text: "", Title: "does not run this check"}
}

func edgesOf(v mesh.RegionVote, vantage string) (out []mesh.EdgeState) {
	for _, e := range v.Edges {
		if e.Vantage == vantage {
			out = append(out, e)
		}
	}
	return out
}

// newCell shows the latest results of edges: of their address families, or vantages, the worst.
func (m cellMaker) newCell(l line, region string, edges []mesh.EdgeState) cell {
	// Outcomes are ordered from the least to the most alarming: inconclusive, reachable, slow, unreachable.
	e := slices.MaxFunc(edges, func(a, b mesh.EdgeState) int { return edgeRank(a) - edgeRank(b) })
	out := cell{Title: edgeTitle(e)}
	loss, counted := m.loss.of(l, region, e.Vantage)
	if counted && loss > 0 {
		out.Title += fmt.Sprintf("; %s lost lately", percent(loss))
	}
	switch {
	case e.Vote == mesh.Bad:
		out.Class, out.Text = "bad", "✕"
	case e.Vote == mesh.Abstain && !asked(e):
		out.Class, out.Text = "silent", "?"
	case filtered(e) && m.cut[direction{region, l.host.Region}]:
		out.Class, out.Text, out.Title = "bad", "✕", out.Title+"; the path from there is cut"
	case filtered(e) && m.question.show != showLoss:
		out.Class, out.Text, out.Note = "lossy", "✕", "alive"
		if counted && loss > 0 {
			out.Note = shortPercent(loss)
		}
	case m.question.show == showOutcome:
		out.Class, out.Text = "h0", "ok"
		if e.Outcome == mesh.Slow {
			out.Class, out.Text = "h3", "slow"
		}
	case m.question.show == showLoss && !counted:
		out.Class, out.Text, out.Title = "none", "–", out.Title+"; its losses are not counted"
	case m.question.show == showLoss:
		out.Class, out.Text = heat("l", lossSteps, loss), percent(loss)
	case !e.HasTime():
		out.Class, out.Note = "lossy", shortPercent(loss)
		if !counted {
			out.Text, out.Note = "ok", ""
		}
	default:
		out.Class, out.Text = heat("h", heatSteps, e.RTT), millisecondsText(e.RTT)
		if loss >= lossNoted && !m.lostOne(l, e.Vantage) {
			out.Class, out.Note = "lossy", shortPercent(loss)
		}
	}
	if asked(e) && out.Note == "" {
		out.Note = askedNote
	}
	return out
}

// askedNote marks a result from before the vantage was asked to probe again.
const askedNote = "…"

// asked reports whether an edge votes ok, and is asked to probe again. Where probes are lost, a round is open much of
// the time: its seconds do not hide what is known.
func asked(e mesh.EdgeState) bool {
	return e.Vote == mesh.Abstain && e.HasTime() && e.Why == judge.AskedAgain
}

// lostOne reports whether a vantage lost exactly one probe of a check.
func (m cellMaker) lostOne(l line, vantage string) bool {
	_, lost := m.pings[pairKey{mesh.Key(l.host.Name), l.check.Name, vantage}].total()
	return lost == 1
}

// filtered reports whether the ping of an edge was lost, and the host proved otherwise that it is alive.
func filtered(e mesh.EdgeState) bool { return e.Vote == mesh.OK && e.Outcome == mesh.Unreachable }

// edgeRank orders edges by what a reader must see first.
func edgeRank(e mesh.EdgeState) int {
	switch {
	case e.LeftOut:
		return -1
	case e.Vote == mesh.Bad:
		return 10
	}
	return int(e.Outcome)
}

// edgeTitle says in words what an edge saw last, and how it counts.
func edgeTitle(e mesh.EdgeState) string {
	if e.At.IsZero() {
		return "no result yet; " + voteWords(e)
	}
	text := e.Outcome.String()
	if e.HasTime() {
		text = mesh.Span(e.RTT)
	}
	if e.Reason != "" {
		text += ": " + shortened(e.Reason)
	}
	return fmt.Sprintf("%s at %s; %s", text, e.At.UTC().Format(time.TimeOnly), voteWords(e))
}

func voteWords(e mesh.EdgeState) string {
	switch {
	case e.Why != "" && e.Vote == mesh.Abstain:
		return "abstains, " + shortened(e.Why)
	case e.Why != "":
		return "vote " + e.Vote.String() + ", " + shortened(e.Why)
	}
	return "vote " + e.Vote.String()
}

// shortened returns the beginning of a text. It cuts between characters, which may take several bytes.
func shortened(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if letters := []rune(text); len(letters) > reasonMax {
		return string(letters[:reasonMax-1]) + "…"
	}
	return text
}

// heat returns the class of the step of a scale that a value is on: "h" for times, of which short ones stand out, and
// "l" for losses, of which large ones do.
func heat[T time.Duration | float64](scale string, steps []T, value T) string {
	n := 0
	for n < len(steps) && value >= steps[n] {
		n++
	}
	return fmt.Sprintf("%s%d", scale, n)
}

// millisecondsText writes a round-trip time in milliseconds without the unit, which the legend has.
func millisecondsText(d time.Duration) string {
	if ms := d.Seconds() * 1000; ms < 9.95 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprint(d.Round(time.Millisecond).Milliseconds())
}

// percent writes a share: "0 %", "0.4 %", "20 %". A share that is not zero is never shown as none.
func percent(share float64) string {
	switch p := share * 100; {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "<0.1 %"
	case p < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", p), ".0") + " %"
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}

// shortPercent writes a share beside a round-trip time, where there is little space: "3 %", "20 %".
func shortPercent(share float64) string {
	if share*100 < 1 {
		return "<1 %"
	}
	return fmt.Sprintf("%.0f %%", share*100)
}

// legend returns one cell of each kind with what it means.
func (m cellMaker) legend() []cell {
	var out []cell
	own := cell{Class: "h0 own", Text: "8", Title: "own region, no vote"}
	again := cell{Class: "h2", Text: "92", Note: askedNote, Title: "asked to probe again"}
	switch m.question.show {
	case showRTT:
		out = []cell{
			{Class: "h0", Text: "<20"}, {Class: "h1", Text: "<70"}, {Class: "h2", Text: "<130"},
			{Class: "h3", Text: "<200"}, {Class: "h4", Text: "<300"}, {Class: "h5", Text: "300+", Title: "ms"},
			{Class: "lossy", Text: "92", Note: "3 %", Title: "lost 2 % or more lately"},
		}
	case showLoss:
		own.Class, own.Text = "l0 own", "0 %"
		out = []cell{
			{Class: "l0", Text: "0 %"}, {Class: "l1", Text: "<1 %"}, {Class: "l2", Text: "<2 %"},
			{Class: "l3", Text: "<5 %"}, {Class: "l4", Text: "<20 %"}, {Class: "l5", Text: "20 %+", Title: "of the last probes"},
			{Class: "none", Text: "–", Title: "not counted"},
		}
	default:
		out = []cell{{Class: "h0", Text: "ok", Title: "answers"}, {Class: "h3", Text: "slow", Title: "late"}}
		own.Text, again.Class, again.Text = "ok", "h0", "ok"
	}
	out = append(out, cell{Class: "bad", Text: "✕", Title: "does not reach it"})
	if m.question.show != showLoss {
		out = append(out, cell{Class: "lossy", Text: "✕", Note: "alive", Title: "lost the ping, the host is alive"}, again)
	}
	return append(
		out,
		cell{Class: "silent", Text: "?", Title: "no vote"},
		own,
		cell{Class: "none", Text: "·", Title: "itself"},
	)
}

func joinedNonempty(texts ...string) string {
	return joined(slices.DeleteFunc(texts, func(t string) bool { return t == "" }))
}

// table is the matrix for programs: one row for each vantage and address family, of all pages.
func (m builtMatrix) table(r request) table {
	t := table{name: "matrix", columns: []string{
		"host", "check", "verdict", "vantage", "vantage_region", "own", "vote", "outcome", "round_trip_seconds", "loss",
		"at", "reason",
	}}
	if r.forPrograms() {
		t.rows = m.records(r)
	}
	return t
}

func (m builtMatrix) records(r request) (out [][]any) {
	hosts := hostsByKey(r.catalog)
	for _, l := range m.lines {
		for _, v := range l.check.Votes {
			for _, e := range v.Edges {
				if from := m.question.from; from != "" && v.Region != from || len(out) >= recordsMax {
					continue
				}
				var loss, rtt any
				if share, ok := m.loss.of(l, v.Region, e.Vantage); ok {
					loss = share
				}
				if e.HasTime() {
					rtt = e.RTT
				}
				out = append(out, []any{
					l.host.Name, l.check.Name, string(l.check.Verdict), spelled(hosts, e.Vantage), v.Region, v.Own,
					e.Vote.String(), e.Outcome.String(), rtt, loss, e.At, joinedNonempty(e.Reason, e.Why),
				})
			}
		}
	}
	return out
}

// recordsMax bounds the rows of a table for programs: a mesh of 5,000 hosts with 16 observers of each check.
const recordsMax = 100_000

// spelled returns a vantage's name as the catalog has it.
func spelled(hosts map[string]*catalog.Host, key string) string {
	if h := hosts[key]; h != nil {
		return h.Name
	}
	return key
}
