package console

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// regionRows returns a row for each region of hosts.
func (m cellMaker) regionRows(lines []line) (out []row) {
	byRegion := map[string][]line{}
	for _, l := range lines {
		byRegion[l.host.Region] = append(byRegion[l.host.Region], l)
	}
	for _, region := range m.catalog.Regions {
		lines := byRegion[region.Name]
		if len(lines) == 0 {
			continue
		}
		worst, bad := lines[0].check, 0
		for _, l := range lines {
			if l.check.Verdict.Severity() > worst.Verdict.Severity() {
				worst = l.check
			}
			if l.check.Verdict.Severity() > mesh.Up.Severity() {
				bad++
			}
		}
		title := mesh.Count(len(lines), "host")
		if bad > 0 {
			title += fmt.Sprintf(", %d not up", bad)
		}
		r := row{
			Look: web.CheckLook(*worst), Name: sentence.City(m.catalog, region.Name), City: title, Title: title,
			URL: m.question.address("region", region.Name),
		}
		for _, c := range m.columns {
			r.Cells = append(r.Cells, m.regionCell(lines, c, r.URL))
		}
		out = append(out, r)
	}
	return out
}

// regionCell joins what one column saw of all hosts of a region: the median round-trip time, and how many are bad.
func (m cellMaker) regionCell(lines []line, c column, address string) cell {
	p := m.paths(lines, c)
	out := cell{URL: address}
	switch {
	case p.total() == 0:
		return cell{Class: "none", Title: "runs none of these checks"}
	case p.bad == p.total():
		out.Class, out.Text = "bad", "✕"
	case p.ok == 0:
		out.Class, out.Text = "silent", "?"
	case m.question.show == showOutcome:
		out.Class, out.Text = "h0", "ok"
	case m.question.show == showLoss && p.counted == 0:
		out.Class, out.Text = "none", "–"
	case m.question.show == showLoss:
		out.Class, out.Text = heat("l", lossSteps, p.lost/float64(p.counted)), percent(p.lost/float64(p.counted))
	case len(p.times) == 0:
		out.Class, out.Text = "lossy", "ok"
	default:
		slices.Sort(p.times)
		median := p.times[len(p.times)/2]
		out.Class, out.Text = heat("h", heatSteps, median), millisecondsText(median)
	}
	if p.bad > 0 && p.bad < p.total() {
		out.Class, out.Note = "lossy", fmt.Sprintf("%d✕", p.bad)
	}
	out.Title = fmt.Sprintf("of %s %d ok, %d bad, %d without a vote",
		mesh.Count(p.total(), "path"), p.ok, p.bad, p.abstaining)
	if p.own {
		out.Class += " own"
	}
	return out
}

// pathCount counts the paths from one column to the hosts of a region by their votes.
type pathCount struct {
	times               []time.Duration // of those that vote ok, and have one
	ok, bad, abstaining int
	own                 bool    // the hosts are in the column's own region
	lost                float64 // the sum of the shares that the counted ones lose
	counted             int
}

func (p pathCount) total() int { return p.bad + p.abstaining + p.ok }

func (m cellMaker) paths(lines []line, c column) (p pathCount) {
	for _, l := range lines {
		for _, v := range l.check.Votes {
			if v.Region != c.region {
				continue
			}
			p.own = p.own || v.Own
			for _, e := range v.Edges {
				if c.vantage != "" && e.Vantage != c.vantage {
					continue
				}
				switch e.Vote {
				case mesh.Bad:
					p.bad++
				case mesh.Abstain:
					p.abstaining++
				case mesh.OK:
					p.ok++
					if e.HasTime() {
						p.times = append(p.times, e.RTT)
					}
				}
				if loss, ok := m.loss.of(l, v.Region, e.Vantage); ok {
					p.lost, p.counted = p.lost+loss, p.counted+1
				}
			}
		}
	}
	return p
}
