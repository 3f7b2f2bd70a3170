package site

import (
	"context"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/matrix"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// matrixView is every check as every region sees it.
type matrixView struct {
	Cities []string
	Rows   []matrixRow
	Scale  []scaleStep
	Legend []web.Look
}

type matrixRow struct {
	Host, Title, Check, Slug string
	First                    bool // of its host
	Cells                    []matrixCell
}

// matrixCell is how a region sees a check: a time on the scale, or a look in words.
type matrixCell struct {
	web.Look
	Time string // "84"; then the look is that of a check that works
	Step int    // of the scale, from 1 on
	Text string // in full, for a tooltip and for who does not see the cell
}

// scaleStep is one step of the scale of round-trip times.
type scaleStep struct {
	Step  int
	Words string
}

// scale is where the steps of the scale of round-trip times end: within a city, a country, a continent, an ocean away,
// and further.
var scale = []time.Duration{
	10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
}

// stepOf returns the step of the scale of a round-trip time.
func stepOf(d time.Duration) int {
	n, _ := slices.BinarySearch(scale, d)
	return n + 1
}

// scaleSteps are the steps in words.
func scaleSteps() (out []scaleStep) {
	for n, end := range scale {
		words := fmt.Sprintf("up to %d ms", end.Milliseconds())
		out = append(out, scaleStep{n + 1, words})
	}
	return append(out, scaleStep{len(scale) + 1, "more"})
}

func (s *Site) renderMatrix(ctx context.Context, state web.State) (template.HTML, error) {
	past, err := s.past.of(ctx, s.view, state)
	if err != nil {
		return "", err
	}
	return web.Render(templates, "matrix", newMatrixView(state, past.latency))
}

func newMatrixView(s web.State, times latency.Overview) matrixView {
	v := matrixView{Scale: scaleSteps(), Legend: []web.Look{web.VoteLook(mesh.Bad), web.VoteLook(mesh.Abstain)}}
	var regions []string
	for _, r := range s.Catalog.Regions {
		regions = append(regions, r.Name)
		v.Cities = append(v.Cities, s.City(r.Name))
	}
	for _, row := range matrix.ByRegion(s.Hosts(), regions).Rows {
		key := mesh.Key(row.Host.Name)
		view := matrixRow{
			Host: row.Host.Name, Title: s.Catalog.Host(key).Called(), Check: row.Check.Name,
			Slug:  url.PathEscape(slug(row.Check.Name)),
			First: len(v.Rows) == 0 || v.Rows[len(v.Rows)-1].Host != row.Host.Name,
		}
		recent := times.Of(key, row.Check.Name)
		for n, c := range row.Cells {
			view.Cells = append(view.Cells, newMatrixCell(s, c, medianNow(recent, regions[n])))
		}
		v.Rows = append(v.Rows, view)
	}
	return v
}

// medianNow is the median round-trip time from a region in this hour, or else in the one before; zero for none.
func medianNow(recent []latency.Recent, region string) time.Duration {
	i := slices.IndexFunc(recent, func(r latency.Recent) bool { return r.Region == region })
	if i < 0 {
		return 0
	}
	hours := &recent[i].Hours
	if now := hours.At(latency.RecentHours - 1).P50; now > 0 {
		return now
	}
	return hours.At(latency.RecentHours - 2).P50
}

func newMatrixCell(s web.State, c matrix.RegionCell, median time.Duration) matrixCell {
	if !c.Counted {
		look := web.VoteLook(mesh.Abstain)
		look.Shape, look.Word = "·", "same region"
		return matrixCell{Look: look, Text: "not counted: the host is in this region"}
	}
	cell := matrixCell{Look: web.VoteLook(c.Vote.Vote), Text: s.VoteReason(c.Vote)}
	if c.Vote.Vote != mesh.OK || median <= 0 {
		return cell
	}
	cell.Time, cell.Step = fmt.Sprintf("%.0f", float64(median)/float64(time.Millisecond)), stepOf(median)
	if median < 10*time.Millisecond {
		cell.Time = fmt.Sprintf("%.1f", float64(median)/float64(time.Millisecond))
	}
	cell.Text = cell.Word + ", median " + milliseconds(median)
	return cell
}
